"""Runs the comparisons: A B A B ..., warmed up, each program started and ended here.

Interleaving is what makes the ratios worth anything: other work on the machine
comes and goes in seconds, and hits both sides of a round alike. Everything is
synchronous but the generators, which get a fresh uvloop for each measurement.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvloop

from tests.load.client import Exchange
from tests.load.comparisons import Closed
from tests.load.generators import ClosedLoop, OpenLoop
from tests.load.latency import Latencies
from tests.load.machine import Processors
from tests.load.results import Results, Round
from tests.load.stage import Stage
from tests.load.timetable import Timetable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.load.client import Address
    from tests.load.comparisons import Comparison, Load
    from tests.load.generators import Sample
    from tests.load.targets import Target

WARM_UP = 1 / 3  # of a round's length, before the first round of each load
PAUSE = 0.25  # seconds before a measurement, for spares to be made anew and sockets to close


def expected_seconds(comparisons: Sequence[Comparison], rounds: int, seconds: float) -> float:
    """Return about how long a run takes."""
    loads = [load for comparison in comparisons for load in comparison.loads]
    return sum(2 * (rounds + WARM_UP) * (load.share * seconds + PAUSE) for load in loads)


def run(
    comparisons: tuple[Comparison, ...], rounds: int, seconds: float, say: Callable[[str], None]
) -> Results:
    """Run everything and return what was measured.

    ``say`` gets a line at a time as it goes. Raises ProcessError when a
    program fails, UserError when one is not installed.
    """
    results = Results(comparisons)
    with Stage(target for comparison in comparisons for target in comparison.targets) as stage:
        for comparison in comparisons:
            say(f"\n{comparison.name}: {comparison.title}")
            with contextlib.ExitStack() as stack:
                for target in comparison.targets:
                    stack.enter_context(stage.serving(target))
                for load in comparison.loads:
                    turn = _Turn(stage.address, comparison, load, load.share * seconds)
                    turn.run(results, rounds, say)
    return results


@dataclass(frozen=True, slots=True)
class _Turn:
    """One load of a comparison, all its rounds."""

    address: Address
    comparison: Comparison
    load: Load
    seconds: float

    def run(self, results: Results, rounds: int, say: Callable[[str], None]) -> None:
        """Warm both targets up, then measure them in turn, and say each round's figures."""
        for target in self.comparison.targets:
            self._measure(target, 0, self.seconds * WARM_UP)
        for number in range(1, rounds + 1):
            subject, baseline = (
                self._measure(target, number, self.seconds) for target in self.comparison.targets
            )
            results.rounds += (subject, baseline)
            relation = results.ratios(self.comparison, self.load)[-1]
            figures = "   ".join(_figures(self.load, one) for one in (subject, baseline))
            compared = self.load.compared.value
            say(f"  {self.load.name:14} {number}/{rounds}  {figures}   {compared} ×{relation:.3g}")

    def _measure(self, target: Target, number: int, seconds: float) -> Round:
        time.sleep(PAUSE)
        exchange = Exchange.get(self.address, target.path, target.body)
        before = Processors.now()
        sample = uvloop.run(_generate(self.address, exchange, self.load, seconds))
        busy, stolen = Processors.now().shares_since(before)
        latencies = Latencies(sample.latencies)
        return Round(
            comparison=self.comparison.name,
            load=self.load.name,
            target=target.name,
            number=number,
            requests=len(sample.latencies),
            failures={kind.value: count for kind, count in sample.failures.items()},
            first_failure=exchange.first_failure,
            seconds=sample.seconds,
            throughput=sample.throughput,
            latency=latencies.summary(),
            lag=Latencies(sample.lags).summary(),
            client_cpu=sample.cpu / sample.seconds,
            busy=busy,
            stolen=stolen,
            latencies=latencies,
        )


async def _generate(address: Address, exchange: Exchange, load: Load, seconds: float) -> Sample:
    if isinstance(load, Closed):
        count = load.connections
        return await ClosedLoop(address, exchange, connections=count, seconds=seconds).run()
    timetable = Timetable(load.rate, seconds)
    loop = OpenLoop(address, exchange, timetable=timetable, connections=load.connections)
    return await loop.run()


def _figures(load: Load, one: Round) -> str:
    """Return a round's figures for a line of progress."""
    counts = ", ".join(f"{count} {kind}" for kind, count in one.failures.items())
    failed = f" FAILED: {counts} ({one.first_failure})" if counts else ""
    if isinstance(load, Closed):
        return f"{one.target} {one.throughput:.4g}/s, p50 {one.p50:.3g} ms{failed}"
    p99 = one.latency.p99 if one.latency else float("inf")
    return f"{one.target} p50 {one.p50:.3g}, p99 {p99:.3g} ms{failed}"
