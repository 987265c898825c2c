"""`can route`: teach `auto` what the models are worth, and see what it knows."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chittycan.cli.output import Json, console, date, dollars, done, errors, plain, print_json, table, warn
from chittycan.errors import UsageError

if TYPE_CHECKING:
    from chittycan.routing.quality.checking import Checked
    from chittycan.routing.quality.prompts import Scored
    from chittycan.routing.quality.report import Report, ScoredModel

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Teach `auto` what the models are worth."
)

Files = Annotated[list[Path] | None, typer.Option("--from", metavar="FILE", help="Scored answers, JSON lines.")]
Public = Annotated[
    Path | None, typer.Option("--public", metavar="DIR", help="A folder with public sets of scored answers.")
]
Names = Annotated[
    list[str] | None, typer.Option("--name", metavar="THEIRS=OURS", help="What a model of the files is called here.")
]


@app.command("train")
def train(
    files: Files = None,
    public: Public = None,
    names: Names = None,
    since: Annotated[str, typer.Option(help="How far back your own traffic counts, as in 24h, 90d.")] = "90d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be learnt, and keep nothing.")] = False,
    json: Json = False,
) -> None:
    """Learn from your own scored traffic, and from files; every server on this database uses it at once."""
    from chittycan.auth.limits import parse_duration
    from chittycan.cli.session import Session, run
    from chittycan.clock import SystemClock
    from chittycan.config import load
    from chittycan.control.models import listed
    from chittycan.control.routing import kept, own_scores

    now = SystemClock().now()
    back = now - parse_duration(since)
    given = _read(files or [], public, names or [])

    async def work(network: Session) -> "Report | None":
        async with network.database() as database:
            rows = await database.read(own_scores, back, of_keys=load().routing.learn) + given
            if not rows:
                return None
            at_hand = frozenset(model.name for model in await network.call(listed))
            strange = sorted({row.model for row in given} - at_hand)
            if strange:
                said = ", ".join(strange[:5]) + (f" and {len(strange) - 5} more" if len(strange) > 5 else "")
                warn(f"no models here: {plain(said)}. --name THEIRS=OURS says what they are called")
            data, report = _learnt(rows, at_hand)
            if not dry_run:
                await database.run(kept, data, report, now)
            return report

    report = run(work)
    if json:
        print_json(report)
        return
    if report is None:
        console.print(
            f"[dim]no answer was scored in the last {plain(since)}: `can feedback last good`, or --from FILE[/]"
        )
        return
    _show(report)
    if dry_run:
        return
    if any(map(_backed, report.models)):
        done("learnt; `auto` goes by it from now on")
    else:
        warn("kept, but too little was scored: `auto` chooses as before")


@app.command("show")
def show(json: Json = False) -> None:
    """What `auto` knows of the models' quality."""
    from chittycan.cli.session import Session, run
    from chittycan.control.routing import Training, shown

    async def work(network: Session) -> Training:
        return await network.call(shown)

    found = run(work)
    if json:
        print_json(found)
    elif found.at is None:
        console.print("[dim]nothing was learnt yet: `can route train`[/]")
    else:
        console.print(f"Learnt at {date(found.at, clock=True)}.\n")
        if found.report is not None:
            _show(found.report)


@app.command("forget")
def forget() -> None:
    """Delete what was learnt: `auto` chooses by tiers and chains again."""
    from chittycan.cli.session import Session, run
    from chittycan.control.routing import Forgotten
    from chittycan.control.routing import forget as operation

    async def work(network: Session) -> Forgotten:
        return await network.call(operation)

    done(f"{run(work).trainings} trainings deleted")


def _read(files: list[Path], public: Path | None, names: list[str]) -> "list[Scored]":
    from chittycan.control.scored_files import SHAPE, public_files, scored_file

    called = {}
    for each in names:
        theirs, equals, ours = each.partition("=")
        if not (theirs and equals and ours):
            raise UsageError(f"--name {each}: no THEIRS=OURS", fix="For example --name gpt-4-1106-preview=gpt-4.")
        called[theirs] = ours
    paths = files + (public_files(public) if public is not None else [])
    rows: list[Scored] = []
    for path in paths:
        with errors.status(f"[dim]reading {plain(path.name)}[/]", spinner="dots"):
            found = list(scored_file(path, called))
        if not found:
            raise UsageError(f"{path} holds no scored answer", fix=SHAPE)
        rows.extend(found)
    return rows


def _learnt(rows: "list[Scored]", at_hand: frozenset[str]) -> "tuple[bytes, Report]":
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from chittycan.routing.quality.report import learn

    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=errors, transient=True
    ) as bar:
        learning = bar.add_task(f"learning from {len(rows):,} scores", total=None)
        advance: Callable[[int, int], None] = lambda done, total: bar.update(  # noqa: E731
            learning, completed=done, total=total + 1
        )
        return learn(rows, advance, at_hand)


def _show(report: "Report") -> None:
    console.print(
        f"[bold]{report.scored:,}[/] scored answers to {report.prompts:,} prompts whose words were kept; "
        f"{report.features:,} words and pairs, {report.size / 1e6:.2f} MB.\n"
    )
    columns = ("kind of work", "model", "scored", "quality", "cost")
    table(columns, [_row(each) for each in [*report.kinds, *report.models]])
    few = [each.model for each in report.models if not _backed(each)]
    if few:
        from chittycan.routing.cost.choice import LEAST_SCORES

        console.print(
            f"\nNot chosen for what was said of them, with fewer than {LEAST_SCORES}: {plain(', '.join(few))}."
        )
    console.print(f"\n{_says(report.checked)}")
    if not report.kept:
        console.print(
            "What quality costs is not known: too few prompts have scores and costs of several models that are here, "
            "or none is as good for less."
        )
    for each in report.kept:
        who = "" if each.alone is None else f"{plain(each.alone)} for everything, "
        console.print(
            f"At {each.target:.0%} of {plain(report.strong or '')}: {who}about {each.saved:.0%} saved, "
            f"{each.kept:.0%} kept (cross-validated)."
        )


def _backed(each: "ScoredModel") -> bool:
    from chittycan.routing.cost.choice import LEAST_SCORES

    return each.scored >= LEAST_SCORES


def _row(each: "ScoredModel") -> tuple[object, ...]:
    cost = None if each.cost_usd is None else dollars(round(each.cost_usd * 1e9))
    return each.kind or "all", each.model, f"{each.scored:,}", f"{each.quality:.3f}", cost


def _says(checked: "Checked") -> str:
    """How far it holds, in words."""
    if checked.by_model is None or checked.by_kind is None or checked.by_words is None:
        return "Too few prompts with their words to check anything: the means count, the words do not."
    what = "differences between models" if checked.compared else "scores"
    kind, words = (_explained(each, checked.by_model) for each in (checked.by_kind, checked.by_words))
    said = (
        f"On prompts that were left out, the kind of work explains {kind} of the variance of {what} "
        f"beyond each model's mean, kind and words together {words}. "
    )
    said += "Words are used." if checked.words else "Words add nothing: only means are used."
    new = [f"{checked.transfer:.0%} of what words say"] if checked.transfer else []
    new += ["what the length says"] if checked.lengths.slopes else []
    if new:
        return f"{said} For kinds of work that were never scored, {' and '.join(new)} is used."
    return (
        f"{said} For kinds of work that were never scored, nothing is said: the strong model answers, "
        "or the default chain where none is named."
    )


def _explained(left: float, by_model: float) -> str:
    """The share of the error that is gone; it may well have grown by chance."""
    return f"{1 - left / by_model:.1%}" if left < by_model else "nothing"
