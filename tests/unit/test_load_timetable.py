import pytest

from tests.load.timetable import NANOSECONDS, Timetable


def test_arrivals_are_evenly_spread_from_the_start() -> None:
    table = Timetable(rate=4, seconds=2)
    assert len(table) == 8
    assert [table.due(index) for index in range(3)] == [0, NANOSECONDS // 4, NANOSECONDS // 2]


def test_rounding_does_not_add_up_over_a_day() -> None:
    table = Timetable(rate=3, seconds=86400)
    assert table.due(len(table)) == 86400 * NANOSECONDS


def test_a_short_run_still_plans_one_request() -> None:
    assert len(Timetable(rate=3, seconds=0.1)) == 1


@pytest.mark.parametrize(("rate", "seconds"), [(0, 1), (-1, 1), (1, 0)])
def test_nothing_to_plan_is_an_error(rate: float, seconds: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        Timetable(rate=rate, seconds=seconds)
