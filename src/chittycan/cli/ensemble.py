"""`can ensemble`: several models, one answer, and who said what."""

from typing import TYPE_CHECKING, Annotated

import typer

from chittycan.cli.output import Json, console, dollars, errors, plain, print_json, print_line, progress, seconds, table
from chittycan.errors import UsageError

if TYPE_CHECKING:
    from chittycan.control.ensembles import EnsembleResult

app = typer.Typer(add_completion=False, rich_markup_mode=None)
LONGEST = 60  # characters of an answer in the table


@app.command("ensemble")
def ensemble(
    prompt: Annotated[list[str] | None, typer.Argument(help="The prompt. Files that it names are attached.")] = None,
    models: Annotated[
        str | None, typer.Option("--models", "-m", help="Models or providers: openai,anthropic,local.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", "-n", help="An ensemble of models.json.")] = None,
    mode: Annotated[
        str | None, typer.Option(help="cascade (default), vote, weighted, median, mean, judge or fuse.")
    ] = None,
    extract: Annotated[
        str | None, typer.Option(help="What counts: text, choice, choice:low,high, number, json, json:PATH.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="As in gpt-4o=2,local=1.")] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="How far apart numbers may be and still agree.", min=0)
    ] = None,
    quorum: Annotated[int | None, typer.Option(help="How many have to answer.", min=1)] = None,
    judge: Annotated[str | None, typer.Option(help="Who chooses or writes, for judge and fuse.")] = None,
    strong: Annotated[str | None, typer.Option(help="Whom a cascade asks where the others differ.")] = None,
    budget: Annotated[float | None, typer.Option(help="The most that this may cost, in dollars.", min=0)] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds for the models.", min=0.001)] = None,
    kind: Annotated[str | None, typer.Option(help="Kind of task, for the ledger.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Only models marked private may see this.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show the ensembles of models.json.")] = False,
    json: Json = False,
) -> None:
    """Ask several models, and make one answer of theirs.

    With --json, one line: {model, text, json?, cost_usd, ms, tokens, value, agreement, dissent, members …}.
    """
    if list_:
        _list(json)
        return
    if models is None and name is None:
        raise UsageError("Nobody is named to ask.", fix='can ensemble "Rate the risk 1-10" --models openai,anthropic')
    from chittycan.cli.asking import parsed, request
    from chittycan.cli.session import Session, run
    from chittycan.control.ensembles import EnsembleResult, ask
    from chittycan.dialects import load

    chat = request(prompt or (), model="ensemble", system=None, quiet=json)
    body = {"messages": load("openai").build_request(chat)["messages"]}

    async def work(network: Session) -> EnsembleResult:
        with progress("asking"):
            return await network.call(
                ask, request=body, name=name, models=_named(models), mode=mode, extract=extract,
                weights=_weights(weights), tolerance=tolerance, quorum=quorum, judge=judge, strong=strong,
                budget_usd=budget, timeout=timeout, kind=kind, private=private,
            )  # fmt: skip

    found = run(work)
    if json:
        value = parsed(found.text)
        print_line(_row(found) if value is None else {"json": value} | _row(found))
        return
    typer.echo(found.text)
    _show(found)


def _named(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _weights(text: str | None) -> dict[str, float] | None:
    if text is None:
        return None
    found = {}
    for pair in text.split(","):
        model, _, weight = pair.rpartition("=")
        try:
            found[model.strip()] = float(weight)
        except ValueError:
            raise UsageError(f"'{pair}' gives no model a weight.", fix="--weights gpt-4o=2,local=1") from None
    return found


def _row(found: "EnsembleResult") -> dict[str, object]:
    import msgspec

    row: dict[str, object] = msgspec.to_builtins(found)
    return row


def _show(found: "EnsembleResult") -> None:
    """Who said what; on a terminal below the answer, else beside it."""
    where = console if console.is_terminal else errors
    nano = None if found.cost_usd is None else round(found.cost_usd * 1e9)
    where.print(
        f"[green]✓[/] {plain(found.mode)}, decided by {plain(found.decided_by)}, {found.agreement:.0%} agree "
        f"[dim]({seconds(found.ms)}, {dollars(nano)})[/]"
    )
    for note in found.notes:
        where.print(f"[dim]{plain(note)}[/]")
    if not console.is_terminal:
        return
    rows = []
    for each in found.members:
        said = each.error or str(each.value if each.value is not None else each.text or "")
        mark = "–" if each.error else "✗" if each.model in found.dissent else "✓"
        short = " ".join(said.split())
        short = short if len(short) <= LONGEST else short[: LONGEST - 1] + "…"
        cost = None if each.cost_usd is None else round(each.cost_usd * 1e9)
        rows.append(
            (mark, each.model, "" if each.role == "member" else each.role, short, seconds(each.ms), dollars(cost))
        )
    console.print()
    table(("", "model", "role", "said", "time", "cost"), rows, cut=("said",))


def _list(json: bool) -> None:
    from chittycan.cli.session import Session, run
    from chittycan.control.ensembles import EnsembleRow, listed

    async def work(network: Session) -> list[EnsembleRow]:
        return await network.call(listed)

    rows = run(work)
    if json:
        print_json(rows)
        return
    lines = [(each.model, each.mode, each.extract, ", ".join(each.models) or each.why) for each in rows]
    table(("name", "mode", "reads", "models"), lines, empty="no ensemble in models.json")
