"""Reading ``conductor-service.json``: from a directory to a checked Service.

The file is JSON in which comments and trailing commas are allowed. Both are
overwritten with spaces before the JSON parser sees the text, so that the line
and column of a syntax error are those of the file; a library that removes
them, or a whole JSON5 parser, would lose the place or accept a second
language. Every other mistake is told with its key path, all at once: a person
who mends a declaration wants the list, not the first item of it.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError

from conductor.errors import DeclarationError, UserError
from conductor.service.model import Service

FILE_NAME = "conductor-service.json"
MAX_BYTES = 1024 * 1024  # bytes of a declaration
MAX_DEPTH = 64  # objects and lists in one another

# Strings match first, so that nothing in them is taken for more. One that never
# ends, and a comment that never ends, match too, so that hostile text costs one pass.
_STRING = r'"(?:[^"\\\n]|\\.)*"?'
_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_MAYBE_COMMA = re.compile(rf'({_STRING}|[^\s",\[{{:]+)(\s*,(?=\s*[\]}}]))?', re.DOTALL)
_UNUSABLE = re.compile("[\0\ud800-\udfff]")

# What pydantic calls a mistake, and how the sentence goes on.
_SENTENCES = {
    "missing": "is missing",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}
_SHOWN = ("greater_than_equal", "less_than_equal", "enum", "literal_error")  # with what was given


class BadDeclarationsError(UserError):
    """Several mistakes, one sentence a line."""

    def __init__(self, errors: Sequence[UserError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in errors))


@dataclass(frozen=True, slots=True)
class Declaration:
    """One service as it was declared."""

    file: str  # the declaring file, as messages name it
    directory: str  # the service directory, absolute
    service: Service
    data: dict[str, Any]  # the JSON as written: what the identity is made of


def load_declaration(directory: str) -> Declaration:
    """Return the service that ``directory`` declares.

    Raises UserError for a file that cannot be read, BadDeclarationsError for what it says.
    """
    file = os.path.join(directory, FILE_NAME)
    data = parse_json(_read(directory, file), file)
    if not isinstance(data, dict):
        raise DeclarationError(file, "", "must hold an object: { ... }")
    problems = [DeclarationError(file, key, problem) for key, problem in _unusable(data, "")]
    if problems:
        raise BadDeclarationsError(problems)
    try:
        service = Service.model_validate(data)
    except ValidationError as error:
        raise BadDeclarationsError(_translate(error, file)) from None
    return Declaration(file, os.path.abspath(directory), service, data)


def parse_json(raw: bytes, file: str) -> Any:
    """Return what ``raw`` means, JSON with comments and trailing commas.

    Raises DeclarationError naming ``file`` and the line.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DeclarationError(f"{file}:{line}", "", "is not UTF-8 text") from None
    try:
        return json.loads(
            _blank_extensions(text, file),
            parse_constant=_refuse_constant,
            object_pairs_hook=_refuse_twice,
        )
    except json.JSONDecodeError as error:
        place = f"{file}:{error.lineno}"
        raise DeclarationError(place, "", f"{error.msg} (column {error.colno})") from None
    except RecursionError:
        raise DeclarationError(file, "", "is nested too deeply") from None
    except ValueError as error:
        raise DeclarationError(file, "", str(error)) from None


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return '; did you mean "x"?' when one of ``known`` is close to ``word``, else nothing."""
    close = difflib.get_close_matches(word, known, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def _read(directory: str, file: str) -> bytes:
    if not os.path.isdir(directory):
        problem = "is no directory" if os.path.exists(directory) else "does not exist"
        raise UserError(f"{directory}: {problem}; name a directory that holds {FILE_NAME}")
    if not os.path.isfile(file):
        raise UserError(f"{directory}: holds no {FILE_NAME}, which declares a service")
    try:
        with open(file, "rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise UserError(f"{file}: is larger than {MAX_BYTES} bytes, too large for a declaration")
    return raw


def _blank_extensions(text: str, file: str) -> str:
    def blank(match: re.Match[str]) -> str:
        found = match[0]
        if found.startswith('"'):
            return found
        if found.startswith("/*") and (len(found) < 4 or not found.endswith("*/")):
            line = text.count("\n", 0, match.start()) + 1
            raise DeclarationError(f"{file}:{line}", "", "this comment is never closed with */")
        return re.sub(r"[^\n]", " ", found)

    return _MAYBE_COMMA.sub(
        lambda match: match[1] + (match[2] or "").replace(",", " "), _COMMENT.sub(blank, text)
    )


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value; write the number, or text")


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f'the key "{twice}" stands twice in one object; keep one of them')
    return result


def _unusable(value: Any, key: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield the key and problem of all that no argument, variable or identity can hold."""
    if depth > MAX_DEPTH:
        yield key, "is nested too deeply"
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _unusable(name, f"{key}.{name!a}".lstrip("."))
            yield from _unusable(item, f"{key}.{name}".lstrip("."), depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unusable(item, f"{key}[{index}]", depth + 1)
    elif isinstance(value, str) and _UNUSABLE.search(value):
        yield key, r"must not hold NUL (\u0000) or half of a surrogate pair"


def _translate(error: ValidationError, file: str) -> list[DeclarationError]:
    return [
        DeclarationError(file, _key_path(detail["loc"]), _sentence(detail))
        for detail in error.errors(include_url=False)
    ]


def _key_path(location: tuple[int | str, ...]) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(part for part in parts if part != ".[key]").lstrip(".")


def _sentence(detail: Any) -> str:
    kind, given, location = detail["type"], detail["input"], detail["loc"]
    if kind == "extra_forbidden":
        known = _known_keys(location[:-1])
        return f"is unknown{did_you_mean(location[-1], known)} (known: {', '.join(known)})"
    sentence = _SENTENCES.get(kind, str(detail["msg"])).format(**detail.get("ctx", {}))
    if kind in _SHOWN:
        suggestion = did_you_mean(str(given), re.findall("'(.+?)'", sentence))
        return f"{sentence}, not {given!r}{suggestion}"
    return sentence


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the model that stands at ``location`` in a Service."""
    model: Any = Service
    for part in location:
        if isinstance(part, str):
            annotation = model.model_fields[part].annotation
            model = next(iter(get_args(annotation)), annotation)
    return list(model.model_fields)
