"""CGI (RFC 3875) both ways: a request as variables, a program's output as a response.

The codecs here do no I/O and import neither asyncio nor h11: the manager uses them
for every request. The program beside them (``python -m conductor.cgi_adapter``)
answers one HTTP request with one CGI program; nothing imports it.
"""

from __future__ import annotations

from conductor.cgi_adapter.environment import (
    CgiRequest,
    follow_local_redirect,
    is_meta_variable,
    meta_variables,
)
from conductor.cgi_adapter.errors import CgiError
from conductor.cgi_adapter.response import ResponseReader, parse_header_lines

__all__ = [
    "CgiError",
    "CgiRequest",
    "ResponseReader",
    "follow_local_redirect",
    "is_meta_variable",
    "meta_variables",
    "parse_header_lines",
]
