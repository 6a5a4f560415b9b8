"""Where a run took place: what a reader needs to know to believe its figures."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any, Self

TIMEOUT = 10.0  # seconds for a program to tell its version
_IDLE, _WAITING, _STOLEN = 3, 4, 7  # columns of the cpu line of proc_stat(5)
_COUNTED = 8  # guest time, after these, is in user time already


@dataclass(frozen=True, slots=True)
class Processors:
    """The machine's processor time so far, in clock ticks."""

    total: int
    idle: int
    stolen: int

    @classmethod
    def now(cls) -> Self:
        """Read /proc/stat."""
        with open("/proc/stat", encoding="ascii") as stat:
            columns = [int(column) for column in stat.readline().split()[1 : 1 + _COUNTED]]
        return cls(sum(columns), columns[_IDLE] + columns[_WAITING], columns[_STOLEN])

    def shares_since(self, earlier: Self) -> tuple[float, float]:
        """Return which part of the processors was busy since, and which was stolen; 0 to 1."""
        total = max(1, self.total - earlier.total)
        stolen = (self.stolen - earlier.stolen) / total
        return 1 - (self.idle - earlier.idle) / total - stolen, stolen


def facts() -> dict[str, Any]:
    """Return the machine and the versions of what was measured and measured with."""
    return {
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024**2,
        "kernel": f"{platform.system()} {platform.release()}",
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "conductor": importlib.metadata.version("conductor"),
        "uvloop": importlib.metadata.version("uvloop"),
        "caddy": _first_line("caddy", "version"),
        "fcgiwrap": _first_line("dpkg-query", "--show", "--showformat=${Version}", "fcgiwrap"),
    }


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as info:
        for line in info:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.machine()


def _first_line(*command: str) -> str:
    """Return what a command prints, "" when it cannot be had."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.partition("\n")[0].strip() if done.returncode == 0 else ""
