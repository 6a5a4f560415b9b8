"""A head that does not come to its end is answered 408, however it trickles in.

The time for a head is half a minute, so the clients begin when the first test of
the functions path does (``slow_heads`` in conftest), and here it is seen how they fared.
"""

import pytest

from tests.integration.support.slow import SlowHeads


@pytest.mark.parametrize("kind", ["silent", "trickling"])
def test_a_head_that_does_not_end_is_answered_408(slow_heads: SlowHeads, kind: str) -> None:
    client = {"silent": slow_heads.silent, "trickling": slow_heads.trickling}[kind]
    client.wait_answered()
    assert (client.answer.status, client.answer.headers["connection"]) == (408, "close")
    assert client.closed
    assert 25 < client.age < 45


def test_a_connection_that_waits_between_requests_is_kept(slow_heads: SlowHeads) -> None:
    slow_heads.silent.wait_answered()  # So long it has waited too.
    assert slow_heads.waiting.get("/hello").body == b"hello\n"
