"""``conductor completion``: the script that teaches a shell our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from conductor.cli.app import examples
from conductor.errors import UserError


@click.command(
    epilog=examples(
        'eval "$(conductor completion bash)"     # in ~/.bashrc',
        'eval "$(conductor completion zsh)"      # in ~/.zshrc',
        "conductor completion fish | source      # in config.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a completion script for SHELL."""
    maker = get_completion_class(shell)
    if maker is None:
        raise UserError(f"there is no completion for {shell}; choose bash, zsh or fish")
    root = click.get_current_context().find_root().command
    click.echo(maker(root, {}, "conductor", "_CONDUCTOR_COMPLETE").source())
