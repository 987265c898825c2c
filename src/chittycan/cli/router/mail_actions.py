"""`can router inbox actions`: what rules want done to mails in their mailboxes, and leave to do it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from chittycan.cli.output import Json, console, done, plain, print_json

if TYPE_CHECKING:
    from chittycan.control.mail_actions import ActionRow
    from chittycan.control.operation import Operation

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="What rules want done to mails on servers."
)

Numbers = Annotated[list[int], typer.Argument(metavar="NUMBER...", help="As `list` shows them.")]
MARKS = {"done": "[green]✓[/]", "failed": "[red]✗[/]", "dropped": "[dim]–[/]"}


@app.command("list")
def list_(
    state: Annotated[
        list[str] | None, typer.Option(help="waiting, allowed, doing, done, failed, dropped; repeatable.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Of one account.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 100,
    json: Json = False,
) -> None:
    """What is not over, the newest first; with --state what is in that state."""
    from chittycan.cli.session import Session, run
    from chittycan.control.mail_actions import listed

    async def work(network: Session) -> "list[ActionRow]":
        return await network.call(listed, state=state, account=account, limit=limit)

    rows = run(work)
    if json:
        print_json(rows)
        return
    if not rows:
        console.print("[dim]nothing is to be done to mails on servers[/]")
    for row in rows:
        console.print(f"{MARKS.get(row.state, '·')} [bold]{row.id}[/]  {_what(row)}  {plain(row.subject)}")
        said = [row.account, "waits for leave" if row.needs_leave else row.state, row.because]
        console.print(f"    [dim]{plain(', '.join(each for each in said if each))}[/]")
        if row.problem:
            console.print(f"    {plain(row.problem)}")
    if any(row.needs_leave for row in rows):
        console.print(
            '\n[dim]can router inbox actions allow NUMBER; for good: "allow" of the account in config.json[/]'
        )


@app.command("allow")
def allow(numbers: Numbers, json: Json = False) -> None:
    """Let actions happen, at the next look at their account; also those that failed, once more."""
    from chittycan.control.mail_actions import allow as operation

    _each(operation, numbers, json, "happens at the next look at")


@app.command("drop")
def drop(numbers: Numbers, json: Json = False) -> None:
    """Actions that are not to happen."""
    from chittycan.control.mail_actions import drop as operation

    _each(operation, numbers, json, "will not happen in")


def _each(operation: "Operation[ActionRow]", numbers: Sequence[int], json: bool, so: str) -> None:
    from chittycan.cli.session import Session, run

    async def work(network: Session) -> "list[ActionRow]":
        return [await network.call(operation, action=number) for number in numbers]

    rows = run(work)
    if json:
        print_json(rows)
        return
    for row in rows:
        done(f"{row.id}: {_what(row)} {so} {plain(row.account)}")


def _what(row: "ActionRow") -> str:
    return f"{row.verb} {plain(row.value)}".strip()
