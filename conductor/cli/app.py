"""The tree of commands, loaded as they are named, and the one map from errors to exit statuses."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from conductor import __version__
from conductor.errors import ConductorError

_INTERRUPTED = 130  # 128 and SIGINT, as shells have it
_MISUSE = 2
_FAILED = 1


def examples(*commands: str) -> str:
    """Return the end of a help text that shows ``commands``, each on its line."""
    # Click fills the lines of a paragraph unless it begins with a backspace character.
    return "\n".join(("\b", "Examples:", *(f"  {command}" for command in commands)))


class LazyGroup(click.Group):
    """A group whose commands are imported when they are named.

    ``lazy`` says where they are, as "module:attribute"; ``aliases`` are other names.
    """

    def __init__(
        self,
        *args: Any,
        lazy: Mapping[str, str] | None = None,
        aliases: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = dict(lazy or {})
        self._aliases = dict(aliases or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, aliases not among them."""
        return sorted({*super().list_commands(ctx), *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, loaded."""
        name = self._aliases.get(cmd_name, cmd_name)
        if name not in self._lazy:
            return super().get_command(ctx, name)
        module, attribute = self._lazy[name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(
    epilog=examples("conductor function serve examples/links"),
    cls=LazyGroup,
    lazy={
        "function": "conductor.cli.function:function",
        "completion": "conductor.cli.completion:completion",
    },
    aliases={"f": "function"},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="conductor", message="%(prog)s %(version)s")
def conductor() -> None:
    """Serve small programs behind Caddy with no cold start."""


def run(arguments: list[str]) -> int:
    """Run ``conductor`` with ``arguments`` and return its exit status."""
    try:
        status = conductor.main(arguments, prog_name="conductor", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    except click.Abort:
        return _INTERRUPTED
    except click.ClickException as error:
        return _say(_usage_message(error), error.exit_code)
    except ConductorError as error:
        return _say(str(error), error.exit_status)
    return status if isinstance(status, int) else 0


def _usage_message(error: click.ClickException) -> str:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context is not None else ""
    return message.rstrip(".") + hint


def _say(message: str, status: int) -> int:
    for line in message.splitlines():
        print(f"conductor: {line}", file=sys.stderr)
    return status
