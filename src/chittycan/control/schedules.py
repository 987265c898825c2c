"""Schedules: recipes that begin by themselves. A virtual key reaches its own, the owner all of them."""

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from chittycan.control.operation import operation, reach
from chittycan.control.workstreams import StreamDetail, admit, detail, wrong_recipe

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.workstreams.schedules import Scheduled


class ScheduleRow(Struct, kw_only=True):
    """A recipe and when it begins. `due` comes next (Unix seconds), null while paused. `error`: why the last time
    could not be begun."""

    name: str
    recipe: str
    cron: str
    timezone: str
    catch_up: Literal["none", "latest", "all"]
    paused: bool
    due: float | None
    error: str | None
    inputs: dict[str, Any]
    created: float


@operation("GET", "/schedules")
async def listed(network: "Network", caller: "Key | None") -> list[ScheduleRow]:
    """All schedules, by name."""
    return [row(each) for each in await network.schedules.list(for_key=reach(caller))]


@operation("PUT", "/schedules/{name}")
async def put(
    network: "Network",
    caller: "Key | None",
    *,
    name: str,
    recipe: str | dict[str, Any],
    inputs: dict[str, Any] | None = None,
    cron: str | None = None,
    timezone: str = "UTC",
    catch_up: Literal["none", "latest", "all"] = "latest",
    paused: bool = False,
) -> ScheduleRow:
    """Begins a recipe whenever `cron` (five fields, in `timezone`) says, else by the recipe's own schedule.

    `catch_up`: which of the times missed while nothing ran are made up for. A schedule of that name is replaced.
    """
    from chittycan.workstreams.recipe import Schedule

    admit(caller)
    when = None if cron is None else Schedule(cron=cron, timezone=timezone, catch_up=catch_up, paused=paused)
    with wrong_recipe():
        found = await network.schedules.put(recipe, inputs, when, name=name, base=None, key_id=reach(caller))
    return row(found)


@operation("POST", "/schedules/{name}/pause")
async def pause(network: "Network", caller: "Key | None", *, name: str) -> ScheduleRow:
    """Begins nothing more until it is resumed."""
    return row(await network.schedules.pause(name, for_key=reach(caller)))


@operation("POST", "/schedules/{name}/resume")
async def resume(network: "Network", caller: "Key | None", *, name: str) -> ScheduleRow:
    """Goes on from now; what passed during the pause is not made up for."""
    return row(await network.schedules.resume(name, for_key=reach(caller)))


@operation("POST", "/schedules/{name}/run", status=202)
async def run_now(network: "Network", caller: "Key | None", *, name: str) -> StreamDetail:
    """Begins its recipe now, besides its times."""
    admit(caller)
    return await detail(network, (await network.schedules.run_now(name, for_key=reach(caller))).id)


@operation("DELETE", "/schedules/{name}")
async def deleted(network: "Network", caller: "Key | None", *, name: str) -> None:
    """Removes a schedule; the workstreams that it began stay."""
    await network.schedules.delete(name, for_key=reach(caller))


def row(found: "Scheduled") -> ScheduleRow:
    return ScheduleRow(
        name=found.name, recipe=found.recipe.name, cron=found.cron, timezone=found.timezone, catch_up=found.catch_up,
        paused=found.paused, due=found.due, error=found.error, inputs=found.inputs, created=found.created,
    )  # fmt: skip
