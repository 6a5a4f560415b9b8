"""What the kernel says of processes (proc(5)), for tests that count them."""

from __future__ import annotations

import os

from tests.integration.support.waiting import wait_until


def is_alive(pid: int) -> bool:
    """Whether ``pid`` runs; a zombie does not."""
    stat = _stat(pid)
    return stat is not None and stat[0] not in "ZX"


def wait_gone(*pids: int) -> None:
    """Wait until none of ``pids`` runs."""
    wait_until(lambda: not any(map(is_alive, pids)), f"the end of {pids}")


def descendants(pid: int) -> set[int]:
    """Return the living processes below ``pid``."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        stat = _stat(int(name)) if name.isdigit() else None
        if stat is not None and stat[0] not in "ZX":
            parents.setdefault(stat[1], []).append(int(name))
    found: set[int] = set()
    todo = [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found.update(children)
        todo += children
    return found


def count_fds(pid: int) -> int:
    """Return how many descriptors ``pid`` has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def count_threads(pid: int) -> int:
    """Return how many threads ``pid`` has."""
    return len(os.listdir(f"/proc/{pid}/task"))


def resident(pid: int, key: str = "VmRSS") -> int:
    """Return the bytes of memory that ``pid`` holds, or held at most (VmHWM)."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    raise AssertionError(f"/proc/{pid}/status has no {key}")


def _stat(pid: int) -> tuple[str, int] | None:
    """Return a process's state and its parent."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            words = file.read().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return words[0], int(words[1])
