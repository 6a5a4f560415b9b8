"""The command line of the adapter: ``python -m conductor.cgi_adapter``.

It is started anew for each request, so it imports little: no click, no asyncio, no
pydantic.
"""

from __future__ import annotations

import argparse
import functools
import os
import stat
import sys

from conductor.cgi_adapter.adapter import Adapter, Options
from conductor.cgi_adapter.client import Client
from conductor.cgi_adapter.response import parse_header_lines
from conductor.cgi_adapter.waiting import Waiter, catch_signals
from conductor.durations import parse_duration, parse_size

_EXAMPLE = """\
The program is a CGI program (RFC 3875). It inherits the environment and the working
directory, which is its DOCUMENT_ROOT, and gets the request in variables and on stdin.

By hand:
  printf 'GET /cgi/hello/x HTTP/1.0\\r\\n\\r\\n' |
    python -m conductor.cgi_adapter --path-info-strip 2 -- ./hello.sh

As a systemd service for a socket with Accept=yes:
  [Service]
  ExecStart=/usr/bin/python3 -m conductor.cgi_adapter --timeout 30s -- /srv/app/hello.sh
  WorkingDirectory=/srv/app
  StandardInput=socket
  StandardOutput=socket
  StandardError=journal
"""


def parse_options(words: list[str]) -> Options:
    """Return what the command line asks for; exits with status 2 and a sentence if it cannot."""
    parser = _parser()
    split = words.index("--") if "--" in words else len(words)
    found = parser.parse_args(words[:split])
    command = words[split + 1 :]
    if not command:
        parser.error('no program given: write it after "--", such as -- ./script.sh')
    try:
        response_headers = parse_header_lines(found.response_header)
    except ValueError as error:
        parser.error(f"argument --response-header: {error}")
    return Options(
        program=_resolve(command[0]),
        arguments=command[1:],
        path_info_strip=found.path_info_strip,
        stderr_as_stdout=found.stderr_as_stdout,
        response_headers=response_headers,
        no_response_headers=found.no_response_headers,
        timeout=found.timeout,
        body_limit=found.body_limit,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m conductor.cgi_adapter",
        usage="%(prog)s [OPTION]... -- PROGRAM [ARGUMENT]...",
        description="Answer one HTTP request on stdin and stdout by running a CGI program.",
        epilog=_EXAMPLE,
        # Without a width argparse imports shutil to ask the terminal: milliseconds of each start.
        formatter_class=functools.partial(argparse.RawDescriptionHelpFormatter, width=96),
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--path-info-strip",
        type=_count,
        default=0,
        metavar="N",
        help="leading path segments that are SCRIPT_NAME; the rest is PATH_INFO (default 0)",
    )
    add(
        "--stderr-as-stdout",
        action="store_true",
        help="take what the program writes to stderr for output too",
    )
    add(
        "--response-header",
        action="append",
        default=[],
        metavar="LINE",
        help="a header line put before the program's output; may be repeated",
    )
    add(
        "--no-response-headers",
        action="store_true",
        help="the program prints no headers: all its output is the body",
    )
    add(
        "--timeout",
        type=_duration,
        default=60.0,
        metavar="DURATION",
        help="time for the whole exchange, such as 90s; 0: no limit (default 60s)",
    )
    add(
        "--body-limit",
        type=_size,
        default=0,
        metavar="SIZE",
        help="longest request body, such as 16MiB; 0: no limit (default 0)",
    )
    return parser


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of segments; write it like 2")
    return int(text)


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _resolve(program: str) -> str:
    """Return the program's absolute path; without a slash it is looked up in PATH."""
    if "/" not in program:
        for directory in os.get_exec_path():
            candidate = os.path.join(directory, program)
            if os.access(candidate, os.X_OK) and os.path.isfile(candidate):
                return os.path.abspath(candidate)
    return os.path.abspath(program)


def _keep_stderr_off_the_connection() -> None:
    """Silence stderr where it is the connection, as under inetd: words in between break HTTP."""
    connection, stderr = os.fstat(1), os.fstat(2)
    if stat.S_ISSOCK(stderr.st_mode) and os.path.samestat(connection, stderr):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)


def main() -> int:
    """Answer the request on stdin and stdout."""
    options = parse_options(sys.argv[1:])
    _keep_stderr_off_the_connection()
    waiter = Waiter(options.timeout, catch_signals())
    Adapter(options, Client(0, 1, options.body_limit), waiter).answer()
    return 0


if __name__ == "__main__":
    sys.exit(main())
