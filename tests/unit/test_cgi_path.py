"""The path is cut into SCRIPT_NAME and PATH_INFO, and none that could trick a program passes."""

from __future__ import annotations

import os.path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.cgi_adapter import CgiError, CgiRequest, follow_local_redirect, meta_variables


def request(
    target: bytes, strip: int = 2, method: bytes = b"GET", length: int | None = None
) -> CgiRequest:
    return CgiRequest(
        method=method,
        target=target,
        headers=[(b"Host", b"h"), (b"Content-Type", b"text/plain"), (b"Cookie", b"a=b")],
        version=b"1.1",
        content_length=length,
        path_info_strip=strip,
        program=b"/srv/f",
        directory=b"/srv",
        peer=None,
        behind_proxy=False,
    )


@pytest.mark.parametrize(
    ("target", "strip", "script_name", "path_info"),
    [
        (b"/cgi/f/a/b", 2, b"/cgi/f", b"/a/b"),
        (b"/cgi/f", 2, b"/cgi/f", b""),
        (b"/cgi/f/", 2, b"/cgi/f", b"/"),
        (b"/cgi", 2, b"/cgi", b""),
        (b"/cgi/", 2, b"/cgi", b""),
        (b"/", 2, b"", b""),
        (b"/", 0, b"", b"/"),
        (b"/a/b", 0, b"", b"/a/b"),
        (b"//a", 0, b"", b"//a"),
        (b"/a/b", 1, b"/a", b"/b"),
        (b"//cgi//f//a", 2, b"/cgi/f", b"//a"),
        (b"/cgi/f/a%20b", 2, b"/cgi/f", b"/a b"),
        (b"/cgi/%66/a", 2, b"/cgi/f", b"/a"),
        (b"/cgi%2Ff/a%2Fb", 2, b"/cgi/f", b"/a/b"),
        (b"/cgi/f/%C3%A4%0A", 2, b"/cgi/f", b"/\xc3\xa4\n"),
        (b"/cgi/f/http://x/", 2, b"/cgi/f", b"/http://x/"),
        (b"/cgi/f/.hidden/..x", 2, b"/cgi/f", b"/.hidden/..x"),
        (b"/cgi/f/a/../b", 2, b"/cgi/f", b"/b"),
        (b"/cgi/f/a/./b/.", 2, b"/cgi/f", b"/a/b/"),
        (b"/cgi/f/a/%2e%2E", 2, b"/cgi/f", b"/"),
        (b"/cgi/f?/a/../..", 2, b"/cgi/f", b""),
    ],
)
def test_the_path_is_cut_after_n_segments(
    target: bytes, strip: int, script_name: bytes, path_info: bytes
) -> None:
    found = meta_variables(request(target, strip))
    assert (found[b"SCRIPT_NAME"], found[b"PATH_INFO"]) == (script_name, path_info)


@pytest.mark.parametrize(
    "target",
    [
        b"/cgi/f/%00",
        b"/%00",
        b"/cgi/f/%",
        b"/cgi/f/%4",
        b"/cgi/f/%zz",
        b"/cgi/f/%+1",
        b"/cgi/f/..",
        b"/cgi/f/../g/secret",
        b"/cgi/f/a/..%2f..%2Fetc/passwd",
        b"/cgi/f/%2e%2e/x",
        b"/cgi/../f/x",
        b"/./cgi/f",
        b"/cgi/..",
    ],
)
def test_a_path_that_no_program_should_see_is_refused(target: bytes) -> None:
    with pytest.raises(CgiError) as caught:
        meta_variables(request(target))
    assert caught.value.status == 400


def test_path_translated_is_where_the_path_lies_in_the_directory() -> None:
    assert meta_variables(request(b"/cgi/f//a///b"))[b"PATH_TRANSLATED"] == b"/srv/a/b"
    assert b"PATH_TRANSLATED" not in meta_variables(request(b"/cgi/f"))


@given(
    st.lists(
        st.sampled_from([b"a", b"..", b".", b"/", b"%2e", b"%2F", b"%41", b"..."]), max_size=12
    ),
    st.integers(0, 3),
)
def test_no_path_is_translated_out_of_the_directory(parts: list[bytes], strip: int) -> None:
    try:
        found = meta_variables(request(b"/" + b"".join(parts), strip))
    except CgiError:
        return
    translated = found.get(b"PATH_TRANSLATED", b"/srv/")
    normal = os.path.normpath(translated)
    assert normal == b"/srv" or normal.startswith(b"/srv/")
    assert not {b"..", b"."} & set(translated.split(b"/"))


@given(st.binary())
def test_any_target_gives_variables_or_a_refusal(target: bytes) -> None:
    try:
        values = [*meta_variables(request(b"/" + target)).values()]
        status = 400
    except CgiError as error:
        values, status = [], error.status
    assert b"\0" not in b"".join(values)
    assert status == 400


def test_a_local_redirect_is_followed_as_a_get_without_the_body() -> None:
    there = follow_local_redirect(request(b"/cgi/f/a", 2, b"POST", 5), b"/cgi/f/b?x")
    assert there is not None
    found = meta_variables(there)
    assert (found[b"REQUEST_METHOD"], found[b"PATH_INFO"]) == (b"GET", b"/b")
    assert found[b"QUERY_STRING"] == b"x"
    assert found[b"HTTP_COOKIE"] == b"a=b"
    assert not {b"CONTENT_LENGTH", b"CONTENT_TYPE"} & found.keys()


@pytest.mark.parametrize("location", [b"/cgi/g/a", b"/", b"/cgi/f/..", b"/cgi/f/%00"])
def test_a_local_redirect_elsewhere_is_left_to_the_client(location: bytes) -> None:
    assert follow_local_redirect(request(b"/cgi/f/a"), location) is None
