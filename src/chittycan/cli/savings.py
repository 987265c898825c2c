"""`can savings`: what the traffic cost, against what it would have cost otherwise."""

from typing import TYPE_CHECKING, Annotated

import typer

from chittycan.cli.output import Json, console, count, dollars, plain, print_json, table

if TYPE_CHECKING:
    from chittycan.control.savings import AtOneModel, SavingsLine, SavingsReport, ScoreRow


def savings(
    since: Annotated[str, typer.Option(help="How far back, as in 24h, 7d, 4w.")] = "30d",
    baseline: Annotated[
        str | None, typer.Option(help="The model to compare with; by default routing.baseline, else the dearest used.")
    ] = None,
    json: Json = False,
) -> None:
    """What the traffic cost, against all of it at a baseline, and at the best of the cheap models."""
    from chittycan.cli.session import Session, run
    from chittycan.control.savings import savings as operation

    async def work(network: Session) -> "SavingsReport":
        return await network.call(operation, since=since, baseline=baseline)

    found = run(work)
    if json:
        print_json(found)
        return
    if not found.answers:
        console.print(f"[dim]no answer of known price in the last {plain(since)}[/]")
        _left_out(found)
        return
    console.print(
        f"[bold]{count(found.answers, 'answer')}[/] in the last {plain(since)} cost [bold]{_usd(found.cost_usd)}[/]"
        + (f", {_usd(found.absorbed_usd)} of it for attempts that failed halfway" if found.absorbed_usd else "")
        + f"; quality {_quality(found.quality)}\n"
    )
    _compared(found)
    _lines("model", found.models, found)
    _lines("kind of work", found.kinds, found)
    _left_out(found)


def _compared(found: "SavingsReport") -> None:
    rows = []
    for what, at in (("all at the baseline", found.baseline), ("all at the best cheap model", found.best_cheap)):
        if at is not None:
            rows.append((what, at.model, _usd(at.cost_usd), _saved(at), _quality(at.quality)))
    named = {at.model for at in (found.baseline, found.best_cheap) if at is not None}
    rows += [
        ("", at.model, _usd(at.cost_usd), _saved(at), _quality(at.quality))
        for at in found.at_one
        if at.model not in named
    ]
    table(("had it been", "model", "cost", "saved", "its quality"), rows)
    if found.best_cheap is None and found.baseline is not None:
        console.print(f"[dim]no cheaper model than {plain(found.baseline.model)} was used[/]")
    elif found.best_cheap_by == "use":
        console.print("[dim]too few scores: the best cheap model is the one that was used most[/]")
    console.print()


def _lines(what: str, lines: "list[SavingsLine]", found: "SavingsReport") -> None:
    baseline = found.baseline.model if found.baseline is not None else "baseline"
    cheap = found.best_cheap.model if found.best_cheap is not None else "cheap"
    table(
        (what, "answers", "cost", f"at {baseline}", f"at {cheap}", "quality", f"{baseline}'s quality"),
        [(line.name or "(none)", line.answers, _usd(line.cost_usd), _usd(line.baseline_usd),
          _usd(line.best_cheap_usd) if found.best_cheap else None, _quality(line.quality),
          _quality(line.baseline_quality)) for line in lines],
    )  # fmt: skip
    console.print()


def _left_out(found: "SavingsReport") -> None:
    """What is not in the figures, and what they assume."""
    if found.cache_hits:
        worth = "of unknown worth" if found.cache_usd is None else f"about {_usd(found.cache_usd)} saved"
        console.print(f"{count(found.cache_hits, 'more answer')} came from the cache: {worth}")
    for number, what in (
        (found.unpriced, "whose price is unknown"),
        (found.embeddings, "that are embeddings"),
        (found.ensembles, "to ensembles"),
    ):
        if number:
            console.print(f"[yellow]![/] left out on both sides: {count(number, 'answer')} {what}")
    if not found.answers:
        return
    console.print("[dim]another model is taken to have read and written as many tokens[/]")
    if not found.quality.scored:
        console.print("[dim]nobody said how good the answers were, so what was saved may have cost quality: "
                      "can feedback last good[/]")  # fmt: skip


def _saved(at: "AtOneModel") -> str:
    if at.saved_usd is None:
        return "—"
    if at.saved_usd < 0:
        return f"it cost {_usd(-at.saved_usd)} more"
    share = "" if at.saved_share is None else f" ({at.saved_share:.0%})"
    return f"{_usd(at.saved_usd)}{share}"


def _quality(score: "ScoreRow") -> str:
    return "not scored" if score.mean is None else f"{score.mean:.2f} of {score.scored:,}"


def _usd(amount: float | None) -> str:
    return dollars(None if amount is None else round(amount * 1e9))
