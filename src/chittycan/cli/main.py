"""The root of `can`: which module holds which command, and what becomes of errors.

Modules are imported when their command is called, so that `can --help` answers at once.
"""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from chittycan.cli.lazy import LazyGroup
from chittycan.version import VERSION

# command → (module, attribute, one-line help). A group's attribute is a Typer application.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "up": ("serve", "up", "First run: find providers, start the local model and the server."),
    "serve": ("serve", "serve", "Serve the OpenAI- and Anthropic-compatible HTTP API."),
    "ask": ("ask", "ask", "Ask any model; files named in the prompt are attached."),
    "ensemble": ("ensemble", "app", "Several models, one answer, and who said what."),
    "explain": ("ask", "explain", "Say who would answer, and why, without asking anyone."),
    "config": ("config", "app", "Set up remotes and providers, step by step."),
    "doctor": ("doctor", "doctor", "What works, what does not, and the fix for each."),
    "context": ("context", "app", "The documents that models, tasks and people share."),
    "documents": ("documents", "app", "What files say: PDF, Word, Excel, pages, text."),
    "tasks": ("tasks", "app", "Durable tasks: submit work and walk away; watch, wait, retry."),
    "workstreams": ("workstreams", "app", "Recipes at work: run, watch, approve, resume, fork."),
    "feedback": ("feedback", "feedback", "Say how good an answer was; see what was said."),
    "route": ("route", "app", "Teach `auto` what the models are worth."),
    "savings": ("savings", "savings", "What it cost, against what it would have cost."),
    "simulate": ("simulate", "simulate", "Replay the ledger under another models.json."),
    "keys": ("keys", "app", "Virtual keys: create, list, revoke."),
    "privacy": ("privacy", "app", "What in a text is private, and stays in the house."),
    "workers": ("workers", "app", "Who does the durable work."),
    "connect": ("connect", "app", "Providers: proxy, integrations, openapi."),
    "router": ("router", "app", "Models, inbox, agents, analytics."),
}
SPELLINGS = {
    "key": "keys", "task": "tasks", "workstream": "workstreams", "worker": "workers", "contexts": "context",
    "ensembles": "ensemble", "document": "documents",
}  # fmt: skip

INTERRUPTED = 130  # by Ctrl-C, which Typer makes an exit of


class Root(LazyGroup):
    COMMANDS = COMMANDS
    SPELLINGS = SPELLINGS


can = typer.Typer(
    cls=Root,
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"can {VERSION}")
        raise typer.Exit


@can.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """One network for all of your models.

    It works with no key at all: `can up`, then `can ask "hello"`.
    """


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point. Exit codes: 0 ok, 1 failed, 2 wrong usage, 130 interrupted."""
    from chittycan.errors import ChittyError, UsageError

    try:
        command = typer.main.get_command(can)
        code = command.main(args=arguments, prog_name="can", standalone_mode=False)
    except typer.Exit as stop:
        code = stop.exit_code
    except typer.Abort:
        code = INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except typer.TyperException as error:
        from chittycan.cli.guesses import as_usage_error

        wrong = as_usage_error(error)
        _say(wrong) if wrong else error.show()  # type: ignore[attr-defined]
        code = 2
    except ChittyError as error:
        _say(error)
        code = 2 if isinstance(error, UsageError) else 1
    except Exception as error:
        if os.environ.get("CHITTY_DEBUG"):
            raise
        _say(
            ChittyError(f"Something broke inside ChittyCan: {type(error).__name__}.", fix="CHITTY_DEBUG=1 shows where.")
        )
        code = 1
    if code == INTERRUPTED:
        print("stopped", file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)


def _say(error: Any) -> None:
    """An error as people read it: what is wrong, and what to do next."""
    from chittycan.cli.output import errors as console

    console.print(f"[bold red]✗[/] {_plain(error.message)}")
    for attempt in getattr(error, "attempts", []):
        console.print(f"  [dim]{attempt['model']}: {attempt['class']} ({attempt['status']}, {attempt['ms']:.0f} ms)[/]")
    if error.fix:
        console.print(f"  [cyan]→[/] {_plain(error.fix)}")


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


if __name__ == "__main__":
    run()
