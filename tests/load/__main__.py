"""The command line of the load tests: parses, runs, prints, says with its status how it went."""

from __future__ import annotations

import argparse
import re
import signal
import sys
from typing import TYPE_CHECKING

from conductor.errors import ConductorError
from tests.load import machine, report, rounds
from tests.load.comparisons import COMPARISONS
from tests.load.processes import adopt_orphans, end_descendants
from tests.load.thresholds import judge, missed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.load.thresholds import Verdict

ROUNDS = 5
SECONDS = 3.0
REPORT = "load-report"
INTERRUPTED = 130  # 128 + SIGINT, as shells say it

EXAMPLES = """\
examples:
  python -m tests.load                          everything, in about four minutes
  python -m tests.load --only multishot         one comparison
  python -m tests.load --only cgi-preload cgi-plain --rounds 3
  python -m tests.load --rounds 2 --seconds 1   a quick look; too short to judge by
  python -m tests.load --report /tmp/report --json figures.json

Exit status: 0 when every limit is kept, 1 when one is missed or a program
failed, 2 when the command cannot be run as asked.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for and return the exit status."""
    options = _parser().parse_args(arguments)
    chosen = tuple(c for c in COMPARISONS if not options.only or c.name in options.only)
    _end_in_order()
    adopt_orphans()
    left_behind: list[str] = []
    try:
        report.prepare(options.report)
        facts = machine.facts()
        _announce(facts, rounds.expected_seconds(chosen, options.rounds, options.seconds))
        try:
            results = rounds.run(chosen, options.rounds, options.seconds, _say)
        finally:
            left_behind += end_descendants()
    except ConductorError as error:
        print(f"load: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("\nload: interrupted; everything is stopped, nothing is written", file=sys.stderr)
        return INTERRUPTED
    verdicts = judge(results, left_behind)
    _show(verdicts)
    for path in report.write(results, verdicts, facts, options.report, options.json):
        print(f"written: {path}")
    return 1 if missed(verdicts) else 0


def _end_in_order() -> None:
    """Make every usual way to end a program a KeyboardInterrupt, which ends what was started."""
    # A shell without job control lets what it puts into the background ignore this one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.load",
        description="Compare functions through Conductor with the same workers without it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [comparison.name for comparison in COMPARISONS]
    only = ", ".join(names)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=names, help=f"comparisons to run: {only}"
    )
    parser.add_argument(
        "--rounds",
        type=_rounds,
        default=ROUNDS,
        metavar="N",
        help="rounds of each load (%(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=SECONDS,
        metavar="S",
        help="length of the longest rounds; others are a share of it (%(default)s)",
    )
    parser.add_argument(
        "--report", default=REPORT, metavar="DIR", help="where reports are written (%(default)s/)"
    )
    parser.add_argument(
        "--json", metavar="FILE", help="where the JSON report is written (DIR/load.json)"
    )
    return parser


def _rounds(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 1000")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]+)?", text) or not 0.1 <= float(text) <= 3600:
        raise argparse.ArgumentTypeError("must be a number from 0.1 to 3600")
    return float(text)


def _announce(facts: dict[str, object], seconds: float) -> None:
    processors, average = facts["processors"], facts["load_average"]
    _say(f"{processors} processors, load average {average}; about {seconds / 60:.1f} minutes")


def _say(line: str) -> None:
    print(line, flush=True)


def _show(verdicts: list[Verdict]) -> None:
    words = {True: "ok", False: "MISSED", None: "-"}
    rows = [("", "measured", "wanted", "")]
    rows += [(v.what, v.measured, v.wanted, words[v.passed]) for v in verdicts]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    print()
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[3]]).rstrip())


if __name__ == "__main__":
    sys.exit(main())
