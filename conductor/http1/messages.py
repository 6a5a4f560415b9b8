"""The two heads of HTTP/1.1 as plain data, shared by every codec.

Names keep the case they came in; looking one up ignores it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Headers = list[tuple[bytes, bytes]]


def get_header(headers: Headers, name: bytes) -> bytes | None:
    """Return the first value of ``name`` (given in lower case), or None."""
    for key, value in headers:
        if key.lower() == name:
            return value
    return None


@dataclass(slots=True)
class ResponseHead:
    """The head of a response: ``status`` is 100 to 599, ``reason`` may be empty."""

    status: int
    reason: bytes = b""
    headers: Headers = field(default_factory=list)
    http10: bool = False  # the sender spoke HTTP/1.0: no chunks, closes by default
