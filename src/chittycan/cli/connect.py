"""`can connect`: ask one provider, see what was spent, set providers up and test them, export the API's document."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chittycan.cli.output import (
    Json,
    console,
    count,
    dollars,
    done,
    plain,
    print_json,
    print_line,
    progress,
    seconds,
    table,
)
from chittycan.errors import UsageError

if TYPE_CHECKING:
    from chittycan.control.probe import Probed
    from chittycan.control.usage import UsageGroup

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Providers: proxy, integrations, openapi."
)
integrations = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Providers: list, add, test, remove."
)
openapi = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="The document of the HTTP API."
)
app.add_typer(integrations, name="integrations")
app.add_typer(integrations, name="integration", hidden=True)
app.add_typer(openapi, name="openapi")

Names = Annotated[list[str] | None, typer.Argument(help="Providers; all, where none is named.")]
USAGE = "usage"


@app.command("proxy")
def proxy(
    provider: Annotated[str, typer.Argument(metavar="PROVIDER|usage", help="openai, anthropic, local … or `usage`.")],
    prompt: Annotated[list[str] | None, typer.Argument(help="The prompt. Files that it names are attached.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Another model of this provider.")] = None,
    system: Annotated[str | None, typer.Option("--system", "-s", help="Instructions before the prompt.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Give up after so many seconds.", min=0.001)] = None,
    since: Annotated[str, typer.Option(help="For usage: how far back, as in 12h, 30d.")] = "30d",
    no_stream: Annotated[bool, typer.Option("--no-stream", help="Print the answer when it is complete.")] = False,
    json: Json = False,
) -> None:
    """Ask the default model of one provider, or show what all providers did (`can connect proxy usage`).

    With --json, one line: {model, text, json?, cost_usd, ms, tokens}.
    """
    if provider == USAGE and not prompt:
        _usage(since, json)
        return
    from chittycan.cli.asking import answer, brief, request, summary
    from chittycan.cli.session import Session, run
    from chittycan.control.models import default_of
    from chittycan.gateway.call import Answer, Options

    chat = request(prompt or (), model=provider, system=system, quiet=json)

    async def work(network: Session) -> Answer:
        if model is None:
            chat.model = (await network.call(default_of, provider=provider)).name
        else:
            chat.model = f"{provider}/{model}"
        return await answer(network, chat, Options(timeout=timeout), live=not (json or no_stream))

    found = run(work)
    if json:
        print_line(brief(found))
        return
    if no_stream:
        typer.echo(found.text)
    summary(found.trace, chat.model)


def _usage(since: str, json: bool) -> None:
    from chittycan.cli.session import Session, run
    from chittycan.control.usage import summary

    async def work(network: Session) -> "list[UsageGroup]":
        return await network.call(summary, since=since, by="provider/model")

    groups = run(work)
    if json:
        print_json(groups)
        return
    rows = []
    for each in groups:
        provider, _, model = (each.name or "").partition("/")
        cost = dollars(round(each.cost_usd * 1e9)) + (f" + {each.unpriced} unpriced" if each.unpriced else "")
        times = seconds(each.ms_p50), seconds(each.ms_p95)
        counts = each.calls, each.errors or None, each.absorbed or None
        rows.append((provider or "—", model, *counts, each.input, each.output, cost, *times))
    # `made good`: it failed, and another model answered.
    columns = ("provider", "model", "calls", "failed", "made good", "tokens in", "tokens out", "cost", "median", "p95")
    table(columns, rows, empty=f"no calls in the last {since}")
    if len(groups) > 1:
        total = dollars(round(sum(each.cost_usd for each in groups) * 1e9))
        console.print(
            f"\n[dim]Total: {count(sum(each.calls for each in groups), 'call')}, {total}, last {plain(since)}[/]"
        )


@integrations.command("list")
def list_(json: Json = False) -> None:
    """Every provider that is set up or was found, and why others are left out."""
    from chittycan.cli.session import Session, run
    from chittycan.control.integrations import IntegrationRow, listed

    async def work(network: Session) -> list[IntegrationRow]:
        return await network.call(listed)

    rows = run(work)
    if json:
        print_json(rows)
        return
    ready = [each for each in rows if each.status == "ready"]
    lines = []
    for each in ready:
        source = "built in" if each.source == "catalogue" else each.source
        keys = ", ".join(each.keys) or "none needed"
        lines.append((each.name, each.default_model, keys, source, each.endpoint))
    columns = ("provider", "default model", "key", "found in", "endpoint")
    table(columns, lines, empty="no provider yet; can config")
    for each in rows:
        if each.status == "skipped":
            console.print(f"[dim]– {plain(each.name)}: {plain(each.why or '')}[/]")


@integrations.command("add")
def add(
    name: Annotated[str, typer.Argument(help="openai, anthropic, groq … or a name of your own with --endpoint.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="Its default model, usable at once.")] = None,
    api_key: Annotated[str | None, typer.Option(help="Where its key is: env:NAME or file:PATH.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Its base URL, as its own SDK takes it.")] = None,
    dialect: Annotated[str | None, typer.Option(help="openai, openai_responses, anthropic or gemini.")] = None,
    json: Json = False,
) -> None:
    """Set a provider up, or change it. Its model is usable at once, by every client."""
    from chittycan.cli.session import Session, run
    from chittycan.control.integrations import IntegrationRow
    from chittycan.control.integrations import add as operation

    async def work(network: Session) -> IntegrationRow:
        return await network.call(
            operation, name=name, model=model, api_key=api_key, endpoint=endpoint, dialect=dialect
        )

    row = run(work)
    if json:
        print_json(row)
    elif row.status == "ready":
        done(f"{plain(row.name)} is set up, its default model is [bold]{plain(row.default_model or 'none')}[/]")
        console.print(
            f'  [dim]can connect proxy {plain(name)} "hello"  ·  can connect integration test {plain(name)}[/]'
        )
    else:
        console.print(
            f"[yellow]![/] {plain(row.name)} is written down, but cannot be called yet: {plain(row.why or '')}"
        )


@integrations.command("test")
def probe_(names: Names = None, json: Json = False) -> None:
    """Ask each provider's default model one short question, and say what a failure means."""
    from chittycan.cli.session import Session, run
    from chittycan.control.integrations import probe

    async def work(network: Session) -> "list[Probed]":
        with progress("asking"):
            return await network.call(probe, names=names or None)

    found = run(work)
    if json:
        print_json(found)
    else:
        show_probes(found)
    if not found or not all(each.success for each in found):
        raise typer.Exit(1)


def show_probes(found: "list[Probed]") -> None:
    """One line per model that was asked, and the fix below each that failed."""
    for each in found:
        name = f"{plain(each.provider)} [dim]{plain(each.model)}[/]" if each.provider else plain(each.model)
        if each.success:
            cost = "price unknown" if each.cost_usd is None else dollars(round(each.cost_usd * 1e9))
            done(f"{name} [dim]({seconds(each.latency_ms)}, {cost})[/]")
            continue
        status = f" [dim]({each.failure}, {each.status})[/]" if each.failure else ""
        console.print(f"[red]✗[/] {name}: {plain(each.problem or 'failed')}{status}")
        if each.fix:
            console.print(f"    [cyan]→[/] {plain(each.fix)}")
    if not found:
        console.print("[dim]no provider to ask; can config[/]")


@integrations.command("remove")
def remove(name: Annotated[str, typer.Argument(help="A provider of config.json.")], json: Json = False) -> None:
    """Take a provider out of config.json."""
    from chittycan.cli.session import Session, run
    from chittycan.control.integrations import remove as operation

    async def work(network: Session) -> None:
        await network.call(operation, name=name)

    run(work)
    print_json({"removed": name}) if json else done(f"{plain(name)} is removed from config.json")


@openapi.command("export")
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to write it; standard output where not given.")] = None,
) -> None:
    """Write the OpenAPI document of the HTTP API."""
    import msgspec

    from chittycan.api.control import document

    text = msgspec.json.format(msgspec.json.encode(document()), indent=2).decode() + "\n"
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}", fix="Choose another place.") from error
    done(f"written to {plain(str(file))}")
