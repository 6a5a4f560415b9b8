"""Every message in the corpus gets its verdict, however it is cut into pieces.

A case is ``NAME.request`` or ``NAME.response``, the bytes, and ``NAME.json``: ``why`` it is there;
for an invalid one the ``status`` it is refused with; for a valid one what is read out of
it. What most cases have in common is left out of the files and stands in ``USUAL``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from conductor.http1.heads import CHUNKED, UNTIL_CLOSE, RequestHead
from tests.http1_peers import (
    Head,
    Message,
    Reading,
    Refused,
    h11_request,
    h11_response,
    normal,
    read_request,
    read_response,
)

CORPUS = Path(__file__).parent.parent / "corpus" / "http"
VALID = sorted(path.name for path in (CORPUS / "valid").glob("*.re*"))
INVALID = sorted(path.name for path in (CORPUS / "invalid").glob("*.re*"))
ALL = [f"valid/{name}" for name in VALID] + [f"invalid/{name}" for name in INVALID]
EXTRA = b"\n\nGET / HTTP/1.1\r\n\0"

USUAL = {"http10": False, "keep_alive": True, "upgrade": None}
USUAL_REQUEST = USUAL | {"plain": True, "expect_continue": False, "body_length": 0}
USUAL_RESPONSE = USUAL | {"plain": False}
LENGTHS = {CHUNKED: "chunked", UNTIL_CLOSE: "until-close"}


def load(name: str) -> tuple[bytes, dict[str, Any]]:
    path = CORPUS / name
    return path.read_bytes(), json.loads(path.with_suffix(".json").read_text())


def read(name: str, pieces: Iterable[bytes]) -> tuple[Head | None, Reading]:
    return read_request(pieces) if name.endswith(".request") else read_response(pieces)


def check(name: str, verdict: dict[str, Any], pieces: Iterable[bytes], extra: bytes = b"") -> None:
    head, message = read(name, pieces)
    if name.startswith("invalid/"):
        assert message == Refused(verdict["status"])
        return
    assert head is not None
    assert isinstance(message, Message)
    assert {"why": verdict["why"]} | shown(head, message) == expected(name, verdict)
    if head.body_length == UNTIL_CLOSE and not message.complete:
        assert message.body == verdict["body"].encode("latin-1") + extra
    else:
        assert message.body == verdict["body"].encode("latin-1")
        assert (message.complete, message.rest) == (True, extra)


def expected(name: str, verdict: dict[str, Any]) -> dict[str, Any]:
    usual = USUAL_REQUEST if name.endswith(".request") else USUAL_RESPONSE
    found = usual | verdict
    found.pop("body")
    return found


def shown(head: Head, message: Message) -> dict[str, Any]:
    first, second, _ = message.start
    start: dict[str, Any]
    if isinstance(head, RequestHead):
        start = {"method": first.decode(), "target": second.decode()}
        start["expect_continue"] = head.expect_continue
    else:
        start = {"status": int(first), "reason": second.decode("latin-1")}
    return start | {
        "headers": [[n.decode(), v.decode("latin-1")] for n, v in message.headers],
        "body_length": LENGTHS.get(head.body_length, head.body_length),
        "http10": head.http10,
        "keep_alive": head.keep_alive,
        "plain": head.plain,
        "upgrade": head.upgrade and head.upgrade.decode(),
    }


@pytest.mark.parametrize("name", ALL)
def test_a_whole_message_gets_its_verdict(name: str) -> None:
    data, verdict = load(name)
    check(name, verdict, [data])


@pytest.mark.parametrize("name", ALL)
def test_a_message_gets_its_verdict_byte_by_byte(name: str) -> None:
    data, verdict = load(name)
    check(name, verdict, (data[i : i + 1] for i in range(len(data))))


@pytest.mark.parametrize("name", ALL)
def test_bytes_after_a_message_change_nothing(name: str) -> None:
    data, verdict = load(name)
    check(name, verdict, [data + EXTRA], EXTRA)


@pytest.mark.parametrize("name", VALID)
def test_h11_reads_a_valid_message_alike(name: str) -> None:
    data, _ = load(f"valid/{name}")
    _, ours = read(name, [data])
    theirs = h11_request(data)[1] if name.endswith(".request") else h11_response(data)
    assert isinstance(ours, Message)
    assert isinstance(theirs, Message)
    assert theirs.headers == normal(ours.headers)
    assert (theirs.body, theirs.complete) == (ours.body, ours.complete)


@pytest.mark.parametrize("name", VALID)
def test_no_part_of_a_valid_message_is_refused_or_taken_for_the_whole(name: str) -> None:
    data, _ = load(f"valid/{name}")
    for size in range(len(data)):
        _, message = read(name, [data[:size]])
        assert not isinstance(message, Refused)
        assert not (isinstance(message, Message) and message.complete)
