"""`can router drafts`: replies that wait for a person, and sending them."""

import sys
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chittycan.cli.output import Json, console, date, done, plain, print_json, table
from chittycan.errors import UsageError

if TYPE_CHECKING:
    from chittycan.control.drafts import DraftDetail, DraftRow
    from chittycan.control.operation import Operation

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Drafts of replies: list, show, edit, approve, reject, send, resolve.",
)

Draft = Annotated[str, typer.Argument(metavar="ID", help="The draft's id or its mail's, or the beginning.")]
Anyway = Annotated[bool, typer.Option("--anyway", help="Although somebody answered the mail without this draft.")]
STYLES = {"draft": "", "approved": "cyan", "sent": "green", "failed": "red", "unknown": "bold yellow"}


@app.command("list")
def list_(
    state: Annotated[
        str | None, typer.Option(help="Only those: draft, approved, sending, sent, failed, unknown, rejected.")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 50,
    json: Json = False,
) -> None:
    """Drafts, newest first."""
    from chittycan.cli.session import Session, run
    from chittycan.control.drafts import DraftRow, listed

    async def work(network: Session) -> list[DraftRow]:
        return await network.call(listed, state=state, limit=limit)

    rows = run(work)
    if json:
        print_json(rows)
        return
    table(
        ("id", "state", "to", "subject", "written by", "look at", "date"),
        [(row.id, _state(row), row.to[0].partition(" <")[0] if row.to else "", row.subject, _writer(row),
          len(row.warnings) or "", date(row.created)) for row in rows],
        empty=f"no drafts are {state}" if state else "no drafts; can router inbox process --source PATH",
        cut=("to", "subject"),
    )  # fmt: skip
    waiting = next((row.id for row in rows if row.state == "draft"), None)
    if waiting:
        console.print(f"\n[dim]nothing of these is sent without your word  ·  can router drafts show {waiting}[/]")


@app.command("show")
def show(draft: Draft, json: Json = False) -> None:
    """One draft, exactly as it would be sent."""
    from chittycan.control.drafts import shown

    _tell(_call(shown, draft=draft), json)


@app.command("edit")
def edit(
    draft: Draft,
    body: Annotated[str | None, typer.Option(metavar="FILE", help="The new text; - reads standard input.")] = None,
    subject: Annotated[str | None, typer.Option(help="The new subject.")] = None,
    to: Annotated[list[str] | None, typer.Option(help="Instead of whom it goes to; repeat it.")] = None,
    cc: Annotated[list[str] | None, typer.Option(help='Who gets a copy; repeat it. "" for nobody.')] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Everybody who got the mail gets a copy.")] = False,
    quote: Annotated[bool, typer.Option("--quote", help="Put the mail that it answers below.")] = False,
    attach: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A file that goes along; repeat it.")
    ] = None,
    detach: Annotated[list[str] | None, typer.Option(metavar="NAME", help="One that does not any more.")] = None,
    json: Json = False,
) -> None:
    """Change a draft: its text in $EDITOR, or what the options say. An approval is void then."""
    from chittycan.cli.session import Session, run
    from chittycan.control.drafts import DraftDetail, shown
    from chittycan.control.drafts import edit as change

    copies = [each for each in cc if each.strip()] if cc is not None else None
    given: dict[str, Any] = {"subject": subject, "to": to, "cc": copies, "everyone": everyone, "quote": quote}
    text = None if body is None else read_text(body)
    given |= {"attach": [{"name": each.name, "data": _encoded(each)} for each in attach or ()], "detach": detach}

    async def work(network: Session) -> DraftDetail:
        found, said = await network.call(shown, draft=draft), text
        if text is None and not any((subject, to, copies is not None, everyone, quote, attach, detach)):
            said = _edited(found.body)
            if said is None:
                return found
        return await network.call(change, draft=found.id, hash=found.hash, body=said, **given)

    _tell(run(work), json)


@app.command("approve")
def approve(
    draft: Draft,
    send: Annotated[bool, typer.Option("--send", help="Send it, too.")] = False,
    anyway: Anyway = False,
    json: Json = False,
) -> None:
    """Say that a draft may go out exactly as it is."""
    from chittycan.cli.session import Session, run
    from chittycan.control.drafts import DraftDetail, shown
    from chittycan.control.drafts import approve as agree

    async def work(network: Session) -> DraftDetail:
        found = await network.call(shown, draft=draft)
        return await network.call(agree, draft=found.id, hash=found.hash, send=send, anyway=anyway)

    found = run(work)
    if json or send:
        _sent(found, json)
        return
    _headers(found)
    done(f"approved; can router drafts send {found.id}")


@app.command("reject")
def reject(
    draft: Draft, reason: Annotated[str | None, typer.Option(help="Why; kept with it.")] = None, json: Json = False
) -> None:
    """Say that a draft will not go out."""
    from chittycan.control.drafts import reject as refuse

    found = _call(refuse, draft=draft, reason=reason)
    print_json(found) if json else done(f"rejected; it stays in can router drafts list --state rejected: {found.id}")


@app.command("send")
def send(draft: Draft, anyway: Anyway = False, json: Json = False) -> None:
    """Send what was approved, once; of what was sent already, say what is known."""
    from chittycan.control.drafts import send as hand_over

    _sent(_call(hand_over, draft=draft, anyway=anyway), json)


@app.command("resolve")
def resolve(
    draft: Draft,
    sent: Annotated[bool, typer.Option("--sent", help="You know that it went out.")] = False,
    not_sent: Annotated[
        bool, typer.Option("--not-sent", help="You know that it did not; it may be sent again.")
    ] = False,
    json: Json = False,
) -> None:
    """Find out whether a draft went out of which that is unknown: in the folder of sent mail, or by your word."""
    from chittycan.control.drafts import resolve as find_out

    if sent and not_sent:
        raise UsageError("it went out, or it did not", fix="Give --sent or --not-sent.")
    outcome = "sent" if sent else "not-sent" if not_sent else None
    _resolved(_call(find_out, draft=draft, outcome=outcome), json)


@app.command("acknowledge")
def acknowledge(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say to whom one would go.")] = False,
    json: Json = False,
) -> None:
    """Acknowledge new mail of those in inbox.acknowledge; can serve does so by itself."""
    from chittycan.cli.session import Session, run
    from chittycan.control.drafts import AcknowledgedRow
    from chittycan.control.drafts import acknowledge as look

    async def work(network: Session) -> list[AcknowledgedRow]:
        return await network.call(look, dry_run=dry_run)

    rows = run(work)
    if json:
        print_json(rows)
        return
    table(
        ("mail", "to", "by the rule", "state", "problem"),
        [(row.mail, row.to, row.rule, row.state or ("would be sent" if dry_run else ""), row.problem or "")
         for row in rows],
        empty="nothing to acknowledge",
    )  # fmt: skip


# what is shown


def _state(row: "DraftRow") -> str:
    return f"{row.state}, came back" if row.bounced else row.state


def _writer(row: "DraftRow") -> str:
    if row.automatic:
        return "fixed text"
    return "you" if row.edited else row.model or "rules"


def _call(operation: "Operation[DraftDetail]", **given: Any) -> "DraftDetail":
    from chittycan.cli.session import Session, run

    async def work(network: Session) -> "DraftDetail":
        return await network.call(operation, **given)

    return run(work)


def _headers(found: "DraftDetail") -> None:
    lines = [("From", found.sender or "nobody is set up to send"), ("To", ", ".join(found.to)),
             ("Cc", ", ".join(found.cc)), ("Subject", found.subject),
             ("Files", ", ".join(f"{each.name} ({each.size:,} bytes)" for each in found.attachments))]  # fmt: skip
    for name, value in lines:
        if value:
            console.print(f"[dim]{name + ':':9}[/]{plain(value)}")


def _tell(found: "DraftDetail", json: bool) -> None:
    if json:
        print_json(found)
        return
    _headers(found)
    console.print(f"\n{plain(found.body.strip())}\n")
    for warning in found.warnings:
        console.print(f"[yellow]![/] {plain(warning)}")
    if found.problem and found.state in ("draft", "approved", "failed"):
        console.print(f"[red]✗[/] it cannot be sent: {plain(found.problem)}")
        if found.fix:
            console.print(f"  [dim]→ {plain(found.fix)}[/]")
    for each in found.bounced:
        why = f": {each.reason or each.status}" if each.reason or each.status else ""
        console.print(f"[red]✗[/] it did not reach {plain(each.recipient or 'its recipient')}{plain(why)}")
        console.print(f"  [dim]→ says the mail {each.mail}, {date(each.at, clock=True)}[/]")
    console.print(f"[dim]{plain(_standing(found))}[/]")
    console.print(f"[dim]{plain(_next(found))}[/]")


def _standing(found: "DraftDetail") -> str:
    by = "changed by you" if found.edited else f"written by {found.model}" if found.model else "no model wrote it"
    said = f"{found.state}, {by}"
    if found.state in ("approved", "rejected") and found.by:
        said += f"; {found.state} by {found.by}, {date(found.decided, clock=True)}"
    if found.reason:
        said += f": {found.reason}"
    return f"{said}: {found.error}" if found.error else said


def _next(found: "DraftDetail") -> str:
    match found.state:
        case "draft":
            return f"can router drafts edit|approve|reject {found.id}"
        case "approved" | "failed":
            return f"can router drafts send {found.id}"
        case "sending" | "unknown":
            return f"can router drafts resolve {found.id}"
        case "sent" if found.bounced:
            return f"to correct and send it again: can router drafts resolve {found.id} --not-sent"
        case "sent":
            return f"sent {date(found.sent, clock=True)} as {found.message_id}"
        case _:
            return f"can router drafts edit {found.id} takes it up again"


COPIES = {
    "kept": "a copy is among the sent mails",
    "there": "the server keeps a copy among the sent mails",
    "none": "no copy is kept: the account has no folder of sent mail here",
}


def _sent(found: "DraftDetail", json: bool) -> None:
    """What came of sending it. Exits with 1 where it is not known to be sent."""
    if json:
        print_json(found)
    elif found.state == "sent":
        done(
            f"sent to {plain(', '.join((*found.to, *found.cc)))}" + (f": {plain(found.answer)}" if found.answer else "")
        )
        copy = COPIES.get(
            found.copy or "", "a copy among the sent mails is still to come: the mail server did not answer"
        )
        console.print(f"  [dim]{copy}; {plain(found.message_id or '')}[/]")
    elif found.state == "approved":
        done(f"approved; can router drafts send {found.id}")
    else:
        console.print(f"[yellow]![/] {plain(_standing(found))}")
        if found.state == "unknown":
            console.print(
                "  [dim]→ it may have gone out, and is not sent again by itself. Look whether they have it:[/]"
            )
            console.print(f"  [dim]  can router drafts resolve {found.id} --sent | --not-sent[/]")
    if found.state not in ("sent", "approved"):
        raise typer.Exit(1)


def _resolved(found: "DraftDetail", json: bool) -> None:
    if found.state == "failed" and not json:
        done(f"it did not go out; can router drafts send {found.id} tries again")
        console.print(f"  was that wrong? can router drafts resolve {found.id} --sent, before it is sent again")
    elif found.state == "draft" and not json:
        done(f"it did not go out, and is a draft again; can router drafts approve {found.id} --send")
        console.print("  a copy of it may lie among the sent mails of your account: delete it there")
    elif found.state in ("failed", "draft"):
        print_json(found)
    else:
        _sent(found, json)


# what is given


def read_text(file: str) -> str:
    """Of a file, or with `-` of standard input. Raises UsageError."""
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).expanduser().read_bytes()
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UsageError(f"{file} cannot be read: {why}", fix="Name a text file, or - for standard input.") from None


def _encoded(file: Path) -> str:
    """What a file holds, in base64. Raises UsageError."""
    try:
        return b64encode(file.expanduser().read_bytes()).decode()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", fix="Name a file.") from None


def _edited(text: str) -> str | None:
    """The text as somebody left it in $EDITOR; None where they did not save."""
    if not on_terminal():
        raise UsageError("there is no terminal to edit on", fix="--body FILE, or --body - for standard input")
    import click

    return click.edit(text, extension=".txt")


def on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
