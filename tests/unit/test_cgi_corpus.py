"""Every output in the corpus gets its verdict, however it is cut into pieces.

A case is ``NAME.cgi-out``, what a program printed, and ``NAME.json``: ``reader`` (what
its function declares), then either ``error`` (a part of the sentence) or ``head``,
``body`` and ``local_redirect``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from conductor.cgi_adapter import CgiError, ResponseReader, parse_header_lines
from conductor.http1.messages import ResponseHead

CORPUS = Path(__file__).parent.parent / "corpus" / "cgi"
CASES = sorted(path.stem for path in CORPUS.glob("*.json"))


def load(name: str) -> tuple[bytes, dict[str, Any]]:
    return (CORPUS / f"{name}.cgi-out").read_bytes(), json.loads(
        (CORPUS / f"{name}.json").read_text()
    )


def reader_for(verdict: dict[str, Any]) -> ResponseReader:
    declared = {"response_headers": (), "no_response_headers": False, "nph": False}
    declared |= verdict.get("reader", {})
    headers = parse_header_lines(declared.pop("response_headers"))  # type: ignore[arg-type]  # a list of strings
    return ResponseReader(response_headers=headers, **declared)  # type: ignore[arg-type]  # two booleans


def run(reader: ResponseReader, pieces: Iterable[bytes]) -> tuple[ResponseHead, bytes]:
    """Feed as a gateway does: until there is a head, then all the rest is the body."""
    head, body = None, b""
    for piece in pieces:
        if head is not None:
            body += piece
        elif (head := reader.feed(piece)) is not None:
            body = reader.rest
    return head or reader.finish(), body


def check(verdict: dict[str, Any], pieces: Iterable[bytes], extra: bytes = b"") -> None:
    reader = reader_for(verdict)
    if "error" in verdict:
        with pytest.raises(CgiError) as caught:
            run(reader, pieces)
        assert caught.value.status == 502
        assert verdict["error"] in str(caught.value)
        return
    head, body = run(reader, pieces)
    assert shown(head) == {"http10": False} | verdict["head"]
    assert body == verdict["body"].encode() + extra
    assert (reader.local_redirect or b"").decode() == verdict.get("local_redirect", "")


def shown(head: ResponseHead) -> dict[str, Any]:
    return {
        "status": head.status,
        "reason": head.reason.decode(),
        "headers": [[name.decode(), value.decode()] for name, value in head.headers],
        "http10": head.http10,
    }


@pytest.mark.parametrize("name", CASES)
def test_a_whole_output_gets_its_verdict(name: str) -> None:
    output, verdict = load(name)
    check(verdict, [output] if output else [])


@pytest.mark.parametrize("name", CASES)
def test_an_output_gets_its_verdict_byte_by_byte(name: str) -> None:
    output, verdict = load(name)
    check(verdict, (output[i : i + 1] for i in range(len(output))))


@pytest.mark.parametrize("name", [name for name in CASES if "head" in load(name)[1]])
def test_bytes_after_a_head_are_the_body(name: str) -> None:
    output, verdict = load(name)
    extra = b"\n\nStatus: 500\r\n\r\n\0"
    check(verdict, [output + extra], extra)
