"""`can router models`: which there are, whether they answer, and who stands in for whom."""

from typing import TYPE_CHECKING, Annotated

import typer

from chittycan.cli.output import Json, console, done, plain, print_json, progress, seconds, table

if TYPE_CHECKING:
    from chittycan.control.models import DeploymentRow

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Models: list, test, fallback-chain."
)


@app.command("list")
def list_(
    everything: Annotated[
        bool, typer.Option("--all", help="Also the models that lack something, and what they lack.")
    ] = False,
    json: Json = False,
) -> None:
    """Every model that can be called now."""
    from chittycan.cli.session import Session, run
    from chittycan.control.models import ModelRow, listed

    async def work(network: Session) -> list[ModelRow]:
        return await network.call(listed, unavailable=everything)

    rows = run(work)
    if json:
        print_json(rows)
        return
    lines: list[tuple[str | None, ...]] = []
    for row in rows:
        notes = (
            ["default"] * row.default
            + ["private"] * row.private
            + row.regions
            + ([row.dominated] if row.dominated else [])
        )
        status = row.status if row.why is None else f"{row.status}: {row.why}"
        window = None if row.window is None else f"{row.window:,}"
        provider = f"{len(row.deployments)} places" if row.deployments else row.provider
        times = (seconds(row.first_token_ms), seconds(row.latency_ms))
        lines.append((row.name, provider, status, *times, window, ", ".join(notes)))
        lines += map(_deployment, row.deployments)
    table(
        ("model", "provider", "status", "first token", "median", "window", ""),
        lines,
        empty="no model can be called; can doctor",
    )


def _deployment(row: "DeploymentRow") -> tuple[str | None, ...]:
    notes = ["private"] * row.private + row.regions + ([f"weight {row.weight:g}"] if row.weight != 1 else [])
    notes += [f"{row.open} open"] if row.open else []
    place = f"{row.provider}/{row.upstream}".removesuffix("/")
    status = row.status if row.why is None else f"{row.status}: {row.why}"
    return "", f"  {place}", status, seconds(row.first_token_ms), None, None, ", ".join(notes)


@app.command("test")
def probe(
    names: Annotated[list[str] | None, typer.Argument(help="Models; each provider's default, where none.")] = None,
    json: Json = False,
) -> None:
    """Ask models one short question each, and say what a failure means."""
    from chittycan.cli.connect import show_probes
    from chittycan.cli.session import Session, run
    from chittycan.control.models import probe as operation
    from chittycan.control.probe import Probed

    async def work(network: Session) -> list[Probed]:
        with progress("asking"):
            return await network.call(operation, names=names or None)

    found = run(work)
    if json:
        print_json(found)
    else:
        show_probes(found)
    if not found or not all(each.success for each in found):
        raise typer.Exit(1)


@app.command("fallback-chain")
def fallback_chain(
    model: Annotated[str, typer.Argument(help="Whose chain; without it, the default chain.")] = "*",
    chain: Annotated[str | None, typer.Option("--set", help="The models in order, with commas between.")] = None,
    json: Json = False,
) -> None:
    """Who is asked, in order, when a model fails; with --set, write it into models.json."""
    from chittycan.cli.session import Session, run
    from chittycan.control.models import FallbackChain, set_fallback_chain
    from chittycan.control.models import fallback_chain as operation

    async def work(network: Session) -> FallbackChain:
        if chain is None:
            return await network.call(operation, model=model)
        return await network.call(set_fallback_chain, model=model, chain=chain.split(","))

    found = run(work)
    if json:
        print_json(found)
        return
    if chain is not None:
        done("written to models.json, effective at once\n")
    console.print(" → ".join(f"[bold]{plain(name)}[/]" for name in found.chain) or "[dim]nobody[/]")
    passed = [(each.model, each.why) for each in found.links if not each.used]
    for name, why in passed:
        console.print(f"[dim]– {plain(name)}: {plain(why)}[/]")
