"""What the tests of the functions path share: one real manager for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.support.manager import ManagerProcess


@pytest.fixture(scope="module")
def manager() -> Iterator[ManagerProcess]:
    with ManagerProcess() as process:
        yield process
