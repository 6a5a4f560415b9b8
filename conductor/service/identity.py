"""Who is who: the ids of a service and of its parts.

A service's id is a digest of its declaration in canonical JSON (RFC 8785), so
it changes with what the declaration says and not with how it is laid out or
commented. A part's id adds the part's name and the contents of the files that
its declaration names, because an edited script is a new part although the
JSON is the old one. Neither depends on the machine or on where the directory
lies: two machines with the same service agree on the ids.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import Any

import rfc8785

from conductor.errors import DeclarationError
from conductor.service.loading import Declaration

_ID_BYTES = 16


def service_id(declaration: Declaration) -> str:
    """Return the service's id, 32 hexadecimal digits.

    Raises DeclarationError for a number that canonical JSON cannot hold.
    """
    try:
        return _digest(declaration.data)
    except rfc8785.CanonicalizationError:
        raise DeclarationError(
            declaration.file, "", "holds a number that JSON does not keep exactly; write it as text"
        ) from None


def part_id(service: str, name: str, directory: str, words: Iterable[str]) -> str:
    """Return the id of the part ``name`` of the service with the id ``service``.

    ``words`` are what the part's declaration names; those that are files inside
    ``directory`` count with their contents.
    """
    files = {word: _file_digest(path) for word in words if (path := _own_file(directory, word))}
    return _digest({"service": service, "part": name, "files": files})


def _digest(data: Any) -> str:
    return hashlib.shake_256(rfc8785.dumps(data)).hexdigest(_ID_BYTES)


def _own_file(directory: str, word: str) -> str | None:
    path = os.path.normpath(os.path.join(directory, word))
    inside = path.startswith(os.path.join(directory, ""))
    return path if inside and os.path.isfile(path) and os.access(path, os.R_OK) else None


def _file_digest(path: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
