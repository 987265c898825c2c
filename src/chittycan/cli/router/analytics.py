"""`can router analytics`: how the agents and the routing do, from the ledger."""

from typing import TYPE_CHECKING, Annotated

import typer

from chittycan.cli.output import Json, console, count, dollars, plain, print_json, seconds, table

if TYPE_CHECKING:
    from chittycan.control.inbox_usage import InboxFigures

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="How agents, routing and the inbox do."
)

Since = Annotated[str, typer.Option(help="How far back, as in 24h, 7d, 4w.")]


@app.command("agents")
def agents(since: Since = "7d", json: Json = False) -> None:
    """Calls, success, latency and cost of each agent (or kind of task)."""
    from chittycan.cli.session import Session, run
    from chittycan.control.usage import AgentUsage
    from chittycan.control.usage import agents as operation

    async def work(network: Session) -> list[AgentUsage]:
        return await network.call(operation, since=since)

    rows = run(work)
    if json:
        print_json(rows)
        return
    table(
        ("agent", "calls", "success", "median", "cost"),
        [(each.agent, each.invocations, "—" if each.success_rate is None else f"{each.success_rate:.0%}",
          seconds(each.ms_p50), dollars(round(each.cost_usd * 1e9))) for each in rows],
        empty=f"no agent worked in the last {since}",
    )  # fmt: skip


@app.command("inbox")
def inbox(
    since: Since = "7d",
    account: Annotated[str | None, typer.Option(help="Only mail of this account.")] = None,
    json: Json = False,
) -> None:
    """Mail per mailbox and category: how much, who sorted it, time to a draft, cost, corrections."""
    from chittycan.cli.session import Session, run
    from chittycan.control.inbox_usage import InboxUsage
    from chittycan.control.inbox_usage import inbox as operation

    async def work(network: Session) -> InboxUsage:
        return await network.call(operation, since=since, account=account)

    found = run(work)
    if json:
        print_json(found)
        return
    several = len(found.by_account) > 1
    rows = [*found.by_category, *(found.by_account if several else ()), found.total]
    table(
        ("mailbox", "category", "mails", "no model", "fallbacks", "drafts", "to draft", "per mail", "corrected"),
        [(_mailbox(each, found.total), _category(each, found.total), each.mails, each.settled, each.fallbacks,
          each.drafts, seconds(None if each.draft_seconds_p50 is None else each.draft_seconds_p50 * 1000),
          dollars(round(each.cost_per_mail_usd * 1e9)),
          "—" if each.corrections_rate is None else f"{each.corrections_rate:.0%}") for each in rows],
        cut=("mailbox",),
    )  # fmt: skip


def _mailbox(row: "InboxFigures", total: "InboxFigures") -> str:
    return "all" if row is total else row.account or "—"


def _category(row: "InboxFigures", total: "InboxFigures") -> str:
    if row.category is None:
        return "all" if row is total or row.account is not None else "—"
    return row.category.replace("_", " ")


@app.command("routing")
def routing(since: Since = "7d", json: Json = False) -> None:
    """How requests were routed, and how many answers another model saved."""
    from chittycan.cli.session import Session, run
    from chittycan.control.usage import RoutingUsage
    from chittycan.control.usage import routing as operation

    async def work(network: Session) -> RoutingUsage:
        return await network.call(operation, since=since)

    found = run(work)
    if json:
        print_json(found)
        return
    rate = f" ({found.answered / found.total_routed:.1%})" if found.total_routed else ""
    console.print(
        f"[bold]{count(found.total_routed, 'request')}[/] in the last {plain(since)}: {found.answered} answered{rate}, "
        f"{found.failed} failed, {found.cancelled} left by the client"
    )
    console.print(
        f"{count(found.saved, 'answer')} saved by another try, {found.cache_hits} from the cache; "
        f"median {seconds(found.ms_p50)}, 95 % within {seconds(found.ms_p95)}; {dollars(round(found.cost_usd * 1e9))}\n"
    )
    table(
        ("route", "calls", "errors", "median", "cost"),
        [(each.name, each.calls, each.errors, seconds(each.ms_p50), dollars(round(each.cost_usd * 1e9)))
         for each in found.by_decision],
    )  # fmt: skip
