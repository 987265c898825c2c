"""`can router agents`: which there are, what they said, and one of them on one mail."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chittycan.cli.output import (
    Json,
    console,
    date,
    dollars,
    plain,
    print_json,
    progress,
    seconds,
    table,
)

if TYPE_CHECKING:
    from chittycan.agents.agent import AgentResult
    from chittycan.control.inbox import AgentRun

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Agents: list, history, invoke."
)

Name = Annotated[str, typer.Argument(metavar="AGENT", help="triage, priority, response or document.")]


@app.command("list")
def list_(json: Json = False) -> None:
    """Every agent, the model that would answer for it now, and what it did so far."""
    from chittycan.cli.session import Session, run
    from chittycan.control.agents import AgentRow, listed

    async def work(network: Session) -> list[AgentRow]:
        return await network.call(listed)

    rows = run(work)
    if json:
        print_json(rows)
        return
    table(
        ("agent", "kind of task", "model now", "runs", "by rules", "mean", "cost", "last"),
        [(row.name, row.kind, row.model or f"nobody: {row.why}", row.runs, row.fallbacks,
          seconds(row.ms_mean), dollars(round(row.cost_usd * 1e9)), date(row.last, clock=True)) for row in rows],
    )  # fmt: skip
    console.print('\n[dim]another model for one of them: "assignments" in models.json, by kind of task[/]')


@app.command("history")
def history(
    name: Name,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 20,
    json: Json = False,
) -> None:
    """The last runs of one agent, newest first."""
    from chittycan.cli.session import Session, run
    from chittycan.control.agents import history as operation
    from chittycan.control.inbox import AgentRun

    async def work(network: Session) -> list[AgentRun]:
        return await network.call(operation, name=name, limit=limit)

    runs = run(work)
    if json:
        print_json(runs)
        return
    table(
        ("when", "mail", "said", "answered by", "time", "cost"),
        [(date(each.at, clock=True), each.mail, _short(each), each.model or "rules" + " (fallback)" * each.fallback,
          seconds(each.ms if each.model else None), _cost(each) if each.model else "—") for each in runs],
        empty=f"{name} has done nothing yet",
        cut=("said",),
    )  # fmt: skip


@app.command("invoke")
def invoke(
    name: Name,
    email: Annotated[str, typer.Option(help="The mail's id, or its beginning: can router inbox list.")],
    template: Annotated[str | None, typer.Option(help="For response: the template of the draft.")] = None,
    attachment: Annotated[str | None, typer.Option(help="For document: which attachment; else the first.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Ask this model.")] = None,
    region: Annotated[str | None, typer.Option(help="Only models in this region.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Only models marked private may see the mail.")] = False,
    json: Json = False,
) -> None:
    """Run one agent on one mail (again). `response` writes the mail's draft anew; nothing is sent.

    Exit status 1 where no model answered and rules stood in.
    """
    from msgspec.structs import replace

    from chittycan.agents.invoke import Besides
    from chittycan.agents.invoke import invoke as run_agent
    from chittycan.cli.session import Session, run
    from chittycan.clock import SystemClock
    from chittycan.config import load
    from chittycan.mail_tokens import RefreshTokens
    from chittycan.mailbox import of_account, terms
    from chittycan.mailroom import reread
    from chittycan.rulebook import RuleBook
    from chittycan.store import inbox

    settings = load()
    asked = terms(settings, template=template, model=model, region=region, local=private)

    async def work(network: Session) -> "AgentResult[Any]":
        async with network.database() as database:
            rules = RuleBook(database, SystemClock())
            await rules.refresh()
            stored = await database.read(inbox.get, email)
            how = replace(asked, rules=rules.book, private=asked.private or not rules.readable)
            how = of_account(settings, stored.account or "", how)
            with progress(f"{plain(name)} reads the mail"):
                return await run_agent(
                    name, email, network.ask, database, how,
                    besides=Besides(attachment=attachment),
                    reread=reread(lambda: settings, os.environ, RefreshTokens(database, SystemClock())),
                )  # fmt: skip

    result = run(work)
    print_json(_row(result)) if json else _show(result)
    if result.fallback:
        raise typer.Exit(1)


def _row(result: "AgentResult[Any]") -> dict[str, Any]:
    return {
        "agent": result.agent, "kind": result.kind, "version": result.version, "model": result.model,
        "fallback": result.fallback, "reason": result.reason, "repaired": result.repaired, "ms": round(result.ms, 1),
        "cost_usd": None if result.cost_nano is None else result.cost_nano / 1e9, "attempts": result.attempts,
        "request_ids": list(result.request_ids), "output": result.output,
    }  # fmt: skip


def _show(result: "AgentResult[Any]") -> None:
    from chittycan.cli.router import mail

    output = result.output
    body = output.pop("body", None)
    if body:
        output.pop("references", None)  # headers of the draft
    mail.values(output, indent="")
    if body:
        console.print(f"\n{plain(body)}")
    console.print()
    cost = dollars(result.cost_nano)
    if result.model is not None:
        again = ", second try" if result.repaired else ""
        console.print(
            f"[green]✓[/] {result.agent.capitalize()}: {plain(result.model)} "
            f"[dim]({seconds(result.ms)}, {cost}{again})[/]"
        )
    else:
        console.print(f"[yellow]![/] {result.agent.capitalize()}: by rules [dim]({plain(result.reason or '')})[/]")


def _cost(run: "AgentRun") -> str:
    return dollars(None if run.cost_usd is None else round(run.cost_usd * 1e9))


def _short(run: "AgentRun") -> str:
    """The one value of an answer that says most, in a few words."""
    said = run.output
    shown = said.get("category") or said.get("level") or said.get("document_type") or said.get("subject") or ""
    return " ".join(str(shown).replace("_", " ").split())
