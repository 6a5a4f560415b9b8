"""The journal's door: one entry with fields (systemd.journal-fields(7))."""

from __future__ import annotations

from typing import Any

from systemd import journal


def send(message: str, priority: int, fields: dict[str, Any]) -> None:
    """Write one entry; ``priority`` is syslog(3)'s, ``fields`` have names in capitals."""
    text = {key: str(value) for key, value in fields.items()}
    journal.send(message, PRIORITY=str(priority), SYSLOG_IDENTIFIER="conductor", **text)
