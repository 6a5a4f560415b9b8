"""``conductor function serve``: declarations in, a manager in the foreground.

Everything is checked first, and nothing is started when anything is wrong. The
process then becomes the manager (execve) with a new interpreter that never
loads what reading declarations took: a manager that rests for months should
not hold a validation library.
"""

from __future__ import annotations

import json
import os
import sys

import click

from conductor import dirs
from conductor.cli.app import examples
from conductor.errors import UserError
from conductor.service.functions import LoadedFunctions, load_functions


class _Address(click.ParamType[tuple[str, int]]):
    name = "HOST:PORT"

    def convert(
        self, value: str | tuple[str, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Return host and port; the host of an IPv6 address stands in brackets."""
        if isinstance(value, tuple):
            return value
        host, _, port = value.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        bare = host[1:-1] if bracketed else host
        number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0
        if not bare or (":" in bare and not bracketed) or not 0 < number < 65536:
            self.fail(f"{value!r} is no address; write it like 127.0.0.1:8080", param, ctx)
        return bare, number


@click.command(
    epilog=examples(
        "conductor function serve examples/links",
        "conductor function serve examples/*/ --caddy --listen 127.0.0.1:9000",
    )
)
@click.argument("directories", metavar="SERVICE_DIR...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--listen",
    type=_Address(),
    default="127.0.0.1:8080",
    show_default=True,
    help="Where to answer HTTP.",
)
@click.option("--caddy", is_flag=True, help="Put a real Caddy in front, listening there.")
@click.option("--run-dir", type=click.Path(), help="Where the sockets are to be.")
@click.option(
    "--log-format",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    show_default=True,
    help="auto is the journal where there is one, else text.",
)
def serve(
    directories: tuple[str, ...],
    listen: tuple[str, int],
    caddy: bool,
    run_dir: str | None,
    log_format: str,
) -> None:
    """Serve the functions that service directories declare.

    Each SERVICE_DIR holds a conductor-service.json. Runs until Ctrl-C, finishing
    the requests under way; a second Ctrl-C ends at once.
    """
    run_dir = os.path.abspath(run_dir or dirs.run_dir())
    loaded = load_functions(directories, run_dir)
    for warning in loaded.warnings:
        print(f"conductor: {warning}", file=sys.stderr)
    if not loaded.specs:
        raise UserError(f"{' '.join(directories)}: no functions to serve")
    _become_manager(loaded, listen, caddy=caddy, run_dir=run_dir, log_format=log_format)


def _become_manager(loaded: LoadedFunctions, listen: tuple[str, int], **options: object) -> None:
    """Replace this process with ``conductor.cli.serving``, its settings in an unnamed file."""
    settings = {"specs": [spec.to_json() for spec in loaded.specs], "listen": listen, **options}
    with os.fdopen(os.memfd_create("conductor-settings", flags=0), "w") as stream:
        json.dump(settings, stream)
        stream.flush()
        os.lseek(stream.fileno(), 0, os.SEEK_SET)
        sys.stdout.flush()
        command = ["-P", "-m", "conductor.cli.serving", "--settings-fd", str(stream.fileno())]
        os.execv(sys.executable, [sys.executable, *command])
