"""A request becomes the meta-variables of RFC 3875 §4.1, and none that deceive a program."""

from __future__ import annotations

import dataclasses

import pytest

from conductor.cgi_adapter import CgiError, CgiRequest, is_meta_variable, meta_variables
from conductor.http1.messages import Headers

REQUEST = CgiRequest(
    method=b"GET",
    target=b"/cgi/app.production.f/a/b?x=1&y=%20",
    headers=[(b"Host", b"example.com")],
    version=b"1.1",
    content_length=None,
    path_info_strip=2,
    program=b"/srv/app/f.py",
    directory=b"/srv/app",
    peer=(b"192.0.2.7", 40000),
    behind_proxy=False,
)


def variables(headers: Headers | None = None, **changes: object) -> dict[bytes, bytes]:
    if headers is not None:
        changes["headers"] = headers
    return meta_variables(dataclasses.replace(REQUEST, **changes))  # type: ignore[arg-type]  # fields by name


def forwarded(*headers: tuple[bytes, bytes], behind_proxy: bool = True) -> dict[bytes, bytes]:
    host = (b"Host", b"example.com")
    return variables([host, *headers], behind_proxy=behind_proxy, peer=None)


def refusal(headers: Headers | None = None, **changes: object) -> str:
    with pytest.raises(CgiError) as caught:
        variables(headers, **changes)
    assert caught.value.status == 400
    return str(caught.value)


def test_a_plain_get_has_every_variable_of_the_rfc() -> None:
    found = variables()
    assert found.pop(b"SERVER_SOFTWARE").startswith(b"conductor/")
    assert found == {
        b"DOCUMENT_ROOT": b"/srv/app",
        b"GATEWAY_INTERFACE": b"CGI/1.1",
        b"HTTP_HOST": b"example.com",
        b"PATH_INFO": b"/a/b",
        b"PATH_TRANSLATED": b"/srv/app/a/b",
        b"QUERY_STRING": b"x=1&y=%20",
        b"REMOTE_ADDR": b"192.0.2.7",
        b"REMOTE_HOST": b"192.0.2.7",
        b"REMOTE_PORT": b"40000",
        b"REQUEST_METHOD": b"GET",
        b"REQUEST_SCHEME": b"http",
        b"REQUEST_URI": b"/cgi/app.production.f/a/b?x=1&y=%20",
        b"SCRIPT_FILENAME": b"/srv/app/f.py",
        b"SCRIPT_NAME": b"/cgi/app.production.f",
        b"SERVER_NAME": b"example.com",
        b"SERVER_PORT": b"80",
        b"SERVER_PROTOCOL": b"HTTP/1.1",
    }


def test_every_variable_that_is_set_is_known_as_a_meta_variable() -> None:
    found = forwarded((b"X-Forwarded-Proto", b"https"), (b"Content-Type", b"text/plain"))
    found |= variables(content_length=0)
    assert all(is_meta_variable(name) for name in found)
    assert not is_meta_variable(b"PATH")


def test_a_body_has_its_length_and_its_type() -> None:
    found = variables([(b"Content-Type", b"text/plain"), (b"Content-Length", b"7")])
    assert b"CONTENT_LENGTH" not in found
    assert found[b"CONTENT_TYPE"] == b"text/plain"
    assert b"HTTP_CONTENT_TYPE" not in found
    assert b"HTTP_CONTENT_LENGTH" not in found
    assert variables(content_length=7)[b"CONTENT_LENGTH"] == b"7"
    assert variables(content_length=0)[b"CONTENT_LENGTH"] == b"0"


def test_no_query_is_an_empty_query_string() -> None:
    assert variables(target=b"/cgi/f")[b"QUERY_STRING"] == b""
    assert variables(target=b"/cgi/f?a?b")[b"QUERY_STRING"] == b"a?b"


# --- headers


def test_repeated_headers_are_joined_and_cookies_with_semicolons() -> None:
    found = variables(
        [(b"Accept", b"a"), (b"cookie", b"x=1"), (b"ACCEPT", b"b"), (b"Cookie", b"y=2")]
    )
    assert found[b"HTTP_ACCEPT"] == b"a, b"
    assert found[b"HTTP_COOKIE"] == b"x=1; y=2"


def test_a_proxy_header_never_becomes_http_proxy() -> None:
    found = variables([(b"Proxy", b"http://evil"), (b"proxy-Authorization", b"x")])
    assert not [name for name in found if b"PROXY" in name]


@pytest.mark.parametrize("name", [b"X_Real_Ip", b"X.Y", b"X-\xc3\x84", b"X$", b"=", b""])
def test_a_header_whose_name_could_collide_is_dropped(name: bytes) -> None:
    assert variables([(name, b"1")]).keys() == variables([]).keys()


def test_headers_about_the_connection_are_dropped_and_those_it_names() -> None:
    found = variables(
        [
            (b"Connection", b"keep-alive, X-Secret , HTTP2-Settings"),
            (b"Keep-Alive", b"5"),
            (b"TE", b"trailers"),
            (b"Trailer", b"X"),
            (b"Transfer-Encoding", b"chunked"),
            (b"Upgrade", b"h2c"),
            (b"HTTP2-Settings", b"x"),
            (b"X-Secret", b"x"),
            (b"X-Kept", b"x"),
        ]
    )
    assert [name for name in found if name.startswith(b"HTTP_")] == [b"HTTP_X_KEPT"]


def test_authorization_is_passed_and_no_user_is_claimed() -> None:
    found = variables([(b"Authorization", b"Basic dTpw")])
    assert found[b"HTTP_AUTHORIZATION"] == b"Basic dTpw"
    assert not {b"AUTH_TYPE", b"REMOTE_USER"} & found.keys()


@pytest.mark.parametrize("name", [b"Host", b"Content-Type", b"Authorization"])
def test_a_header_of_which_two_readers_would_take_different_ones_is_refused(name: bytes) -> None:
    assert refusal([(name, b"a"), (name, b"a")]) == f"{name.decode()} is given twice"


def test_nul_in_any_value_is_refused() -> None:
    assert "NUL" in refusal([(b"X", b"a\0b")])
    assert "NUL" in refusal(target=b"/cgi/f?\0")


# --- server


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        (b"example.com", b"example.com", b"80"),
        (b"example.com:8080", b"example.com", b"8080"),
        (b"example.com:", b"example.com", b"80"),
        (b"[2001:db8::1]", b"[2001:db8::1]", b"80"),
        (b"[::ffff:192.0.2.1]:81", b"[::ffff:192.0.2.1]", b"81"),
        (b"a_b.internal", b"a_b.internal", b"80"),
        (b"", b"localhost", b"80"),
    ],
)
def test_the_host_header_names_server_and_port(host: bytes, name: bytes, port: bytes) -> None:
    found = variables([(b"Host", host)])
    assert (found[b"SERVER_NAME"], found[b"SERVER_PORT"]) == (name, port)


@pytest.mark.parametrize(
    "host", [b"a b", b"a/b", b"a@b", b"::1", b"[::1", b"a:b", b"a:123456", b"<x>", b"a, b", b"a\n"]
)
def test_a_malformed_host_is_refused(host: bytes) -> None:
    assert refusal([(b"Host", host)]) == "malformed Host"


def test_without_a_host_the_server_is_localhost() -> None:
    assert variables([], version=b"1.0")[b"SERVER_NAME"] == b"localhost"


def test_an_absolute_target_overrides_the_host() -> None:
    found = variables(target=b"http://other:81/cgi/f?q")
    assert found[b"HTTP_HOST"] == b"other:81"
    assert found[b"SERVER_NAME"] == b"other"
    assert found[b"REQUEST_URI"] == b"/cgi/f?q"
    assert found[b"SCRIPT_NAME"] == b"/cgi/f"
    assert variables(target=b"HTTP://other?q")[b"REQUEST_URI"] == b"/?q"


def test_options_for_the_whole_server_has_no_path() -> None:
    found = variables(method=b"OPTIONS", target=b"*")
    assert (found[b"SCRIPT_NAME"], found[b"PATH_INFO"], found[b"REQUEST_URI"]) == (b"", b"", b"*")


@pytest.mark.parametrize(
    "target", [b"", b"a", b"host:80", b"ftp://h/", b"http://u@h/", b"http:///x", b"/a#b", b"**"]
)
def test_a_target_that_is_no_path_is_refused(target: bytes) -> None:
    refusal(target=target)


# --- client


def test_behind_our_proxy_the_forwarded_headers_describe_the_client() -> None:
    found = forwarded(
        (b"X-Forwarded-For", b"203.0.113.9, 10.0.0.1"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"public.example:8443"),
    )
    assert found[b"REMOTE_ADDR"] == found[b"REMOTE_HOST"] == b"203.0.113.9"
    assert b"REMOTE_PORT" not in found
    assert (found[b"HTTPS"], found[b"REQUEST_SCHEME"]) == (b"on", b"https")
    assert (found[b"SERVER_NAME"], found[b"SERVER_PORT"]) == (b"public.example", b"8443")
    assert found[b"HTTP_HOST"] == b"example.com"
    assert found[b"HTTP_X_FORWARDED_FOR"] == b"203.0.113.9, 10.0.0.1"


def test_the_port_follows_the_scheme_where_no_host_says_it() -> None:
    assert forwarded((b"X-Forwarded-Proto", b"https"))[b"SERVER_PORT"] == b"443"
    found = forwarded((b"X-Forwarded-Proto", b"gopher"))
    assert (found[b"SERVER_PORT"], found[b"REQUEST_SCHEME"]) == (b"80", b"http")


def test_without_a_proxy_forwarded_headers_are_only_headers() -> None:
    found = forwarded(
        (b"X-Forwarded-For", b"203.0.113.9"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"public.example"),
        behind_proxy=False,
    )
    assert found[b"REMOTE_ADDR"] == b""
    assert b"REMOTE_HOST" not in found
    assert b"HTTPS" not in found
    assert found[b"SERVER_NAME"] == b"example.com"
    assert found[b"HTTP_X_FORWARDED_PROTO"] == b"https"


@pytest.mark.parametrize("claim", [b"unknown", b"", b"1.2.3", b"x'; drop", b"[::1]:80", b"\xff"])
def test_a_forwarded_address_that_is_none_is_not_believed(claim: bytes) -> None:
    assert forwarded((b"X-Forwarded-For", claim))[b"REMOTE_ADDR"] == b""


def test_an_ipv4_peer_of_a_dual_socket_is_written_as_ipv4() -> None:
    assert variables(peer=(b"::ffff:192.0.2.1", 5))[b"REMOTE_ADDR"] == b"192.0.2.1"
    assert forwarded((b"X-Forwarded-For", b"2001:db8::1"))[b"REMOTE_ADDR"] == b"2001:db8::1"
