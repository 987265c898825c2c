"""What is said to somebody who guessed a command, an option or an argument wrong."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from typer.core import TyperGroup

from chittycan.errors import UsageError

NO_COMMAND = re.compile(r"No such command '(.+?)'")


def as_usage_error(error: Any) -> UsageError | None:
    """Typer's error in our form, with the command that was probably meant; None where it is only the help."""
    context, message = error.ctx, error.format_message()
    if context is None:
        return UsageError(message)
    if message == context.get_help():
        return None
    guess = NO_COMMAND.match(message)
    if guess is None:
        usage = " ".join(context.get_usage().split())
        return UsageError(message, fix=f"{usage} (`{context.command_path} --help` says more)")
    return UsageError(f"{context.command_path} has no command '{guess[1]}'", fix=_meant(context, guess[1]))


def _meant(context: Any, guess: str) -> str:
    here = [name for name, _ in _commands(context.command, context)]
    near = get_close_matches(guess.lower(), here, n=2)
    if near:
        return f"did you mean {' or '.join(f'`{context.command_path} {name}`' for name in near)}?"
    root = context.find_root()
    elsewhere = [path for path in _groups(root.command, root) if path.rpartition(" ")[2] == guess.lower()]
    if elsewhere:
        return f"did you mean `{elsewhere[0]}`?"
    near = get_close_matches(guess.lower(), [path.rpartition(" ")[2] for path in _groups(root.command, root)], n=1)
    path = next((path for path in _groups(root.command, root) if near and path.endswith(f" {near[0]}")), None)
    return f"did you mean `{path}`?" if path else f"it has {', '.join(here)}"


def _commands(group: TyperGroup, context: Any) -> Iterator[tuple[str, Any]]:
    """Those that are shown."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            yield name, command


def _groups(group: TyperGroup, context: Any, path: str = "can") -> Iterator[str]:
    """The paths of all groups, and of the commands that stand beside them at the root."""
    for name, command in _commands(group, context):
        if isinstance(command, TyperGroup) or path == "can":
            yield f"{path} {name}"
        if isinstance(command, TyperGroup):
            yield from _groups(command, context, f"{path} {name}")
