"""`can router drafts`: replies that wait for a person."""

from typing import Annotated

import typer

from chittycan.cli.output import Json, console, date, plain, print_json, table

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Drafts of replies: list, show."
)


@app.command("list")
def list_(
    state: Annotated[str | None, typer.Option(help="Only those: draft, approved, sent …")] = None,
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
        [(row.id, row.state, row.to[0].partition(" <")[0] if row.to else "", row.subject, row.model or "rules",
          len(row.warnings) or "", date(row.created)) for row in rows],
        empty="no drafts; can router inbox process --source PATH",
        cut=("to", "subject"),
    )  # fmt: skip
    if rows:
        console.print(f"\n[dim]nothing is sent  ·  can router drafts show {rows[0].id}[/]")


@app.command("show")
def show(
    draft: Annotated[str, typer.Argument(metavar="ID", help="The draft's id or its mail's, or the beginning.")],
    json: Json = False,
) -> None:
    """One draft, as it would be sent."""
    from chittycan.cli.session import Session, run
    from chittycan.control.drafts import DraftRow, shown

    async def work(network: Session) -> DraftRow:
        return await network.call(shown, draft=draft)

    found = run(work)
    if json:
        print_json(found)
        return
    console.print(f"[dim]To:      [/]{plain(', '.join(found.to))}")
    console.print(f"[dim]Subject: [/]{plain(found.subject)}\n")
    console.print(plain(found.body.strip()))
    console.print()
    for warning in found.warnings:
        console.print(f"[yellow]![/] {plain(warning)}")
    by = f"written by {found.model}" if found.model else "the template's own words, no model wrote it"
    console.print(f"[dim]{plain(found.state)}, {plain(by)}; read it before you use it[/]")
    console.print(f"[dim]write it anew: can router agent invoke response --email {found.mail}[/]")
