"""`can simulate`: what another models.json would have come to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chittycan.cli.output import Json, console, count, dollars, plain, print_json, progress, seconds, table, warn

if TYPE_CHECKING:
    from chittycan.control.simulation import ChangedChoice, SimulatedSide, SimulationReport

LEFT = {
    "before": "are from before the ledger knew what was asked for",
    "cached": "came from the cache",
    "ensemble": "went, or would go, to an ensemble",
    "listed": "had a chain of their own",
    "rule": "had their model from one of your rules",
    "refused": "were refused before any model was asked",
    "gone": "were given up by their clients before an answer came",
}


def simulate(
    models: Annotated[Path, typer.Option(help="The other models.json.")],
    since: Annotated[str, typer.Option(help="Which requests: the last 24h, 7d, 4w.")] = "30d",
    json: Json = False,
) -> None:
    """Replay the ledger under another models.json: cost, latency, availability, changed choices. Nothing is changed."""
    from chittycan.cli.session import Session, run
    from chittycan.config.reading import read_models
    from chittycan.config.settings import MODELS_FILE
    from chittycan.control.simulation import simulate as operation

    document = read_models(models)

    async def work(network: Session) -> "SimulationReport":
        return await network.call(operation, models=document, since=since)

    with progress("replaying"):
        found = run(work)
    if json:
        print_json(found)
        return
    for warning in found.warnings:
        warn(plain(warning.replace(MODELS_FILE, models.name)))
    if not found.requests:
        console.print(f"[dim]no request of the last {plain(since)} can be replayed[/]")
    else:
        console.print(f"[bold]{count(found.requests, 'request')}[/] of the last {plain(since)}, replayed\n")
        _sides(found)
        _changes(found.changes)
    for why, number in found.left.items():
        console.print(f"[dim]{number:,} more {LEFT[why]}: left out on both sides[/]")
    _unknown(found.then)


def _sides(found: "SimulationReport") -> None:
    now, then, both = found.now, found.then, found.both
    change = _percent(both.now_usd, both.then_usd)
    alike = both.answers == now.answers == then.answers
    apart = (f"of {both.answers:,.0f} both answer", _usd(both.now_usd), f"{_usd(both.then_usd)}{change}")
    table(
        ("", "now", "then"),
        [
            ("cost", _usd(now.cost_usd), f"{_usd(then.cost_usd)}{change if alike else ''}"),
            *([] if alike else [apart]),
            ("median", seconds(now.ms_p50), seconds(then.ms_p50)),
            ("95 % within", seconds(now.ms_p95), seconds(then.ms_p95)),
            ("answered", _share(now), _share(then)),
        ],
    )
    names = list(dict.fromkeys([*now.models, *then.models]))
    console.print()
    table(
        ("answers of", "now", "then"),
        [(name, f"{now.models.get(name, 0):,.0f}", f"{then.models.get(name, 0):,.0f}") for name in names],
    )
    console.print()


def _changes(changes: "list[ChangedChoice]") -> None:
    table(
        ("from", "to", "requests", "cost", "why"),
        [(each.before or "nobody", each.after or "nobody", f"{each.count:,}",
          _difference(each.cost_usd) if each.after else "—", each.why)
         for each in changes],
        empty="no choice changes",
    )  # fmt: skip
    console.print()


def _unknown(then: "SimulatedSide") -> None:
    """What cannot be said."""
    for number, what in (
        (then.unpriced, "answers without a known price: not in the cost"),
        (then.untimed, "answers of models that never answered: not in the latencies"),
        (then.untried, "requests to models that were never asked: taken to be answered"),
    ):
        if number:
            console.print(f"[yellow]![/] {what} ({number:,.0f})")
    console.print("[dim]no text is kept: kinds of work are as recorded, and answers are taken to be as long; "
                  "nothing was changed[/]")  # fmt: skip


def _usd(amount: float) -> str:
    return dollars(round(amount * 1e9))


def _difference(amount: float | None) -> str:
    if amount is None:
        return "price unknown"
    return f"{'-' if amount < 0 else '+'}{_usd(abs(amount))}"


def _percent(now: float, then: float) -> str:
    return f" ({(then - now) / now:+.0%})" if now else ""


def _share(side: "SimulatedSide") -> str:
    return "—" if side.answered_share is None else f"{side.answered_share:.1%}"
