"""What is compared with what, under which loads: the one table of the load tests.

A comparison is two targets that run the same worker, ``subject`` through
Conductor and ``baseline`` without it, and the loads that both are put under.
A load lasts a share of what ``--seconds`` says, so that one number scales the
whole run. The limits that figures are held to are ``thresholds``' matter.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from tests.load import targets
from tests.load.targets import Target

CLOSED_8 = "8 connections"
CLOSED_1 = "1 connection"


class Compared(enum.Enum):
    """Which figure says how subject and baseline relate under a load."""

    THROUGHPUT = "throughput"  # answers a second: above 1 is better
    P50 = "p50"  # median latency: below 1 is better


@dataclass(frozen=True, slots=True)
class Closed:
    """Connections that ask as soon as they are answered: throughput."""

    connections: int
    share: float  # of --seconds
    compared: ClassVar[Compared] = Compared.THROUGHPUT

    @property
    def name(self) -> str:
        """What the load is called, on screen and in reports."""
        return CLOSED_1 if self.connections == 1 else f"{self.connections} connections"


@dataclass(frozen=True, slots=True)
class Open:
    """Requests at a constant rate, however late the answers: latency."""

    rate: float  # requests a second
    share: float  # of --seconds
    connections: int = 64  # at most
    compared: ClassVar[Compared] = Compared.P50

    @property
    def name(self) -> str:
        """What the load is called, on screen and in reports."""
        return f"{self.rate:g} requests/s"


Load = Closed | Open


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two targets under the same loads."""

    name: str
    title: str  # for people
    subject: Target
    baseline: Target
    loads: tuple[Load, ...]

    @property
    def targets(self) -> tuple[Target, Target]:
        """Both, in the order in which they are measured."""
        return self.subject, self.baseline


SLOWER_THAN_SPARES = Open(rate=3, share=4 / 3)

COMPARISONS = (
    Comparison(
        "multishot",
        "A multi-shot worker: through Conductor, and directly behind Caddy",
        targets.MULTISHOT,
        targets.MULTISHOT_DIRECT,
        (Closed(8, share=1), Closed(1, share=1 / 3), Open(rate=500, share=2 / 3)),
    ),
    Comparison(
        "sdactivate",
        "A socket-activated daemon: through Conductor, and directly behind Caddy",
        targets.DAEMON,
        targets.DAEMON_DIRECT,
        (Closed(8, share=1 / 2), Closed(1, share=1 / 3)),
    ),
    Comparison(
        "cgi-preload",
        "Python CGI with imports: through Conductor with preload, and through fcgiwrap",
        targets.IMPORTS_PRELOAD,
        targets.IMPORTS_FCGIWRAP,
        (Closed(8, share=1), Closed(1, share=1 / 3)),
    ),
    Comparison(
        "cgi-plain",
        "The same script without preload, asked more slowly than spares are made",
        targets.IMPORTS_PLAIN,
        targets.IMPORTS_FCGIWRAP,
        (SLOWER_THAN_SPARES,),
    ),
    Comparison(
        "cgi-bash",
        "A bash CGI script, started by execve: through Conductor, and through fcgiwrap",
        targets.HELLO,
        targets.HELLO_FCGIWRAP,
        (Closed(8, share=1 / 2), Closed(1, share=1 / 3)),
    ),
)
