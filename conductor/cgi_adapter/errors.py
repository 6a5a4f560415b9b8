"""What goes wrong between HTTP and a CGI program."""

from __future__ import annotations

from conductor.errors import ConductorError


class CgiError(ConductorError):
    """An exchange that cannot be carried through: one sentence, and the status that answers it.

    ``status`` is 4xx where the client is at fault, 502 where the program is. Only
    a 4xx sentence may be shown to the client: a 502 one quotes what the program
    printed, which is for its owner's eyes.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
