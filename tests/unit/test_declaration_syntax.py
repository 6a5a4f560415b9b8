"""A declaration is JSON with comments and trailing commas, and a mistake in it has a place."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.errors import DeclarationError, UserError
from conductor.service.loading import MAX_BYTES, load_declaration, parse_json

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ('{"a": 1} // the end', {"a": 1}),
        ('{"a": 1, /* two\nlines */ "b": 2}', {"a": 1, "b": 2}),
        ('{"a": "no // comment, /* none */ either"}', {"a": "no // comment, /* none */ either"}),
        (r'{"a": "quoted \" // still text"}', {"a": 'quoted " // still text'}),
        ('{"a": [1, 2,], "b": {"c": "x",\n},}', {"a": [1, 2], "b": {"c": "x"}}),
        ('{"a": ",]", /* , */ }', {"a": ",]"}),
        ('{"a": true, // why\n}', {"a": True}),
        ('\ufeff{"a": null}', {"a": None}),
        ("/**/[]", []),
    ],
)
def test_comments_and_trailing_commas_mean_nothing(text: str, meaning: Any) -> None:
    assert parse_json(text.encode(), "f.json") == meaning


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(',"\\\\/*]} \n'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('a,"/*'), inner),
)


@given(VALUES)
def test_a_declaration_means_the_same_with_comments_and_commas_all_over(value: Any) -> None:
    separators = (" /* , */ , // ,\n", "/**/:\n/* : */")
    text = json.dumps(value, indent=1, separators=separators)
    assert parse_json(text.encode(), "f.json") == value
    with_commas = re.sub(r"(?<=[^\[{,\s])(?=\n *[\]}])", " , // last", text)
    assert parse_json(with_commas.encode(), "f.json") == value


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{\n "a": 1\n "b": 2}', "f.json:3: Expecting ',' delimiter (column 2)"),
        ('{/* a\nb\nc */ "a": tru}', "f.json:3: Expecting value (column 11)"),
        ('{"a": 1,\n\n// one\n "b" 2}', "f.json:4: Expecting ':' delimiter (column 6)"),
        ("[1,,]", "f.json:1: "),
        ("[,]", "f.json:1: "),
        ("{,}", "f.json:1: "),
        ('{"a",}', "f.json:1: "),
        ("", "f.json:1: "),
        ("{'a': 1}", "f.json:1: "),
        ('{"a": 1} {', "f.json:1: Extra data"),
        ('{"a": 1}\n/* for ever', "f.json:2: this comment is never closed with */"),
        ("/*/", "f.json:1: this comment is never closed with */"),
        ('{"a": "for ever\n}', "f.json:1: "),
        ('{"a": NaN}', "f.json: NaN is no JSON value; write the number, or text"),
        ('{"a": 1, "a": 2}', 'f.json: the key "a" stands twice in one object; keep one of them'),
        ("[" * 100_000, "f.json: is nested too deeply"),
        ("9" * 5000, "f.json: "),
    ],
)
def test_a_syntax_error_names_the_file_and_the_line(text: str, complaint: str) -> None:
    with pytest.raises(DeclarationError) as error:
        parse_json(text.encode(), "f.json")
    assert str(error.value).startswith(complaint)
    assert "\n" not in str(error.value)


def test_what_is_not_utf_8_is_refused_with_its_line() -> None:
    with pytest.raises(DeclarationError, match=r"f\.json:2: is not UTF-8 text"):
        parse_json(b'{\n"a": "\xff"}', "f.json")


def test_hostile_text_is_read_in_one_pass() -> None:
    for text in (
        "/*" * 50_000,
        '"\\"' * 40_000,
        "," * 60_000,
        "[ " * 40_000 + ",",
        "1 " * 50_000,
    ):
        with pytest.raises(DeclarationError):
            parse_json(text.encode(), "f.json")


def test_a_declaration_has_a_size(tmp_path: Path) -> None:
    (tmp_path / "conductor-service.json").write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(UserError, match="too large for a declaration"):
        load_declaration(str(tmp_path))


@pytest.mark.parametrize("text", ["[]", '"x"', "3", "null"])
def test_a_declaration_is_an_object(tmp_path: Path, text: str) -> None:
    (tmp_path / "conductor-service.json").write_text(text)
    with pytest.raises(UserError, match=r"conductor-service.json: must hold an object"):
        load_declaration(str(tmp_path))


def test_a_directory_without_a_declaration_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no conductor-service\.json"):
        load_declaration(str(tmp_path))
    with pytest.raises(UserError, match="does not exist"):
        load_declaration(str(tmp_path / "nowhere"))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is no directory"):
        load_declaration(str(tmp_path / "file"))
