"""What a codec says when the other side breaks HTTP/1.1."""

from __future__ import annotations


class ProtocolError(Exception):
    """The bytes are no HTTP that every parser would read alike.

    ``status`` is what a server answers to a request like this; on a response
    it is 502.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
