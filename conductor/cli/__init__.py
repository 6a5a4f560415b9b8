"""The ``conductor`` command: one file a noun; each parses, makes one call, prints.

Starting quickly matters more than anything here, so nothing is imported that
the command at hand does not need: ``caddy-config``, which runs inside proxy
templates, does without click, and the others load when they are named.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return its exit status."""
    arguments = sys.argv[1:]
    if arguments[1:2] == ["caddy-config"] and arguments[0] in ("function", "f"):
        from conductor.cli import caddy_config  # noqa: PLC0415  # the only command that must not load click

        status = caddy_config.run_fast(arguments[2:])
        if status is not None:
            return status
    from conductor.cli.app import run  # noqa: PLC0415  # click, after the quick way declined

    return run(arguments)
