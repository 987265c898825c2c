"""Groups whose commands are imported when they are called: to build a command takes longer than to run most of them."""

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup


class LazyGroup(TyperGroup):
    """`COMMANDS`: name → (module, attribute, one-line help); a group's attribute is a Typer application.

    `SPELLINGS` are names that work too, and are not shown.
    """

    COMMANDS: ClassVar[Mapping[str, tuple[str, str, str]]] = {}
    SPELLINGS: ClassVar[Mapping[str, str]] = {}

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return list(self.COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        name = self.SPELLINGS.get(cmd_name, cmd_name)
        if name not in self.COMMANDS:
            return None
        module, attribute, _ = self.COMMANDS[name]
        return as_command(getattr(importlib.import_module(f"chittycan.cli.{module}"), attribute), name)

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in self.COMMANDS.items()])


def as_command(found: Any, name: str) -> Any:
    """A Typer application or a plain function as a command called `name`."""
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name)(found)
        found = single
    command = typer.main.get_command(found)
    command.name = name
    _say_all(command)
    return command


def _say_all(command: Any) -> None:
    """In lists of commands whole sentences, where Typer would cut them off at the end of the line."""
    for each in getattr(command, "commands", {}).values():
        each.short_help = (each.help or "").partition("\n\n")[0]
        _say_all(each)
