"""`can router inbox watch` and `sources`: mail as it comes in, and how it stands with each source."""

import asyncio
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chittycan.cli.output import console, errors, plain, print_line
from chittycan.cli.router import mail
from chittycan.clock import spoken
from chittycan.errors import ChittyError, UsageError

if TYPE_CHECKING:
    from chittycan.agents.pipeline import Terms
    from chittycan.agents.report import Outcome
    from chittycan.cli.session import Session
    from chittycan.config import Settings
    from chittycan.control.mail_sources import MailSource

MARKS = {"fresh": "[green]✓[/]", "local": "[green]✓[/]", "never": "[dim]–[/]", "failing": "[yellow]![/]"}


def watch_accounts(settings: "Settings", named: Sequence[str], terms: "Terms", *, as_json: bool) -> None:
    """Process mail as it comes in, until stopped. Raises UsageError where there is no such source."""
    from chittycan.cli.session import run
    from chittycan.clock import SystemClock
    from chittycan.mailbox import accounts, local
    from chittycan.mailroom import Mailroom

    servers, here = accounts(settings), local(settings)
    known = [*servers, *here]
    for name in named:
        if name not in known:
            raise UsageError(f"no source of mail {name!r}", fix=f"Use one of: {', '.join(known) or NONE}.")
    wanted = list(named) or [*servers, *local(settings, watched=True)]
    if not wanted:
        raise UsageError("No mail account is set up.", fix=NONE)

    async def work(network: "Session") -> None:
        async with network.database() as database:
            room = Mailroom(lambda: settings, os.environ, network.ask, database, SystemClock())
            async with asyncio.TaskGroup() as group:
                for name in wanted:
                    begin = room.watcher if name in servers else room.local_watcher
                    group.create_task(begin(name, terms, _line if as_json else _tell, _complain).run())
                if not as_json:
                    console.print(f"[dim]watching {plain(', '.join(wanted))}; Ctrl-C ends it[/]")

    run(work)


NONE = 'In config.json: "integrations": {"office": {"type": "imap", "host": …, "user": …, "password": "env:…"}}'


def _tell(outcome: "Outcome") -> None:
    if outcome.state in ("known", "duplicate", "elsewhere"):
        return
    draft = f"  [dim]✎ can router drafts show {outcome.draft_id}[/]" if outcome.draft_id else ""
    what = mail.words(outcome.settled or outcome.category)
    who = plain(mail.who(outcome.sender))
    console.print(f"{mail.priority(outcome.level)}  {what}  {who}  {plain(outcome.subject or '(no subject)')}{draft}")


def _line(outcome: "Outcome") -> None:
    print_line(
        {
            "id": outcome.id, "key": outcome.key, "state": outcome.state, "priority": outcome.level,
            "category": outcome.category, "from": outcome.sender, "subject": outcome.subject,
            "settled": outcome.settled, "draft": outcome.draft_id,
        }
    )  # fmt: skip


def _complain(account: str, error: ChittyError) -> None:
    errors.print(f"[yellow]![/] {plain(account)}: {plain(error.message)}")
    if error.fix:
        errors.print(f"  [cyan]→[/] {plain(error.fix)}")


def show_sources(found: "Sequence[MailSource]") -> None:
    """A line for each source, and what is to be done about it below."""
    if not found:
        console.print(f"[dim]no source of mail is set up. {plain(NONE)}[/]")
    for each in found:
        console.print(f"{MARKS.get(each.state, '[red]✗[/]')} [bold]{plain(each.name)}[/]  {_standing(each)}")
        if each.problem:
            console.print(f"    {plain(each.problem)}")
        if each.fix:
            console.print(f"    [cyan]→[/] {plain(each.fix)}")
        for folder in each.folders:
            trouble = f", {folder.trouble} could not be fetched yet" if folder.trouble else ""
            behind = f", {folder.behind} to do" if folder.behind else ""
            console.print(f"    [dim]{plain(folder.name)}: {folder.seen} seen{behind}{trouble}[/]")


def _standing(source: "MailSource") -> str:
    if source.state == "local":
        return f"[dim]{source.type} on this machine, read when asked[/]"
    last = "never looked at" if source.silent_seconds is None else f"last looked at {spoken(source.silent_seconds)} ago"
    return f"{source.state}, {last}{'' if source.watch else ' [dim](not watched by can serve)[/]'}"
