"""`can workstreams`: run recipes, watch them, decide, tell, pause, resume, fork; and schedules."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from chittycan.cli import schedules
from chittycan.cli.output import Json, console, done, errors, plain, print_json, table
from chittycan.cli.pairs import pairs

if TYPE_CHECKING:
    from chittycan.cli.session import Session
    from chittycan.control.operation import Operation
    from chittycan.control.workstreams import StreamDetail, StreamPage
    from chittycan.workstreams.recipe import Recipe

T = TypeVar("T")
app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True,
    help="Recipes at work: run, watch, approve, resume, fork.",
)  # fmt: skip
Workstream = Annotated[str, typer.Argument(metavar="WORKSTREAM", help="The workstream's id.")]
Newest = Annotated[str | None, typer.Argument(metavar="[WORKSTREAM]", help="Its id; the newest without one.")]
Step = Annotated[str | None, typer.Argument(metavar="[STEP]", help="Which step, where several wait.")]
Inputs = Annotated[
    list[str] | None, typer.Option("--input", "-i", metavar="NAME=VALUE", help="An input, NAME:=JSON too; repeatable.")
]
Comment = Annotated[str | None, typer.Option(help="Goes along with the decision.")]
By = Annotated[str | None, typer.Option(help="Who decides, if not you.")]
File = Annotated[str, typer.Argument(metavar="FILE", help="A recipe's file, or the name of one of ours.")]


@app.command("run")
def run(
    recipe: File,
    inputs: Inputs = None,
    watch: Annotated[
        bool | None, typer.Option("--watch/--no-watch", help="Stay until it has ended. On a terminal: yes.")
    ] = None,
    session: Annotated[str | None, typer.Option("--session", "-s", help="Instead of the recipe's own.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Only models marked private may see any of it.")] = False,
    region: Annotated[str | None, typer.Option(help="Only models and workers in this region.")] = None,
    priority: Annotated[int, typer.Option(help="Higher goes first.", min=-100, max=100)] = 0,
    webhook: Annotated[str | None, typer.Option(help="An address that is told of the end.")] = None,
    key: Annotated[str | None, typer.Option("--idempotency-key", help="The same again begins nothing new.")] = None,
    json: Json = False,
) -> None:
    """Run a recipe: a file, or one of ours (can workstreams recipes)."""
    found = _load(recipe)
    given = pairs(inputs or (), "--input")
    setting: dict[str, Any] = {"session": session, "private": private, "region": region, "priority": priority,
                               "webhook": {"url": webhook} if webhook else None, "idempotency_key": key}  # fmt: skip
    stay = watch if watch is not None else console.is_terminal and not json
    told: list[str] = []

    async def work(network: "Session") -> "StreamDetail":
        begun = await _begin(network, found, given, setting)
        told.append(begun.id)
        return await _stay(network, begun.id, quiet=json) if stay else begun

    ended = _interruptible(work, told)
    if json:
        print_json(ended)
    elif not stay:
        done(f"[bold]{ended.id}[/] is {ended.status}")
        console.print(f"  [cyan]→[/] can workstreams watch {ended.id}")
        if ended.idle:
            console.print("  [dim]no worker is running; `can serve` does the work, and so does watching it[/]")
    if stay:
        _leave(ended, json)


@app.command("list")
def list_(
    status: Annotated[list[str] | None, typer.Option(help="Only of this status; repeatable.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Only of the recipe with this name.")] = None,
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=200)] = 20,
    cursor: Annotated[str | None, typer.Option(help="Where the last page ended.")] = None,
    json: Json = False,
) -> None:
    """List workstreams, the newest first."""
    from chittycan.cli.workstream_view import show_rows
    from chittycan.control.workstreams import listed

    page: StreamPage = _call(listed, status=status or None, name=recipe, limit=limit, cursor=cursor)
    if json:
        print_json(page)
        return
    show_rows(page.workstreams)
    if page.cursor:
        console.print(f"[dim]more: can workstreams list --cursor {page.cursor}[/]")


@app.command("show")
def show(workstream: Newest = None, json: Json = False) -> None:
    """Show a workstream: its steps, what it waits for, what came of it."""
    from chittycan.cli.session import run as in_session
    from chittycan.cli.workstream_view import show as picture
    from chittycan.control.workstreams import shown

    async def work(network: "Session") -> "StreamDetail":
        return await network.call(shown, workstream=workstream or await _newest(network))

    found = in_session(work)
    print_json(found) if json else picture(found)


@app.command("watch")
def watch(workstream: Newest = None, json: Json = False) -> None:
    """Watch a workstream until it has ended. Where no worker is running, this command does the work meanwhile."""
    told: list[str] = []

    async def work(network: "Session") -> "StreamDetail":
        told.append(workstream or await _newest(network))
        return await _stay(network, told[0], quiet=json)

    found = _interruptible(work, told)
    if json:
        print_json(found)
    _leave(found, json)


@app.command("approve")
def approve(
    workstream: Workstream,
    step: Step = None,
    values: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=TEXT", help="Change a value.")] = None,
    comment: Comment = None,
    by: By = None,
    json: Json = False,
) -> None:
    """Approve what waits for a decision."""
    from chittycan.control.workstreams import approve as operation

    changed = pairs(values or (), "--set") or None
    _said(_call(operation, workstream=workstream, task=step, values=changed, comment=comment, by=by), json)


@app.command("reject")
def reject(
    workstream: Workstream, step: Step = None, comment: Comment = None, by: By = None, json: Json = False
) -> None:
    """Reject what waits for a decision, which fails its step."""
    from chittycan.control.workstreams import reject as operation

    _said(_call(operation, workstream=workstream, task=step, comment=comment, by=by), json)


@app.command("edit")
def edit(
    workstream: Workstream,
    step: Step = None,
    values: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=TEXT", help="Instead of the editor; repeatable.")
    ] = None,
    comment: Comment = None,
    by: By = None,
    json: Json = False,
) -> None:
    """Change what an approval shows, in $EDITOR, and approve it so."""
    from chittycan.cli.editing import edited
    from chittycan.cli.session import run as in_session
    from chittycan.control.workstreams import approve as operation
    from chittycan.control.workstreams import shown

    async def look(network: "Session") -> "StreamDetail":
        return await network.call(shown, workstream=workstream)

    changed = pairs(values or (), "--set")
    if not changed:
        asked = _asked(in_session(look), step)
        step, changed = asked.path, edited(asked.show, asked.title)
        if not changed:
            console.print("nothing was changed, so nothing is decided")
            console.print(f"  [cyan]→[/] can workstreams approve {workstream} {step}")
            return
    _said(_call(operation, workstream=workstream, task=step, values=changed, comment=comment, by=by), json)


@app.command("event")
def event(
    workstream: Workstream,
    name: Annotated[str, typer.Argument(help="The event's name, as the recipe has it.")],
    values: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="What it brings; KEY:=JSON.")] = None,
    json: Json = False,
) -> None:
    """Tell a workstream of an event."""
    from chittycan.control.workstreams import event as operation

    found = _call(operation, workstream=workstream, name=name, brought=pairs(values or (), "KEY=VALUE"))
    if json:
        print_json(found)
    else:
        done("it was told" if found.waited else "no step waits for it yet; it is kept for the first that will")


@app.command("pause")
def pause(workstream: Workstream, json: Json = False) -> None:
    """Start nothing new; what has begun comes to its end."""
    from chittycan.control.workstreams import pause as operation

    _said(_call(operation, workstream=workstream), json)


@app.command("resume")
def resume(
    workstream: Workstream,
    budget: Annotated[float | None, typer.Option(help="What all of it may cost from now on, in dollars.")] = None,
    json: Json = False,
) -> None:
    """Go on after a pause; after a failure or cancellation, try again what failed. What is done stays."""
    from chittycan.control.workstreams import resume as operation

    _said(_call(operation, workstream=workstream, budget_usd=budget), json)


@app.command("cancel")
def cancel(
    workstream: Workstream,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept.")] = None,
    json: Json = False,
) -> None:
    """End a workstream; what runs is stopped within seconds."""
    from chittycan.control.workstreams import cancel as operation

    _said(_call(operation, workstream=workstream, reason=reason), json)


@app.command("fork")
def fork(
    workstream: Workstream,
    from_: Annotated[str, typer.Option("--from", metavar="STEP", help="The first step to do again: each[3].review.")],
    inputs: Inputs = None,
    json: Json = False,
) -> None:
    """Begin anew from a step: what was done before it is kept, in a new workstream. The old one stays."""
    from chittycan.cli.session import run as in_session
    from chittycan.cli.workstream_view import outward
    from chittycan.control.workstreams import fork as operation
    from chittycan.control.workstreams import shown

    given = pairs(inputs or (), "--input")

    async def work(network: "Session") -> "tuple[StreamDetail, StreamDetail]":
        old = await network.call(shown, workstream=workstream)
        if given and network.here:
            from pathlib import Path

            async with network.durable() as durable:
                made = await durable.streams.fork(workstream, from_, given, base=Path.cwd())
            return old, await network.call(shown, workstream=made.id)
        return old, await network.call(operation, workstream=workstream, from_step=from_, inputs=given or None)

    old, new = in_session(work)
    _said(new, json)
    if not json:
        for step in outward(old.steps, new.steps):
            console.print(f"  [yellow]![/] {plain(step.title)} was done in {old.id} and will be done again")
        console.print(f"  [cyan]→[/] can workstreams watch {new.id}")


@app.command("validate")
def validate(files: Annotated[list[str], typer.Argument(metavar="FILE", help="Recipes.")], json: Json = False) -> None:
    """Say what is wrong with recipes, each with its line and the fix."""
    from chittycan.workstreams.recipe_file import problems_of

    found = {name: problems_of(name) for name in files}
    if json:
        print_json(found)
    else:
        for name, problems in found.items():
            for each in problems:
                mark = "[red]✗[/]" if each.level == "error" else "[yellow]![/]"
                line = "" if each.line is None else f":{each.line}"
                console.print(f"{mark} {plain(f'{name}{line}: {each.where}: {each.what}')}")
                console.print(f"  [cyan]→[/] {plain(each.fix)}")
            if not any(each.level == "error" for each in problems):
                done(f"{plain(name)} is a recipe")
    if any(each.level == "error" for problems in found.values() for each in problems):
        raise typer.Exit(1)


@app.command("recipes")
def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this one, to be copied and changed.")] = None,
    json: Json = False,
) -> None:
    """The recipes that come along."""
    from chittycan.workstreams.recipe_file import parse, shipped, shipped_text

    if name is not None:
        typer.echo(shipped_text(name), nl=False)
        return
    found = [parse(shipped_text(each), each) for each in shipped()]
    if json:
        print_json([{"name": each.name, "description": each.description, "inputs": each.inputs} for each in found])
        return
    table(("recipe", "what it does"), [(each.name, each.description) for each in found])
    console.print(f"\n  [cyan]→[/] can workstreams run {found[0].name} --input …")


app.command("schedule")(schedules.schedule)
app.add_typer(schedules.app, name="schedules")


# how it is done


async def _begin(
    network: "Session", recipe: "Recipe", inputs: dict[str, Any], setting: dict[str, Any]
) -> "StreamDetail":
    """Through the operation, but for what names files of this machine, which only this command can read."""
    import msgspec

    from chittycan.control.workstreams import run as operation
    from chittycan.control.workstreams import shown

    if network.here and any(each.type in ("file", "folder", "mail") for each in recipe.inputs.values()):
        from pathlib import Path

        async with network.durable() as durable:
            begun = await durable.streams.run(recipe, inputs, base=Path.cwd(), **setting)
        return await network.call(shown, workstream=begun.id)
    return await network.call(operation, recipe=msgspec.to_builtins(recipe), inputs=inputs, **setting)


async def _stay(network: "Session", workstream: str, *, quiet: bool) -> "StreamDetail":
    """The workstream once it has ended. This process does the work if nobody else does."""
    from chittycan.cli.workstream_view import changes, follow

    await network.work()
    if not quiet:
        return await follow(network, workstream)
    async for found in changes(network, workstream):
        latest = found
    return latest


def _leave(found: "StreamDetail", json: bool) -> None:
    """After it has ended."""
    from chittycan.cli.workstream_view import show_outputs

    if not json:
        show_outputs(found)
    if found.status != "done":
        raise typer.Exit(1)


async def _newest(network: "Session") -> str:
    from chittycan.control.workstreams import listed
    from chittycan.errors import NotFound

    page = await network.call(listed, limit=1)
    if not page.workstreams:
        raise NotFound("There is no workstream.", fix="can workstreams run FILE")
    return page.workstreams[0].id


def _asked(found: "StreamDetail", step: str | None) -> Any:
    """The approval that is meant. Raises UsageError."""
    from chittycan.errors import UsageError

    open_ = [each for each in found.waiting if each.type == "approval" and step in (None, each.path, each.task)]
    if len(open_) == 1 and open_[0].edit:
        return open_[0]
    if len(open_) == 1:
        fix = f"can workstreams approve {found.id} {open_[0].path}, or reject"
        raise UsageError(f"What {open_[0].path} shows may not be changed.", fix=fix)
    if not open_:
        raise UsageError(f"Nothing in {found.id} waits for {'a decision' if step is None else step}.")
    names = ", ".join(each.path for each in open_)
    raise UsageError(f"{len(open_)} steps wait for a decision.", fix=f"Name one of them: {names}.")


def _load(recipe: str) -> "Recipe":
    from pathlib import Path

    from chittycan.workstreams.recipe_file import load

    return load(recipe, Path.cwd())


def _call(operation: "Operation[T]", **given: Any) -> T:
    from chittycan.cli.session import run as in_session

    async def work(network: "Session") -> T:
        return await network.call(operation, **given)

    return in_session(work)


def _interruptible(work: "Callable[[Session], Coroutine[Any, Any, T]]", told: list[str]) -> T:
    """Runs `work`; where a person stops it, it is said that the workstream goes on."""
    from chittycan.cli.session import run as in_session

    try:
        return in_session(work)
    except KeyboardInterrupt:
        if not told:
            raise
        errors.print(f"\n{told[0]} is kept and goes on wherever a worker runs.")
        errors.print(f"  [cyan]→[/] can workstreams watch {told[0]}")
        raise typer.Exit(130) from None


def _said(found: "StreamDetail", json: bool) -> None:
    print_json(found) if json else done(f"[bold]{found.id}[/] is {found.status}")
