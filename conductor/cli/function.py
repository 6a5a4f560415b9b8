"""``conductor function``: what runs, how it does, and what it said.

Every command here asks a running manager; ``serve``, which is one, has its own file.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from conductor import dirs
from conductor.cli import caddy_config as quick
from conductor.cli.app import LazyGroup, examples
from conductor.cli.output import print_json, print_log_entry, print_pairs, print_table
from conductor.durations import format_duration, format_size
from conductor.errors import ConductorError
from conductor.fastfn.client import ANSWER_TIMEOUT, ControlClient
from conductor.fastfn.requestlog import printable

RESTART_TIMEOUT = 900.0  # seconds: new workers start, and old ones finish their requests
_COMPLETION_TIMEOUT = 1.0  # seconds that a person waits after the tabulator key

_LS_COLUMNS = (
    "FUNCTION",
    "FORMAT",
    "STATE",
    "#IDLE",
    "#BUSY",
    "#MAX",
    "#QUEUED",
    "#REQUESTS",
    "#FAILED",
    "#RESTARTS",
    "LAST ERROR",
)
_STATS_COLUMNS = (
    "FUNCTION",
    "#REQUESTS",
    "#RATE",
    "#2XX",
    "#3XX",
    "#4XX",
    "#5XX",
    "#FAILED",
    "#REFUSED",
    "#P50",
    "#P90",
    "#P99",
    "#MAX",
    "#QUEUE P99",
    "#WORKER P99",
)


def _asks_manager(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that pick a manager, and hand the command a client of it first."""

    @click.option("--run-dir", type=click.Path(), help="Run directory of the manager.")
    @click.option("--manager", type=click.Path(), help="Control socket of the manager.")
    @functools.wraps(command)
    def asking(*, run_dir: str | None, manager: str | None, **given: object) -> None:
        command(_client(run_dir, manager), **given)

    return asking


def _client(run_dir: str | None, manager: str | None) -> ControlClient:
    return ControlClient(manager or dirs.control_socket(run_dir or dirs.run_dir()))


def _complete_function(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    client = _client(ctx.params.get("run_dir"), ctx.params.get("manager"))
    try:
        functions = client.call("list", timeout=_COMPLETION_TIMEOUT)["functions"]
    except ConductorError:
        return []
    return [CompletionItem(f["id"]) for f in functions if f["id"].startswith(incomplete)]


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
_function_argument = click.argument("function", shell_complete=_complete_function)
_any_function = click.argument("function", required=False, shell_complete=_complete_function)


@click.group(cls=LazyGroup, lazy={"serve": "conductor.cli.serve:serve"})
def function() -> None:
    """Serve functions, and look after those that are served.

    FUNCTION is a function's id (APP.INSTANCE.NAME), its part id, or its name.
    """


@function.command(
    epilog=examples("conductor function ls", "conductor f ls --json | jq '.functions[].id'")
)
@_json_option
@_asks_manager
def ls(client: ControlClient, as_json: bool) -> None:
    """List the functions and the state of each."""
    answer = client.call("list")
    if as_json:
        print_json(answer)
    else:
        print_table(_LS_COLUMNS, map(_ls_row, answer["functions"]))


@function.command(epilog=examples("conductor function show links.demo.web"))
@_function_argument
@_json_option
@_asks_manager
def show(client: ControlClient, function: str, as_json: bool) -> None:
    """Show one function: how it is set up, its processes."""
    answer = client.call("show", function=function)
    if as_json:
        print_json(answer)
        return
    print_pairs(_show_pairs(answer))
    if answer["processes"]:
        print()
        print_table(("#PID", "STATE", "#AGE", "#REQUESTS"), map(_process_row, answer["processes"]))


@function.command(
    epilog=examples("conductor function stats", "conductor function stats links.demo.web --json")
)
@_any_function
@_json_option
@_asks_manager
def stats(client: ControlClient, function: str | None, as_json: bool) -> None:
    """Show counts and latencies of the requests.

    RATE is in requests a second, lately. P50 to MAX are the time from a request's
    arrival to its answer's end; QUEUE is the part spent waiting for a worker.
    """
    answer = client.call("stats", function=function)
    if as_json:
        print_json(answer)
        return
    print(_manager_line(answer["manager"]))
    print_table(_STATS_COLUMNS, map(_stats_row, answer["functions"]))


@function.command(epilog=examples("conductor function restart links.demo.web"))
@_function_argument
@_json_option
@_asks_manager
def restart(client: ControlClient, function: str, as_json: bool) -> None:
    """Replace a function's workers; no request is lost.

    Returns when the new workers are ready and the old ones have finished.
    """
    answer = client.call("restart", timeout=RESTART_TIMEOUT, function=function)
    if as_json:
        print_json(answer)
    else:
        print(f"{answer['function']} is restarted, new workers: {answer['workers']}")


@function.command(
    epilog=examples("conductor function logs -n 20", "conductor function logs -f links.demo.web")
)
@_any_function
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0, 100_000),
    default=50,
    show_default=True,
    help="How many of the last entries.",
)
@_json_option
@_asks_manager
def logs(
    client: ControlClient, function: str | None, follow: bool, lines: int, as_json: bool
) -> None:
    """Show the latest requests, error output and events."""
    timeout = None if follow else ANSWER_TIMEOUT
    entries = client.stream("logs", timeout=timeout, function=function, lines=lines, follow=follow)
    for entry in entries:
        if as_json:
            print(json.dumps(entry, ensure_ascii=False), flush=True)
        else:
            print_log_entry(entry)


@function.command(
    "caddy-config",
    epilog=examples(
        "conductor function caddy-config",
        "conductor function caddy-config --function app.prod.f --socket /run/f.sock",
    ),
    params=[
        click.Option([flag], metavar=metavar, envvar=variable, show_envvar=True, help=text)
        for flag, variable, metavar, text in quick.OPTIONS
    ],
)
def caddy_config(**values: str | None) -> None:
    """Print the Caddy route of one function as JSON.

    For a proxy template: the variables are set there, so no option is needed.
    With policies, the policy server is asked before the function.
    """
    flags = {f"--{name.replace('_', '-')}": value for name, value in values.items() if value}
    click.echo(quick.render(flags), nl=False)


def _ls_row(status: dict[str, Any]) -> tuple[str, ...]:
    workers = status["workers"]
    return (
        status["id"],
        status["format"],
        _state(status),
        str(workers["idle"]),
        str(workers["busy"]),
        str(status["max"]),
        str(status["queued"]),
        str(status["requests"]),
        str(status["failed"]),
        str(status["restarts"]),
        printable(status["last_error"] or ""),
    )


def _state(status: dict[str, Any]) -> str:
    retry = status.get("retry_in")
    again = f", again in {format_duration(retry)}" if retry is not None else ""
    return f"{status['state']}{again}"


def _show_pairs(status: dict[str, Any]) -> Iterable[tuple[str, str]]:
    spec = status["spec"]
    yield "function", status["id"]
    yield "state", _state(status)
    if status["last_error"]:
        yield "last error", printable(status["last_error"])
    yield "format", f"{status['format']}, runtime {status['runtime']}"
    yield "program", " ".join((spec["program"], *spec["arguments"]))
    yield "directory", spec["directory"]
    yield "socket", status["socket"]
    yield "deployment", status["deployment"]
    yield "part id", status["part_id"]
    yield "processes", _settings(spec["processes"])
    yield "limits", _settings(spec["limits"])
    yield "queued", str(status["queued"])
    yield "requests", f"{status['requests']}, failed {status['failed']}"
    yield "restarts", str(status["restarts"])
    yield "spawner", str(status["spawner_pid"] or "not running")


def _process_row(process: dict[str, Any]) -> tuple[str, ...]:
    age = format_duration(process["age"])
    return (str(process["pid"]), process["state"], age, str(process["requests"]))


def _settings(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {_setting(key, value)}" for key, value in settings.items())


def _setting(key: str, value: float) -> str:
    """Return a setting as it is declared: floats are seconds, ``body`` is bytes."""
    if not value:
        return "0"
    if key == "body":
        return format_size(value)
    return format_duration(value) if isinstance(value, float) else str(value)


def _manager_line(manager: dict[str, Any]) -> str:
    return (
        f"manager {manager['pid']}, up {format_duration(manager['uptime'])},"
        f" {format_size(manager['rss'])}, connections {manager['connections']},"
        f" functions {manager['functions']}"
    )


def _stats_row(stats: dict[str, Any]) -> tuple[str, ...]:
    statuses, latency = stats["statuses"], stats["latency_ms"]
    return (
        stats["id"],
        str(stats["requests"]),
        f"{stats['rate']:.3g}/s",
        *(str(statuses.get(f"{kind}xx", 0)) for kind in range(2, 6)),
        str(stats["failed"]),
        str(stats["refused"]),
        *(format_duration(latency[key] / 1000) for key in ("p50", "p90", "p99", "max")),
        format_duration(stats["queue_ms"]["p99"] / 1000),
        format_duration(stats["worker_ms"]["p99"] / 1000),
    )
