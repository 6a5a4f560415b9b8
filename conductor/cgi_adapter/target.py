"""The request target, taken apart as CGI wants it: SCRIPT_NAME, PATH_INFO, query.

Everything is decided on the percent-decoded path, because that is what a proxy
matches its routes on and what the program sees; ``%2F`` therefore is a slash, and
a program that must tell the two apart reads REQUEST_URI. What a program could be
tricked with is settled here, because CGI programs expect their server to do so:

- ``%00`` and broken escapes are refused;
- ``.`` and ``..`` in PATH_INFO are resolved (RFC 3986 §5.2.4) as other servers do
  before a program sees them, and what would climb out of it is refused;
- in SCRIPT_NAME empty segments are dropped, so that a program which redirects to
  SCRIPT_NAME + "/x" never writes ``//x``, another host; dot segments are refused.
  PATH_INFO keeps its empty segments: some programs take URLs in it.
"""

from __future__ import annotations

import re

from conductor.cgi_adapter.errors import CgiError

_ABSOLUTE = re.compile(rb"https?://([^/?]+)(.*)", re.IGNORECASE | re.DOTALL)
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
_DOTS = (b".", b"..")


def split_target(target: bytes) -> tuple[bytes, bytes, bytes, bytes | None]:
    """Return origin form, decoded path, query and, of an absolute target, its authority.

    ``OPTIONS *`` has an empty path. Raises CgiError(400) for anything that is
    neither origin, absolute nor asterisk form (RFC 9112 §3.2), for a fragment and
    for a path that no program should see.
    """
    authority = None
    if target[:1] != b"/":
        if target == b"*":
            return target, b"", b"", None
        target, authority = _split_absolute(target)
    if b"#" in target:
        raise CgiError(400, "the request target holds a fragment")
    path, _, query = target.partition(b"?")
    return target, _decode(path) if b"%" in path else path, query, authority


def _split_absolute(target: bytes) -> tuple[bytes, bytes]:
    match = _ABSOLUTE.fullmatch(target)
    if match is None or b"@" in match[1]:
        raise CgiError(400, "the request target is no path and no http URL")
    rest = match[2]
    return (rest if rest[:1] == b"/" else b"/" + rest), match[1]


def _decode(path: bytes) -> bytes:
    decoded = _ESCAPE.sub(_decode_escape, path)
    if b"\0" in decoded:
        raise CgiError(400, "the path holds an encoded NUL")
    return decoded


def _decode_escape(match: re.Match[bytes]) -> bytes:
    if match[1] is None:
        raise CgiError(400, "the path holds a broken percent escape")
    return bytes.fromhex(match[1].decode("ascii"))


def split_path(path: bytes, strip: int) -> tuple[bytes, bytes]:
    """Return SCRIPT_NAME, the first ``strip`` segments of ``path``, and PATH_INFO, the rest.

    Empty segments do not count. A path with fewer segments is all SCRIPT_NAME.

    >>> split_path(b"/cgi/app.production.f/a/b", 2)
    (b'/cgi/app.production.f', b'/a/b')

    Raises CgiError(400) for dot segments that leave their side.
    """
    end = 0
    names: list[bytes] = []
    while len(names) < strip and end < len(path):
        start = end + 1
        end = path.find(b"/", start)
        if end < 0:
            end = len(path)
        if end > start:
            names.append(path[start:end])
    script_name = b"/" + b"/".join(names) if names else b""
    path_info = path[end:]
    if any(name in _DOTS for name in names):
        raise CgiError(400, "the path holds dot segments where the function is named")
    return script_name, _resolve_dots(path_info) if b"/." in path_info else path_info


def _resolve_dots(path: bytes) -> bytes:
    """Return ``path`` without dot segments, or raise CgiError(400) where it climbs too far."""
    kept: list[bytes] = []
    for segment in path.split(b"/")[1:]:
        if segment not in _DOTS:
            kept.append(segment)
        elif segment == b"..":
            if not kept:
                raise CgiError(400, "the path climbs above the function")
            kept.pop()
    if path.endswith((b"/.", b"/..")):
        kept.append(b"")  # a resolved last segment leaves its directory: /a/. is /a/
    return b"/" + b"/".join(kept)
