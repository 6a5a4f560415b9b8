"""Printing: tables for people, JSON for programs.

On a terminal a table has colours and fits the width; piped it is plain text in
aligned columns, one row a line, however long.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from conductor.fastfn.requestlog import Entry, format_text

_UNBOUNDED = 100_000  # columns of what is no terminal

_STYLES = {"ready": "green", "idle": "blue", "starting": "yellow", "draining": "yellow"}
_PROBLEM = "red"


def print_json(data: Any) -> None:
    """Print ``data`` for programs."""
    print(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print ``rows`` under ``columns``; a column named with "#" first holds numbers."""
    console = _console()
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column.lstrip("#"), justify="right" if column[0] == "#" else "left")
    for row in rows:
        table.add_row(*(Text(cell, style=_style(cell)) for cell in row))
    _print_lines(console, table)


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one pair a line."""
    console = _console()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in pairs:
        table.add_row(Text(name), Text(value, style=_style(value)))
    _print_lines(console, table)


def print_log_entry(data: dict[str, Any]) -> None:
    """Print one entry of a manager's log, as the manager itself does."""
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(format_text(Entry.from_json(data), colour=colour), end="", flush=True)


def _print_lines(console: Console, table: Table) -> None:
    """Print ``table`` without the spaces that fill its last column."""
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        print(line.rstrip())


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else _UNBOUNDED)


def _style(cell: str) -> str:
    state = cell.partition(",")[0]
    return _PROBLEM if state == "backoff" else _STYLES.get(state, "")
