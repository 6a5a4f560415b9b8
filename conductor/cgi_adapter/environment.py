"""The meta-variables of a CGI request (RFC 3875 §4.1).

A codec: a CgiRequest in, the variables out; nothing is read from this process's own
environment and nothing is looked up. The manager calls it for every request, so it
is one pass over the headers and one dictionary.

What the RFC leaves open is settled here:

- AUTH_TYPE and REMOTE_USER are never set. Nobody on this side has checked a
  password, and a name out of an unchecked ``Authorization`` would be a lie. Who a
  policy found the client to be comes in headers that the proxy sets.
- HTTP_AUTHORIZATION is passed on, though §4.1.18 lets a server withhold it: that
  protects a server's own accounts from its users' scripts. Here the program is the
  only one that can check a token, and one that gets none cannot protect itself.
- HTTP_PROXY never exists (CVE-2016-5385), nor anything else that belongs to one
  connection (RFC 9110 §7.6.1). A header name may hold letters, digits and hyphens
  only; others are dropped, for underscores and the rest collide as variable names.
- Repeated headers are joined with ", ", Cookie with "; ". A repeated Host,
  Content-Type or Authorization is refused: two readers would take different ones.
- REMOTE_HOST is the address: nothing waits for a name server. REMOTE_ADDR is empty
  where no address is known, which is safer than an invented local one.
- Behind a proxy the left-most X-Forwarded-For is the client, because the proxy
  throws away what untrusted clients claim; X-Forwarded-Host names the server.
- A query without "=" does not become arguments (§4.4): the declaration says what a
  program is called with, and no client adds to it.

How a path becomes SCRIPT_NAME and PATH_INFO stands in ``target``.
"""

from __future__ import annotations

import dataclasses
import re
import socket
from dataclasses import dataclass

from conductor import __version__
from conductor.cgi_adapter.errors import CgiError
from conductor.cgi_adapter.target import split_path, split_target
from conductor.http1.messages import Headers

_SOFTWARE = b"conductor/" + __version__.encode()
_FORBIDDEN = 0  # what _TO_VARIABLE makes of a byte that no passed header name may hold
_TO_VARIABLE = bytes(
    ord("_") if c == "-" else ord(c.upper()) if c.isascii() and c.isalnum() else _FORBIDDEN
    for c in map(chr, range(256))
)
# Connection is dropped too, after what it names.
_DROPPED = frozenset(
    b"CONTENT_LENGTH KEEP_ALIVE PROXY TE TRAILER TRANSFER_ENCODING UPGRADE".split()
)
_SINGLE = frozenset((b"HTTP_HOST", b"CONTENT_TYPE", b"HTTP_AUTHORIZATION"))
_HOST = re.compile(
    rb"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z\-._~!$&'()*+,;=%]*)(?::([0-9]{0,5}))?"
)  # RFC 9112 §3.2, RFC 3986 §3.2.2
_NAMES = frozenset(
    b"AUTH_TYPE CONTENT_LENGTH CONTENT_TYPE DOCUMENT_ROOT GATEWAY_INTERFACE HTTPS PATH_INFO"
    b" PATH_TRANSLATED QUERY_STRING REMOTE_ADDR REMOTE_HOST REMOTE_IDENT REMOTE_PORT REMOTE_USER"
    b" REQUEST_METHOD REQUEST_SCHEME REQUEST_URI SCRIPT_FILENAME SCRIPT_NAME SERVER_NAME"
    b" SERVER_PORT SERVER_PROTOCOL SERVER_SOFTWARE".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CgiRequest:
    """A request, and where the program that answers it stands."""

    method: bytes
    target: bytes  # as it came: origin, absolute or asterisk form
    headers: Headers
    version: bytes  # b"1.1" or b"1.0"
    content_length: int | None  # bytes of the body, a spooled chunked one too; None: no body
    path_info_strip: int  # leading path segments that are SCRIPT_NAME
    program: bytes  # path: SCRIPT_FILENAME
    directory: bytes  # the service directory: DOCUMENT_ROOT
    peer: tuple[bytes, int] | None  # address and port of a TCP peer
    behind_proxy: bool  # X-Forwarded-For, -Proto and -Host are our own proxy's


def is_meta_variable(name: bytes) -> bool:
    """Whether a variable called ``name`` would be taken for a part of the request."""
    return name.startswith(b"HTTP_") or name in _NAMES


def meta_variables(request: CgiRequest) -> dict[bytes, bytes]:
    """Return the variables that describe ``request`` to its program (RFC 3875 §4.1).

    Raises CgiError with status 400 for what no program should be handed.
    """
    origin, path, query, authority = split_target(request.target)
    script_name, path_info = split_path(path, request.path_info_strip)
    variables = _header_variables(request.headers)
    if authority is not None:
        variables[b"HTTP_HOST"] = authority  # it overrides Host (RFC 9112 §3.2.2)
    variables[b"GATEWAY_INTERFACE"] = b"CGI/1.1"
    variables[b"SERVER_SOFTWARE"] = _SOFTWARE
    variables[b"SERVER_PROTOCOL"] = b"HTTP/" + request.version
    variables[b"REQUEST_METHOD"] = request.method
    variables[b"REQUEST_URI"] = origin
    variables[b"QUERY_STRING"] = query
    variables[b"SCRIPT_NAME"] = script_name
    variables[b"PATH_INFO"] = path_info
    variables[b"SCRIPT_FILENAME"] = request.program
    variables[b"DOCUMENT_ROOT"] = request.directory
    if path_info:
        variables[b"PATH_TRANSLATED"] = _translated(request.directory, path_info)
    if request.content_length is not None:
        variables[b"CONTENT_LENGTH"] = b"%d" % request.content_length
    _add_server(variables, request.behind_proxy)
    _add_remote(variables, request)
    if b"\0" in b"".join(variables.values()):
        raise CgiError(400, "a header holds a NUL byte")
    return variables


def follow_local_redirect(request: CgiRequest, location: bytes) -> CgiRequest | None:
    """Return the request that a local redirect to ``location`` stands for (RFC 3875 §6.2.2).

    It is a GET without a body. None means that ``location`` is outside of this
    program's SCRIPT_NAME, so that the client has to be sent there.
    """
    try:
        here = split_path(split_target(request.target)[1], request.path_info_strip)
        there = split_path(split_target(location)[1], request.path_info_strip)
    except CgiError:
        return None
    if here[0] != there[0]:
        return None
    headers = [(n, v) for n, v in request.headers if not n.lower().startswith(b"content-")]
    return dataclasses.replace(
        request, method=b"GET", target=location, headers=headers, content_length=None
    )


def _variable(name: bytes) -> bytes:
    """Return the variable of the header ``name``, empty where it is not passed on."""
    key = name.translate(_TO_VARIABLE)
    if not key or key in _DROPPED or b"\0" in key or key.startswith(b"PROXY_"):
        return b""
    return key if key == b"CONTENT_TYPE" else b"HTTP_" + key


# What nearly every request has, as a proxy spells it: halves the time for ten headers.
_COMMON = {
    name: _variable(name)
    for name in (
        b"Accept Accept-Encoding Accept-Language Authorization Cache-Control Content-Type Cookie"
        b" Host Origin Referer User-Agent X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto"
    ).split()
}


def _header_variables(headers: Headers) -> dict[bytes, bytes]:
    variables: dict[bytes, bytes] = {}
    for name, value in headers:
        key = _COMMON.get(name) or _variable(name)
        if not key:
            continue
        variables[key] = _joined(key, variables[key], value) if key in variables else value
    connection = variables.pop(b"HTTP_CONNECTION", None)
    if connection is not None:
        for option in connection.split(b","):
            variables.pop(b"HTTP_" + option.strip(b" \t").translate(_TO_VARIABLE), None)
    return variables


def _joined(key: bytes, first: bytes, second: bytes) -> bytes:
    if key in _SINGLE:
        name = key.removeprefix(b"HTTP_").replace(b"_", b"-").decode().title()
        raise CgiError(400, f"{name} is given twice")
    return first + (b"; " if key == b"HTTP_COOKIE" else b", ") + second


def _translated(directory: bytes, path_info: bytes) -> bytes:
    """Return where ``path_info`` would lie below ``directory``; its dots are resolved already."""
    while b"//" in path_info:
        path_info = path_info.replace(b"//", b"/")
    return directory.rstrip(b"/") + path_info


def _add_server(variables: dict[bytes, bytes], behind_proxy: bool) -> None:
    """Set SERVER_NAME, SERVER_PORT (RFC 3875 §4.1.14, §4.1.15) and the scheme."""
    host = variables.get(b"HTTP_HOST", b"")
    secure = False
    if behind_proxy:
        host = _leftmost(variables, b"HTTP_X_FORWARDED_HOST") or host
        secure = _leftmost(variables, b"HTTP_X_FORWARDED_PROTO").lower() == b"https"
    match = _HOST.fullmatch(host)
    if match is None:
        raise CgiError(400, "malformed Host")
    name, port = match.groups()
    variables[b"SERVER_NAME"] = name or b"localhost"
    variables[b"SERVER_PORT"] = port or (b"443" if secure else b"80")
    variables[b"REQUEST_SCHEME"] = b"https" if secure else b"http"
    if secure:
        variables[b"HTTPS"] = b"on"


def _add_remote(variables: dict[bytes, bytes], request: CgiRequest) -> None:
    """Set REMOTE_ADDR and REMOTE_HOST (RFC 3875 §4.1.8, §4.1.9), REMOTE_PORT where known."""
    address, port = request.peer or (b"", 0)
    if request.behind_proxy:
        forwarded = _leftmost(variables, b"HTTP_X_FORWARDED_FOR")
        if _is_address(forwarded):
            address, port = forwarded, 0
    if b"." in address and b":" in address:
        address = address.rpartition(b":")[2]  # an IPv4 peer of a socket that takes both
    variables[b"REMOTE_ADDR"] = address
    if address:
        variables[b"REMOTE_HOST"] = address
    if port:
        variables[b"REMOTE_PORT"] = b"%d" % port


def _leftmost(variables: dict[bytes, bytes], name: bytes) -> bytes:
    return variables.get(name, b"").partition(b",")[0].strip(b" \t")


def _is_address(text: bytes) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6 if b":" in text else socket.AF_INET, text.decode("ascii"))
    except (OSError, ValueError):
        return False
    return True
