"""A spool gives back what it was given, in order, from memory or from a file."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from conductor.cgi_adapter.spool import MEMORY, PIECE, Spool

steps = st.lists(st.tuples(st.sampled_from(["append", "consume"]), st.integers(0, MEMORY)))


@given(steps)
def test_bytes_come_out_as_they_went_in(actions: list[tuple[str, int]]) -> None:
    spool, expected = Spool(), b""
    for count, (action, size) in enumerate(actions):
        if action == "append":
            data = bytes([count % 256]) * size
            spool.append(data)
            expected += data
        else:
            piece = spool.peek()
            assert piece == expected[:PIECE]
            taken = min(size, len(piece))
            spool.consume(taken)
            expected = expected[taken:]
        assert spool.size == len(expected)
    spool.close()


def test_a_long_body_is_in_a_file_and_a_drained_spool_is_not() -> None:
    spool = Spool()
    before = len(os.listdir("/proc/self/fd"))
    spool.append(bytes(MEMORY))
    assert len(os.listdir("/proc/self/fd")) == before
    spool.append(b"x")
    assert len(os.listdir("/proc/self/fd")) == before + 1
    while piece := spool.peek():
        spool.consume(len(piece))
    assert len(os.listdir("/proc/self/fd")) == before
    assert repr(spool) == "<Spool 0 bytes in memory>"
