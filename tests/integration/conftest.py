"""What the tests of the functions path share: one real manager for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.support.manager import ManagerProcess
from tests.integration.support.slow import SlowHeads


@pytest.fixture(scope="module")
def manager() -> Iterator[ManagerProcess]:
    with ManagerProcess() as process:
        yield process


@pytest.fixture(scope="session")
def slow_heads() -> Iterator[SlowHeads]:
    with SlowHeads() as clients:
        yield clients
