"""The drawings: where things stand, and that they are well-formed."""

import xml.etree.ElementTree as ET

import pytest

from tests.load.charts import Bar, Scale, Series, bars, latency_curves, ticks

CURVE = [(0.0, 1.0), (0.3, 2.0), (1.0, 4.0), (2.0, 90.0)]


def shapes(svg: str, tag: str) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter(tag))  # noqa: S314 - our own drawing


def test_a_scale_maps_its_ends_onto_its_ends() -> None:
    scale = Scale(10, 20, 100, 300)
    assert (scale(10), scale(15), scale(20)) == (100, 200, 300)


def test_a_logarithmic_scale_gives_each_power_of_ten_the_same_room() -> None:
    scale = Scale(1, 100, 300, 100, logarithmic=True)
    assert (scale(1), scale(10), scale(100)) == (300, 200, 100)


def test_what_is_beyond_a_scale_stands_at_its_end() -> None:
    scale = Scale(1, 100, 0, 10, logarithmic=True)
    assert (scale(0), scale(1e9)) == (0, 10)


def test_a_scale_of_one_value_divides_by_nothing() -> None:
    assert Scale(5, 5, 0, 10)(5) == 0


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1, 10, [1, 2, 5, 10]),
        (0.7, 3, [0.5, 1, 2, 5]),
        (2, 2, [2, 5]),
        (90, 110, [50, 100, 200]),
    ],
)
def test_ticks_are_round_and_reach_around_the_values(
    low: float, high: float, expected: list[float]
) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_curves_stay_inside_their_axes() -> None:
    svg = latency_curves("t", [Series("a", "subject", CURVE), Series("b", "baseline", CURVE[:2])])
    lines = shapes(svg, "polyline")
    assert len(lines) == 2
    points = [tuple(map(float, p.split(","))) for p in lines[0].attrib["points"].split()]
    assert len(points) == len(CURVE)
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
    assert points[0][0] == 62
    assert points[-1][0] == 560 - 16


def test_the_percentiles_shown_end_where_the_latencies_do() -> None:
    svg = latency_curves("t", [Series("a", "subject", CURVE)])
    texts = [element.text for element in shapes(svg, "text")]
    assert "p99" in texts
    assert "p99.9" not in texts
    assert "latency, ms" in texts


def test_no_latencies_make_no_drawing() -> None:
    assert latency_curves("t", [Series("a", "subject", [])]) == ""


def test_bars_are_as_long_as_their_values() -> None:
    rows = [Bar("a", "subject", 100, 90, 100, "100/s"), Bar("b", "baseline", 50, 50, 60, "50/s")]
    svg = bars("t", rows)
    widths = [float(element.attrib["width"]) for element in shapes(svg, "rect")]
    assert widths[0] == pytest.approx(2 * widths[1])


def test_bars_of_nothing_are_drawn_with_no_length() -> None:
    svg = bars("t", [Bar("a", "subject", 0, 0, 0, "0/s")])
    assert [element.attrib["width"] for element in shapes(svg, "rect")] == ["0.0"]


def test_names_are_escaped() -> None:
    svg = bars("<t>", [Bar("<a&b>", "subject", 1, 1, 1, "1")])
    assert "<a&b>" in [element.text for element in shapes(svg, "text")]
