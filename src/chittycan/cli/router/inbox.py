"""`can router inbox`: read mail, list it, look at one."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from chittycan.cli.output import Json, console, date, done, plain, print_json, print_rows, warn
from chittycan.cli.router import mail_actions
from chittycan.errors import UsageError

if TYPE_CHECKING:
    from chittycan.agents.look import OnOutcome
    from chittycan.agents.report import Report
    from chittycan.control.inbox import MailDetail

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Mail: process, watch, sources, list, stats, show, read, actions.",
)

app.add_typer(mail_actions.app, name="actions")

Email = Annotated[str, typer.Argument(metavar="ID", help="A mail's id, or its beginning.")]
Limit = Annotated[int, typer.Option(help="At most so many.", min=1)]


@app.command("process")
def process(
    source: Annotated[
        str | None, typer.Option(help="A Maildir, an mbox file, a folder of .eml, one .eml; or an integration.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="One model for all agents.")] = None,
    region: Annotated[str | None, typer.Option(help="Only models in this region.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Only models marked private may see the mail.")] = False,
    parallel: Annotated[int, typer.Option(help="Mails in hand at the same time.", min=1, max=64)] = 4,
    limit: Annotated[int | None, typer.Option(help="Only the first so many mails.", min=1)] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask no model, store nothing: say what would be done.")
    ] = False,
    template: Annotated[str | None, typer.Option(help="The template that drafts are set into.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Store it, and let a server do the work.")] = False,
    json: Json = False,
) -> None:
    """Sort mail, rank it, and draft replies. Each mail is processed once, and nothing is sent.

    A mailbox is only read, but for what an account allows. Exit status 1 where models were needed and none answered.
    """
    from chittycan.cli.router.lines import Rows, Shown
    from chittycan.cli.router.processing import failed, process_account, process_mail, show
    from chittycan.config import load
    from chittycan.mailbox import inbox_settings, named_account, on_disk, open_mailbox, terms

    if detach and dry_run:
        raise UsageError("--detach stores mail, --dry-run does not.", fix="Say one of them.")
    settings = load()
    for finding in inbox_settings(settings)[1]:
        warn(plain(str(finding)))
    account = named_account(settings, source)
    mailbox = open_mailbox(settings, source) if account is None else account
    how = terms(
        settings, template=template, model=model, region=region, local=private, parallel=parallel, limit=limit,
        dry_run=dry_run,
    )  # fmt: skip

    def work(tell: "OnOutcome") -> "Report":
        if isinstance(mailbox, str):
            return process_account(mailbox, settings, how, tell, detach=detach)
        return process_mail(mailbox, on_disk(settings, mailbox, how), tell, detach=detach)

    if json:
        with Rows() as rows:
            report = work(rows.add)
            print_rows(report.summary, "mails", rows)
    else:
        lines = Shown()
        report = work(lines.add)
        show(report, lines, mailbox)
    if failed(report):
        raise typer.Exit(1)


@app.command("watch")
def watch(
    source: Annotated[
        list[str] | None, typer.Option(help="An integration of the type imap; repeatable. Default: all of them.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="One model for all agents.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Only models marked private may see the mail.")] = False,
    json: Json = False,
) -> None:
    """Process mail on servers as it comes in, until stopped. `can serve` does so for accounts with "watch": true."""
    from chittycan.cli.router.watching import watch_accounts
    from chittycan.config import load
    from chittycan.mailbox import terms

    settings = load()
    watch_accounts(settings, source or [], terms(settings, model=model, local=private), as_json=json)


@app.command("sources")
def sources(json: Json = False) -> None:
    """Where mail comes from: when a look at it last went well, what is wrong, and how far it is."""
    from chittycan.cli.router.watching import show_sources
    from chittycan.cli.session import Session, run
    from chittycan.control.mail_sources import MailSource
    from chittycan.control.mail_sources import sources as operation

    async def work(network: Session) -> list[MailSource]:
        return await network.call(operation)

    found = run(work)
    if json:
        print_json(found)
    else:
        show_sources(found)


@app.command("list")
def list_(
    unread: Annotated[bool, typer.Option("--unread", help="Only mail that is not marked as read.")] = False,
    priority: Annotated[str | None, typer.Option(help="CRITICAL, HIGH, NORMAL or LOW.")] = None,
    account: Annotated[str | None, typer.Option(help="Only mail of this account.")] = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """The inbox, most urgent first, then newest first."""
    from chittycan.cli.router import mail
    from chittycan.cli.session import Session, run
    from chittycan.control.inbox import MailRow, listed

    async def work(network: Session) -> list[MailRow]:
        return await network.call(listed, unread=unread, priority=priority, account=account, limit=limit)

    rows = run(work)
    if json:
        print_json(rows)
        return
    mail.mails(
        ("id", "", "priority", "category", "from", "subject", "date"),
        [(row.id, f"{' ' if row.read else '●'}{'✎' if row.draft else ' '}", mail.priority(row.priority),
          mail.words(row.category) + (" (for now)" if row.waits else ""), mail.who(row.sender),
          row.subject or "(no subject)", mail.day(row.date))
         for row in rows],
        empty="no mail here; can router inbox process --source PATH",
    )  # fmt: skip
    if rows:
        console.print(f"\n[dim]● unread  ✎ with a draft  ·  can router inbox show {rows[0].id}[/]")


@app.command("stats")
def stats(json: Json = False) -> None:
    """How many mails there are, unread, urgent, and with a draft that waits."""
    from chittycan.cli.session import Session, run
    from chittycan.control.inbox import InboxStats
    from chittycan.control.inbox import stats as operation

    async def work(network: Session) -> InboxStats:
        return await network.call(operation)

    found = run(work)
    if json:
        print_json(found)
        return
    console.print(f"[bold]{found.total}[/] mails, {found.unread} unread")
    console.print(f"[bold]{found.high_priority}[/] urgent (HIGH or CRITICAL)")
    console.print(f"[bold]{found.pending_response}[/] drafts wait for a person")


@app.command("show")
def show_(email: Email, json: Json = False) -> None:
    """One mail, and what the agents made of it."""
    from chittycan.cli.session import Session, run
    from chittycan.control.inbox import MailDetail, shown

    async def work(network: Session) -> MailDetail:
        return await network.call(shown, email=email)

    found = run(work)
    print_json(found) if json else _detail(found)


@app.command("read")
def read(
    emails: Annotated[list[str], typer.Argument(metavar="ID...", help="Mails' ids, or their beginnings.")],
    undo: Annotated[bool, typer.Option("--undo", help="Mark as unread.")] = False,
    json: Json = False,
) -> None:
    """Mark mails as read."""
    from chittycan.cli.session import Session, run
    from chittycan.control.inbox import Marked, mark_read

    async def work(network: Session) -> list[Marked]:
        return [await network.call(mark_read, email=email, read=not undo) for email in emails]

    marked = run(work)
    if json:
        print_json(marked)
        return
    for each in marked:
        done(f"{each.id} is marked as {'read' if each.read else 'unread'}")


def _detail(found: "MailDetail") -> None:
    from chittycan.cli.router import mail

    head: list[tuple[str, Any]] = [
        ("From", found.sender), ("To", ", ".join(found.to)), ("Cc", ", ".join(found.cc)),
        ("Date", "" if found.date is None else date(found.date, clock=True)), ("Subject", found.subject),
        ("With", ", ".join(f"{each.name} ({max(1, round(each.size / 1000)):,} kB)" for each in found.attachments)),
    ]  # fmt: skip
    for name, value in head:
        if value:
            console.print(f"[dim]{name + ':':9}[/]{plain(str(value))}")
    console.print(f"\n{plain(found.text) or '[dim](no text)[/]'}\n")
    if found.hidden_text:
        console.print("[yellow]![/] it also held text that a reader does not see; that was left out")
    for defect in found.defects:
        console.print(f"[yellow]![/] {plain(defect)}")
    if found.waits:
        console.print(f"[yellow]![/] {plain(found.doubt or '')}; [bold]can tasks show task_mail_{found.id}[/]")
    if found.settled:
        console.print(f"[dim]– {mail.words(found.settled)}: no model was needed[/]")
    for run in found.agents:
        console.print(mail.run_line(run))
        if run.agent != "response":  # what that one says is the draft
            mail.values(
                {name: value for name, value in run.output.items() if name not in ("numeric_score", "escalated")}
            )
    if found.draft:
        console.print(f"\n[dim]its draft: can router drafts show {found.draft}[/]")
