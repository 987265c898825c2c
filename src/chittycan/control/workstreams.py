"""Workstreams: run a recipe, look how far it is, decide, tell, pause, resume, fork.

A virtual key reaches its own workstreams, the owner all of them. Nothing here reads files of the server.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from chittycan.control.operation import operation, owns, reach, usd
from chittycan.errors import ConfigError, Forbidden, InvalidRequest
from chittycan.workstreams.life import STREAM_STATUSES, StreamStatus

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.workstreams.progress import Node
    from chittycan.workstreams.streams import View
    from chittycan.workstreams.workstream import Workstream

ROUTE = "workstreams"  # what a key's `routes` call this
MOST_ROWS = 200
IDEMPOTENCY = {"idempotency_header": "Idempotency-Key"}
HOOKS = "/api/v1/hooks/"


class StreamRow(Struct, kw_only=True):
    """A workstream. `tasks`: how many of its steps that have begun are queued, running, waiting_for_model,
    waiting_for_approval, done, failed, cancelled. Times are Unix seconds. `spent_usd`: all steps and tries so far."""

    id: str
    name: str
    status: StreamStatus
    error: str | None
    session: str | None
    spent_usd: float
    tasks: dict[str, int]
    forked_from: str | None
    schedule: str | None
    created: float
    updated: float
    ended: float | None


class StreamPage(Struct, kw_only=True):
    """Workstreams, the newest first; `cursor` asks for the next page, null at the end."""

    workstreams: list[StreamRow]
    cursor: str | None


class StepRow(Struct, kw_only=True):
    """A step, with those inside of it; an item of a loop has the type `item`. `status` is that of its task, or
    pending or skipped. `task`: the id of its task. `model` served, or was asked for; `instead_of` is whom it stood
    in for."""

    path: str
    title: str
    type: str
    status: str
    task: str | None
    model: str | None
    instead_of: str | None
    waiting_for: str | None
    error: str | None
    started: float | None
    ended: float | None
    cost_usd: float
    steps: list["StepRow"]


class WaitingRow(Struct, kw_only=True):
    """What somebody must say before the workstream goes on: a person (`show` is what it is about, `edit` whether
    that may be changed, `who` may decide besides the owner), an `event`, or a POST to `url`. After `until` it is too
    late."""

    path: str
    task: str
    title: str
    type: Literal["approval", "event", "webhook"]
    show: dict[str, Any]
    edit: bool
    who: list[str]
    event: str | None
    url: str | None
    until: float | None
    since: float


class StreamDetail(StreamRow, kw_only=True):
    """A workstream with its steps. `over` of `total` steps are over; the steps of a loop are counted as they begin.
    `private`: its calls go to private models only. `idle`: no worker is alive to do anything."""

    description: str
    inputs: dict[str, Any]
    outputs: dict[str, Any] | None
    steps: list[StepRow]
    total: int
    over: int
    waiting: list[WaitingRow]
    private: bool
    budget_usd: float | None
    idle: bool


class Heard(Struct, kw_only=True):
    """`waited`: whether a step waited for the event; if not, it is kept for the first that will."""

    waited: bool


@operation("POST", "/workstreams", headers=IDEMPOTENCY, status=202)
async def run(
    network: "Network",
    caller: "Key | None",
    *,
    recipe: str | dict[str, Any],
    inputs: dict[str, Any] | None = None,
    session: str | None = None,
    private: bool = False,
    region: str | None = None,
    priority: int = 0,
    webhook: dict[str, Any] | None = None,
    idempotency_key: str | None = None,
    idempotency_header: str | None = None,
) -> StreamDetail:
    """Begins a recipe: the text of one in YAML or JSON, the same as an object, or the name of one that comes along.

    Files are named by the ids of uploaded ones, mails by theirs. The same `idempotency_key` (or header) again gives
    back the workstream of the first time. `webhook`: {url} that is told of the end; with
    `result` true also of the outputs. 400 says every line that is wrong.
    """
    admit(caller)
    with wrong_recipe():
        stream = await network.workstreams.run(
            recipe, inputs, base=None, session=session, private=private, region=region, priority=priority,
            webhook=network.checked_webhook(webhook), idempotency_key=idempotency_key or idempotency_header,
            key_id=reach(caller),
        )  # fmt: skip
    return await detail(network, stream.id)


@operation("GET", "/workstreams")
async def listed(
    network: "Network",
    caller: "Key | None",
    *,
    status: list[StreamStatus] | None = None,
    name: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> StreamPage:
    """Workstreams, the newest first; `status` may be repeated, `name` is the recipe's."""
    if not 1 <= limit <= MOST_ROWS:
        raise InvalidRequest(f"`limit` is from 1 to {MOST_ROWS}.", param="limit")
    unknown = next((each for each in status or () if each not in STREAM_STATUSES), None)
    if unknown is not None:
        fix = f"One of: {', '.join(STREAM_STATUSES)}."
        raise InvalidRequest(f"There is no status '{unknown}'.", param="status", fix=fix)
    streams, following = await network.workstreams.list(
        statuses=status or (), name=name, cursor=cursor, limit=limit, for_key=reach(caller)
    )
    counts = await network.workstreams.standing([each.id for each in streams])
    return StreamPage(workstreams=[StreamRow(**_fields(each, counts[each.id])) for each in streams], cursor=following)


@operation("GET", "/workstreams/{workstream}")
async def shown(network: "Network", caller: "Key | None", *, workstream: str) -> StreamDetail:
    """One workstream with all its steps, and what it waits for."""
    return await detail(network, workstream, reach(caller))


@operation("POST", "/workstreams/{workstream}/approve")
async def approve(
    network: "Network",
    caller: "Key | None",
    *,
    workstream: str,
    task: str | None = None,
    comment: str | None = None,
    values: dict[str, Any] | None = None,
    by: str | None = None,
) -> StreamDetail:
    """Approves what waits: the step `task` (its path or task's id), or the only one.

    `values` stand in the place of those shown, where the recipe lets them be changed. `by`: who decides, where the
    owner says so for somebody; a virtual key decides under its own name, and only where the step names it.
    """
    await network.workstreams.approve(
        workstream, task, values=values, by=_by(caller, by), comment=comment, for_key=reach(caller)
    )
    return await detail(network, workstream)


@operation("POST", "/workstreams/{workstream}/reject")
async def reject(
    network: "Network",
    caller: "Key | None",
    *,
    workstream: str,
    task: str | None = None,
    comment: str | None = None,
    by: str | None = None,
) -> StreamDetail:
    """Rejects what waits, which fails its step. Parameters as of approve."""
    await network.workstreams.reject(workstream, task, by=_by(caller, by), comment=comment, for_key=reach(caller))
    return await detail(network, workstream)


@operation("POST", "/workstreams/{workstream}/events/{name}", body="brought")
async def event(
    network: "Network", caller: "Key | None", *, workstream: str, name: str, brought: dict[str, Any] | None = None
) -> Heard:
    """Tells the steps that wait for this event; the body, a JSON object, becomes the step's `json`."""
    return Heard(waited=await network.workstreams.event(workstream, name, brought, for_key=reach(caller)))


@operation("POST", "/hooks/{token}", body="brought", open=True)
async def hook(network: "Network", caller: "Key | None", *, token: str, brought: dict[str, Any] | None = None) -> Heard:
    """Where a step that waits for a webhook is posted to; its address is shown with the workstream.

    No key is needed: the address is the secret, and good for one step and one time. The body is a JSON object.
    """
    await network.workstreams.hook(token, brought)
    return Heard(waited=True)


@operation("POST", "/workstreams/{workstream}/pause")
async def pause(network: "Network", caller: "Key | None", *, workstream: str) -> StreamDetail:
    """Starts nothing new; what has begun comes to its end."""
    await network.workstreams.pause(workstream, for_key=reach(caller))
    return await detail(network, workstream)


@operation("POST", "/workstreams/{workstream}/resume")
async def resume(
    network: "Network", caller: "Key | None", *, workstream: str, budget_usd: float | None = None
) -> StreamDetail:
    """Goes on after a pause; after a failure or cancellation what failed is tried again, and what is done stays.

    `budget_usd`: what all of it may cost from now on, what was spent included.
    """
    if budget_usd is not None and budget_usd <= 0:
        raise InvalidRequest("`budget_usd` must be more than 0.", param="budget_usd")
    await network.workstreams.resume(workstream, budget_usd=budget_usd, for_key=reach(caller))
    return await detail(network, workstream)


@operation("POST", "/workstreams/{workstream}/cancel")
async def cancel(
    network: "Network", caller: "Key | None", *, workstream: str, reason: str | None = None
) -> StreamDetail:
    """Ends it; what runs is stopped within seconds. One that has ended stays as it is."""
    await network.workstreams.cancel(workstream, reason=reason, for_key=reach(caller))
    return await detail(network, workstream)


@operation("POST", "/workstreams/{workstream}/fork", status=202)
async def fork(
    network: "Network",
    caller: "Key | None",
    *,
    workstream: str,
    from_step: str,
    inputs: dict[str, Any] | None = None,
) -> StreamDetail:
    """A new workstream that keeps what was done before the step `from_step` (id or path) and does the rest again.

    `inputs`: what is to be different. Mails and calls that come after the step go out again.
    """
    admit(caller)
    new = await network.workstreams.fork(workstream, from_step, inputs, base=None, for_key=reach(caller))
    return await detail(network, new.id)


# who may


@contextmanager
def wrong_recipe() -> Iterator[None]:
    """What is wrong with a recipe that was sent is the request's fault, not that of this server's configuration."""
    try:
        yield
    except ConfigError as error:
        raise InvalidRequest(error.message, param="recipe", fix=error.fix) from None


def _by(caller: "Key | None", named: str | None) -> str:
    return named or "owner" if owns(caller) or caller is None else caller.name


def admit(caller: "Key | None") -> None:
    if caller is not None and not owns(caller) and caller.routes is not None and ROUTE not in caller.routes:
        raise Forbidden(f"This key may not use the route '{ROUTE}'.", code="route_not_allowed")


# rows


def _fields(stream: "Workstream", counts: dict[str, int]) -> dict[str, Any]:
    return {
        "id": stream.id, "name": stream.name, "status": stream.status, "error": stream.error,
        "session": stream.session, "spent_usd": stream.spent_nano / 1e9, "tasks": counts,
        "forked_from": stream.forked_from, "schedule": stream.schedule, "created": stream.created,
        "updated": stream.updated, "ended": stream.ended,
    }  # fmt: skip


async def detail(network: "Network", workstream: str, for_key: str | None = None) -> StreamDetail:
    from chittycan.workstreams.workers import living

    view = await network.workstreams.progress(workstream, for_key=for_key)
    counts = (await network.workstreams.standing([workstream]))[workstream]
    idle = view.workstream.ended is None and not await living(network.database)
    return detail_of(view, counts, network.settings.server.base_url, idle=idle)


def detail_of(view: "View", counts: dict[str, int], base_url: str, *, idle: bool) -> StreamDetail:
    """`base_url`: of the server, for the addresses of webhooks."""
    stream, far = view.workstream, view.progress
    waiting = [
        WaitingRow(
            path=each.path, task=each.task, title=each.title, type=each.type, show=each.show, edit=each.edit,
            who=each.who, event=each.event, until=each.until, since=each.since,
            url=None if each.token is None else f"{base_url.rstrip('/')}{HOOKS}{each.token}",
        )
        for each in view.waiting
    ]  # fmt: skip
    return StreamDetail(
        **_fields(stream, counts), description=stream.recipe.description, inputs=stream.inputs,
        outputs=stream.outputs, steps=[_step(stream.id, each) for each in far.steps], total=far.total, over=far.over,
        waiting=waiting, private=stream.options.private, budget_usd=stream.recipe.budget_usd, idle=idle,
    )  # fmt: skip


def _step(workstream: str, node: "Node") -> StepRow:
    from chittycan.workstreams.recipe import LEAVES

    begun = node.type in LEAVES and node.status not in ("pending", "skipped")
    return StepRow(
        path=node.path, title=node.title, type=node.type, status=node.status,
        task=f"{workstream}.{node.path}" if begun else None, model=node.model, instead_of=node.instead_of,
        waiting_for=node.waiting_for, error=node.error, started=node.started_at, ended=node.ended_at,
        cost_usd=usd(node.cost_nano) or 0.0, steps=[_step(workstream, each) for each in node.children],
    )  # fmt: skip
