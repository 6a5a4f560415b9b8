"""Durations and sizes as people write them: ``"30s"``, ``"16MiB"``.

Seconds are floats and sizes are whole bytes everywhere inside Conductor; only
declarations and messages use the written form.
"""

from __future__ import annotations

import re

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_UNITS = {
    "": 1,
    "B": 1,
    "K": 1024,
    "KiB": 1024,
    "M": 1024**2,
    "MiB": 1024**2,
    "G": 1024**3,
    "GiB": 1024**3,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|min|s|m|h|d)", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([A-Za-z]*)", re.ASCII)


def parse_duration(text: str) -> float:
    """Return the seconds that ``text`` means: ``"250ms"``, ``"30s"``, ``"1m30s"``, ``"0"``.

    Raises ValueError with a sentence that says what is allowed.
    """
    if text == "0":
        return 0.0
    position, seconds = 0, 0.0
    while match := _DURATION.match(text, position):
        seconds += float(match[1]) * _DURATION_UNITS[match[2]]
        position = match.end()
    if position != len(text) or position == 0:
        raise ValueError(f'{text!r} is no duration; write it like "250ms", "30s" or "1m30s"')
    return seconds


def format_duration(seconds: float) -> str:
    """Return ``seconds`` for people: ``0.0042`` is ``4.2ms``, ``90`` is ``1m30s``."""
    if seconds < 1:
        return f"{seconds * 1000:.3g}ms"
    if seconds < 60:
        return f"{seconds:.3g}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = zip((days, hours, minutes, rest), "dhms", strict=True)
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def parse_size(text: str) -> int:
    """Return the bytes that ``text`` means: ``"16MiB"``, ``"4096"``, ``"1.5G"``.

    K, M and G are binary, as in systemd's directives. Raises ValueError.
    """
    match = _SIZE.fullmatch(text)
    if match is None or match[2] not in _SIZE_UNITS:
        raise ValueError(f'{text!r} is no size; write it like "4096", "64KiB" or "16MiB"')
    return int(float(match[1]) * _SIZE_UNITS[match[2]])


def format_size(size: float) -> str:
    """Return ``size`` bytes for people: ``16777216`` is ``16MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.3g}{unit}" if size < 1000 else f"{size:.0f}{unit}"
