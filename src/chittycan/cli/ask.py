"""`can ask` and `can explain`."""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from chittycan.catalogue import ENSEMBLE
from chittycan.cli.output import Json, console, dollars, plain, print_json, table

if TYPE_CHECKING:
    from chittycan.control.decisions import Explanation

ask = typer.Typer(add_completion=False, rich_markup_mode=None)
explain = typer.Typer(add_completion=False, rich_markup_mode=None)

Words = Annotated[list[str] | None, typer.Argument(help="The prompt. Files that it names are attached.")]
Model = Annotated[str, typer.Option("--model", "-m", help="A model, or auto, private, or a kind of task.")]
Kind = Annotated[str | None, typer.Option(help="Kind of task, as in models.json: email.triage, code.review …")]
Private = Annotated[bool, typer.Option("--private", help="Only models marked private may see this.")]
Region = Annotated[str | None, typer.Option(help="Only models in this region.")]
System = Annotated[str | None, typer.Option("--system", "-s", help="Instructions that come before the prompt.")]


@ask.command("ask")
def _ask(
    prompt: Words = None,
    model: Model = "auto",
    kind: Kind = None,
    session: Annotated[str | None, typer.Option(help="The session that this belongs to.")] = None,
    recall: Annotated[bool, typer.Option("--recall", help="Let the model know the session's document.")] = False,
    record: Annotated[bool, typer.Option("--record", help="Keep the answer in the session's document.")] = False,
    record_as: Annotated[str | None, typer.Option(help="Keep it there under this key.")] = None,
    private: Private = False,
    redact: Annotated[
        bool, typer.Option("--redact", help="Take what is private out on the way, and put it back into the answer.")
    ] = False,
    region: Region = None,
    max_cost: Annotated[float | None, typer.Option(help="The most that this may cost, in dollars.", min=0)] = None,
    timeout: Annotated[float | None, typer.Option(help="Give up after so many seconds.", min=0.001)] = None,
    system: System = None,
    json: Json = False,
    no_stream: Annotated[bool, typer.Option("--no-stream", help="Print the answer when it is complete.")] = False,
) -> None:
    """Ask any model. Files named in the prompt are attached, and what is piped in is added."""
    from chittycan.cli.asking import answer, request, summary
    from chittycan.cli.session import Session, run
    from chittycan.gateway.call import Answer, Options

    chat = request(prompt or (), model=model, system=system, quiet=json)
    options = Options(
        kind=kind, session=session, private=private, region=region, timeout=timeout,
        max_cost_nano=None if max_cost is None else round(max_cost * 1e9),
        recall=recall or None, record=record_as or record or None, redact=redact or None,
    )  # fmt: skip

    async def work(network: Session) -> Answer:
        return await answer(network, chat, options, live=not (json or no_stream))

    found = run(work)
    if json:
        print_json(_whole(found))
        return
    if no_stream:
        typer.echo(found.text)
    summary(found.trace, chat.model)


def _whole(answer: Any) -> dict[str, Any]:
    from chittycan.cli.asking import brief

    trace = answer.trace
    return brief(answer) | {
        "request_id": trace.request_id, "provider": trace.provider, "route": trace.route, "label": trace.label,
        "attempts": trace.attempts, "fallbacks": trace.fallbacks, "cached": trace.cached,
        "stop_reason": answer.response.stop_reason, "first_token_ms": trace.first_token_ms,
        "usage": None if trace.usage is None else msgspec.to_builtins(trace.usage),
    }  # fmt: skip


@explain.command("explain")
def _explain(
    prompt: Words = None,
    model: Model = "auto",
    kind: Kind = None,
    private: Private = False,
    region: Region = None,
    session: Annotated[str | None, typer.Option(help="The session that this belongs to.")] = None,
    max_cost: Annotated[float | None, typer.Option(help="The most that this may cost, in dollars.", min=0)] = None,
    named_only: Annotated[
        bool, typer.Option("--named-only", help="As a client is served: without the default chain.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="A line for every model there is.")] = False,
    json: Json = False,
) -> None:
    """Say who would answer, and why, without asking anyone."""
    from chittycan.cli.asking import request
    from chittycan.cli.session import Session, run
    from chittycan.control.decisions import Explanation
    from chittycan.control.decisions import explain as operation
    from chittycan.dialects import load

    chat = request(prompt or ("hello",), model=model, system=None, quiet=True)
    body = load("openai").build_request(chat)

    async def work(network: Session) -> Explanation:
        return await network.call(
            operation, model=model, request=body, kind=kind, private=private, region=region, session=session,
            max_cost_usd=max_cost, named_only=named_only,
        )  # fmt: skip

    found = run(work)
    if json:
        print_json(found)
        return
    _show(found, everything)


def _show(found: "Explanation", everything: bool) -> None:
    first = next((each.model for each in found.considered if each.kept and not each.resting), found.chain[0])
    who = f"[bold]{plain(first)}[/] would answer"
    if found.route.startswith(ENSEMBLE):
        who = f"[bold]{plain(', '.join(found.chain))}[/] would be asked"
    kind = f", {plain(found.kind)}" if found.kind else ""
    console.print(f"{who} [dim](route {plain(found.route)}, {found.label} work{kind})[/]")
    for why in found.because:
        console.print(f"  {plain(why)}")
    console.print()
    shown = [each for each in found.considered if everything or not each.left_out]
    rows = []
    for each in shown:
        place = f"{each.position}." if each.position else "–"
        why = f"{each.why}; resting after failures" if each.resting else each.why
        cost = None if each.cost_usd is None else dollars(round(each.cost_usd * 1e9))
        quality = None if each.quality is None else f"{each.quality:.2f}"
        rows.append((place, each.model, each.place or each.provider or "", cost, quality, why))
    table(("", "model", "provider", "cost", "quality", "why"), rows)
    hidden = len(found.considered) - len(shown)
    if hidden:
        console.print(f"[dim]and {hidden} that nothing led to; --all shows them[/]")
