"""`can keys`: virtual keys, made, listed and revoked."""

from typing import Annotated

import typer

from chittycan.cli.output import Json, console, date, done, plain, print_json, table

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Virtual keys: create, list, revoke."
)


@app.command("create")
def create(
    name: Annotated[str, typer.Option(help="What you call it; the ledger shows it.")],
    budget: Annotated[str | None, typer.Option(help="In dollars: 10/day, 100/month, or both with a comma.")] = None,
    models: Annotated[str | None, typer.Option(help="The only models it may call, with commas between.")] = None,
    kinds: Annotated[str | None, typer.Option(help="The only kinds of task it is for, with commas.")] = None,
    rpm: Annotated[int | None, typer.Option(help="Requests per minute.", min=0)] = None,
    tpm: Annotated[int | None, typer.Option(help="Tokens per minute.", min=0)] = None,
    expires: Annotated[str | None, typer.Option(help="For how long it is good: 12h, 30d, 1y.")] = None,
    cache: Annotated[bool, typer.Option("--cache", help="Answer equal requests from the cache.")] = False,
    json: Json = False,
) -> None:
    """Make a key. It is shown this once; from the first key on, every client needs one."""
    from chittycan.cli.session import Session, run
    from chittycan.control.keys import NewKeyRow
    from chittycan.control.keys import create as operation

    async def work(network: Session) -> NewKeyRow:
        return await network.call(
            operation, name=name, budget=budget, models=_listed(models), kinds=_listed(kinds), rpm=rpm, tpm=tpm,
            expires=expires, cache=cache,
        )  # fmt: skip

    made = run(work)
    if json:
        print_json(made)
        return
    done(f"key [bold]{plain(made.name)}[/]: write it down, it is shown only now\n")
    console.print(f"  [bold]{made.key}[/]\n")
    console.print("[dim]  OPENAI_API_KEY or ANTHROPIC_API_KEY of your client; every server knows it within a second[/]")


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Revoked and expired ones too.")] = False, json: Json = False
) -> None:
    """List the keys, with what each has spent."""
    from chittycan.cli.session import Session, run
    from chittycan.control.keys import KeyRow, listed

    async def work(network: Session) -> list[KeyRow]:
        return await network.call(listed)

    rows = [row for row in run(work) if everything or json or row.state == "active"]
    if json:
        print_json(rows)
        return
    columns = ("name", "key", "state", "today", "this month", "rpm", "tpm", "models", "made", "expires")
    table(
        columns,
        [(row.name, f"…{row.hint}", row.state, _spent(row.spent_day_usd, row.budget_day_usd),
          _spent(row.spent_month_usd, row.budget_month_usd), row.rpm, row.tpm, ", ".join(row.models or ("all",)),
          date(row.created), date(row.expires)) for row in rows],
        empty="no keys: programs on this machine need none; can keys create --name NAME",
    )  # fmt: skip


@app.command("revoke")
def revoke(key: Annotated[str, typer.Argument(help="Its name or its id.")], json: Json = False) -> None:
    """Revoke a key; every server knows within a second."""
    from chittycan.cli.session import Session, run
    from chittycan.control.keys import revoke as operation

    async def work(network: Session) -> None:
        await network.call(operation, key=key)

    run(work)
    print_json({"revoked": key}) if json else done(f"key {plain(key)} is revoked")


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _spent(spent: float, budget: float | None) -> str:
    return f"${spent:.2f}" if budget is None else f"${spent:.2f} of ${budget:g}"
