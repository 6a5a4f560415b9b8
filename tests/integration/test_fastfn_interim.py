"""Interim answers are passed on before the answer (RFC 9110 §15.2), but not without end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.support.functions import function
from tests.integration.support.http import Client
from tests.integration.support.manager import ManagerProcess


@pytest.fixture(scope="module")
def function_id(manager: ManagerProcess) -> str:
    return manager.add(
        function("interim", "worker.py", format="http-stdio", limits={"requests": 0})
    )


@pytest.fixture
def client(manager: ManagerProcess, function_id: str) -> Iterator[Client]:
    with manager.connect(function_id) as connection:
        yield connection


@pytest.mark.parametrize("count", [1, 5, 60])
def test_interim_answers_come_first(client: Client, count: int) -> None:
    for _ in range(2):
        answer = client.get(f"/hints?count={count}")
        assert (answer.status, answer.body) == (200, b"hinted\n")
        assert answer.interim == [103] * count


def test_a_program_that_says_nothing_else_is_stopped(
    client: Client, manager: ManagerProcess, function_id: str
) -> None:
    answer = client.get("/hints?count=5000")
    assert answer.status == 502
    with manager.connect(function_id) as another:
        assert another.get("/hello").status == 200
