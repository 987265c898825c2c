"""`can workstreams schedule` and `can workstreams schedules`: recipes that begin by themselves."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from chittycan.cli.output import Json, console, date, done, plain, print_json, table

if TYPE_CHECKING:
    from chittycan.cli.session import Session
    from chittycan.control.operation import Operation
    from chittycan.control.schedules import ScheduleRow
    from chittycan.control.workstreams import StreamDetail

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Recipes that begin by themselves."
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")]


def schedule(
    recipe: Annotated[str, typer.Argument(metavar="FILE", help="A recipe's file, or the name of one of ours.")],
    cron: Annotated[
        str | None, typer.Option(help='Minute, hour, day, month, weekday: "0 6 * * 1-5". Else the recipe\'s own.')
    ] = None,
    timezone: Annotated[str, typer.Option(help="Such as Europe/Vienna; with --cron.")] = "UTC",
    catch_up: Annotated[
        str, typer.Option(help="Which missed times are made up for: none, latest or all; with --cron.")
    ] = "latest",
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", metavar="NAME=VALUE", help="An input; repeatable.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Instead of the recipe's; replaces the one of that name.")] = None,
    json: Json = False,
) -> None:
    """Begin a recipe by itself, whenever its time comes and some worker is alive."""
    from pathlib import Path

    from chittycan.cli.pairs import pairs
    from chittycan.cli.session import run
    from chittycan.control.schedules import row
    from chittycan.errors import UsageError
    from chittycan.workstreams.recipe import Schedule
    from chittycan.workstreams.recipe_file import load

    if catch_up not in ("none", "latest", "all"):
        raise UsageError(f"There is no catch-up '{catch_up}'.", fix="--catch-up none, latest or all")
    found, given = load(recipe, Path.cwd()), pairs(inputs or (), "--input")
    when: Any = None if cron is None else {"cron": cron, "timezone": timezone, "catch_up": catch_up}

    async def work(network: "Session") -> "ScheduleRow":
        if not network.here:
            import msgspec

            from chittycan.control.schedules import put

            body = msgspec.to_builtins(found)
            return await network.call(put, name=name or found.name, recipe=body, inputs=given, **(when or {}))
        async with network.durable() as durable:
            own = None if when is None else Schedule(**when)
            return row(await durable.schedules.put(found, given, own, name=name, base=Path.cwd()))

    made = run(work)
    print_json(made) if json else done(f"[bold]{plain(made.name)}[/] begins {_when(made)}")


@app.command("list")
def list_(json: Json = False) -> None:
    """List schedules."""
    from chittycan.control.schedules import listed

    rows: list[ScheduleRow] = _call(listed)
    if json:
        print_json(rows)
        return
    table(
        ("schedule", "recipe", "cron", "time zone", "catch-up", "next", "why not"),
        [(each.name, each.recipe, each.cron, each.timezone, each.catch_up,
          "paused" if each.paused else date(each.due, clock=True), each.error) for each in rows],
        empty="no schedule: can workstreams schedule FILE --cron …", cut=("why not",),
    )  # fmt: skip


@app.command("pause")
def pause(name: Name, json: Json = False) -> None:
    """Begin nothing more, until it is resumed."""
    from chittycan.control.schedules import pause as operation

    found = _call(operation, name=name)
    print_json(found) if json else done(f"{plain(name)} is paused")


@app.command("resume")
def resume(name: Name, json: Json = False) -> None:
    """Go on from now; what passed during the pause is not made up for."""
    from chittycan.control.schedules import resume as operation

    found = _call(operation, name=name)
    print_json(found) if json else done(f"{plain(name)} begins {_when(found)}")


@app.command("run-now")
def run_now(name: Name, json: Json = False) -> None:
    """Begin its recipe now, besides its times."""
    from chittycan.control.schedules import run_now as operation

    found: StreamDetail = _call(operation, name=name)
    if json:
        print_json(found)
        return
    done(f"[bold]{found.id}[/] is {found.status}")
    console.print(f"  [cyan]→[/] can workstreams watch {found.id}")


@app.command("delete")
def delete(name: Name, json: Json = False) -> None:
    """Delete a schedule; the workstreams that it began stay."""
    from chittycan.control.schedules import deleted

    _call(deleted, name=name)
    print_json({"deleted": name}) if json else done(f"{plain(name)} is deleted")


def _when(found: "ScheduleRow") -> str:
    return f"{plain(found.cron)} ({found.timezone}), next at {date(found.due, clock=True)}"


def _call(operation: "Operation[Any]", **given: Any) -> Any:
    from chittycan.cli.session import run

    async def work(network: "Session") -> Any:
        return await network.call(operation, **given)

    return run(work)
