"""Durable tasks: submit work and walk away, look at it, decide, cancel, try again, wait for it.

A virtual key reaches its own tasks, the owner all of them.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from chittycan.control.operation import operation, owns, reach, usd
from chittycan.errors import Forbidden, InvalidRequest, NoPrivateModel, NotFound
from chittycan.workstreams.life import STATUSES, Status

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.workstreams.approval import Decision
    from chittycan.workstreams.task import Task, Type

ROUTE = "tasks"  # what a key's `routes` call this
LONGEST_WAIT = 60.0  # seconds that one request may wait
MOST_ROWS = 200
LONGEST_TITLE = 80
IDEMPOTENCY = {"idempotency_header": "Idempotency-Key"}
UNLISTED: tuple["Type", ...] = ("deliver",)  # what only serves other tasks, unless it failed


class Submitted(Struct, kw_only=True, omit_defaults=True):
    """A task that was taken in. `waiting_for`: what it needs before it can begin, in words."""

    id: str
    status: Status
    waiting_for: str | None = None


class TaskRow(Struct, kw_only=True, omit_defaults=True):
    """A task; what has no value is left out. `since`: when it came to its status or began to wait. Times are Unix
    seconds. `attempts`: how often it was begun. `asked_model` was asked for, `model` served; `cost_usd` is the sum
    of all tries. `worker`: the process that is at it, or was last."""

    id: str
    status: Status
    type: str
    title: str | None = None
    kind: str | None = None
    session: str | None = None
    waiting_for: str | None = None
    since: float
    created: float
    started: float | None = None
    ended: float | None = None
    at: float | None = None
    deadline: float | None = None
    priority: int
    attempts: int
    asked_model: str | None = None
    model: str | None = None
    cost_usd: float | None = None
    worker: str | None = None
    workstream: str | None = None
    path: str | None = None
    region: str | None = None
    labels: list[str] = []
    error: dict[str, Any] | None = None


class TaskDetail(TaskRow, kw_only=True, omit_defaults=True):
    """A task with what came of it. `result` is there once it is done: `text`, `json` where the answer is JSON, `model`
    and `cost_usd`, for other types of task what they give. `question` is what a person is asked, `answer` what was
    decided or came."""

    prompt: str | None = None
    result: dict[str, Any] | None = None
    question: dict[str, Any] | None = None
    answer: dict[str, Any] | None = None


class TaskPage(Struct, kw_only=True):
    """Tasks, the newest first; `cursor` asks for the next page, null at the end."""

    tasks: list[TaskRow]
    cursor: str | None


@operation("POST", "/tasks", headers=IDEMPOTENCY, status=202)
async def submit(
    network: "Network",
    caller: "Key | None",
    *,
    prompt: str | None = None,
    messages: list[dict[str, Any]] | None = None,
    kind: str | None = None,
    model: str | None = None,
    session: str | None = None,
    title: str | None = None,
    priority: int = 0,
    at: str | float | None = None,
    deadline: str | float | None = None,
    after: list[str] | None = None,
    files: list[str | dict[str, str]] | None = None,
    system: str | None = None,
    schema: dict[str, Any] | None = None,
    json: bool = False,
    max_tokens: int | None = None,
    retries: int = 0,
    store: str | None = None,
    recall: bool | None = None,
    webhook: dict[str, Any] | None = None,
    private: bool = False,
    region: str | None = None,
    models: list[str] | None = None,
    max_cost_usd: float | None = None,
    facts: dict[str, str] | None = None,
    idempotency_key: str | None = None,
    idempotency_header: str | None = None,
) -> Submitted:
    """Takes in a prompt (or OpenAI `messages`) to be answered when a model can; it outlives crashes and restarts.

    `deadline` and `at` are durations ("24h") or times with their offset; `after`: ids of tasks that must be done
    before; `files`: ids of stored files, or {name, data} in base64; `retries`: further tries after a failure. The same
    `idempotency_key` (or header) again gives the first task back. `webhook`: {url} that is told
    of the end; with `result` true also of the answer. `facts`: what rules may ask of it ({"branch": "main"}).
    """
    from chittycan.routing.rules.condition import check_facts
    from chittycan.workstreams.submission import read

    given = dict(locals())
    for name in ("network", "caller", "read", "check_facts", "idempotency_header"):
        del given[name]
    check_facts(facts or ())
    given["idempotency_key"] = idempotency_key or idempotency_header
    submission = read(given, network.clock.now(), key_id=reach(caller))
    await _admit(network, caller, submission.task)
    network.checked_webhook(submission.task.webhook)
    task = await network.tasks.put(submission)
    return Submitted(id=task.id, status=task.status, waiting_for=_waiting(task, await _scene(network)))


@operation("GET", "/tasks")
async def listed(
    network: "Network",
    caller: "Key | None",
    *,
    status: list[Status] | None = None,
    type: list[str] | None = None,
    kind: str | None = None,
    session: str | None = None,
    workstream: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> TaskPage:
    """Tasks, the newest first; `status` and `type` may be repeated. Steps of workstreams are tasks too."""
    from typing import get_args

    from chittycan.store.tasks import Wanted
    from chittycan.workstreams.task import Type

    if not 1 <= limit <= MOST_ROWS:
        raise InvalidRequest(f"`limit` is from 1 to {MOST_ROWS}.", param="limit")
    unknown = next((each for each in status or () if each not in STATUSES), None)
    if unknown is not None:
        raise InvalidRequest(f"There is no status '{unknown}'.", param="status", fix=f"One of: {', '.join(STATUSES)}.")
    hidden = () if "failed" in (status or ()) else UNLISTED
    types = tuple(type or (each for each in get_args(Type) if each not in hidden))
    wanted = Wanted(statuses=tuple(status or ()), types=types, kind=kind, session=session, workstream=workstream)
    tasks, following = await network.tasks.list(wanted, cursor=cursor, limit=limit, for_key=reach(caller))
    scene = await _scene(network)
    return TaskPage(tasks=[TaskRow(**_fields(task, scene)) for task in tasks], cursor=following)


@operation("GET", "/tasks/{task}")
async def shown(network: "Network", caller: "Key | None", *, task: str, wait: float = 0.0) -> TaskDetail:
    """One task and what came of it. `wait`: seconds (at most 60) that the answer may take if it has not ended."""
    if not wait >= 0:
        raise InvalidRequest("`wait` is seconds, 0 or more.", param="wait")
    mine = reach(caller)
    if wait:
        found = await network.tasks.wait(task, timeout=min(wait, LONGEST_WAIT), for_key=mine)
    else:
        found = await network.tasks.get(task, for_key=mine)
    return await _detail(network, found)


@operation("POST", "/tasks/{task}/cancel")
async def cancel(network: "Network", caller: "Key | None", *, task: str, reason: str | None = None) -> TaskDetail:
    """Ends a task that has not ended; what runs is stopped within seconds. One that has ended stays as it is."""
    return await _detail(network, await network.tasks.cancel(task, reason=reason, for_key=reach(caller)))


@operation("POST", "/tasks/{task}/retry")
async def retry(network: "Network", caller: "Key | None", *, task: str) -> TaskDetail:
    """A failed or cancelled task again, from its beginning, and with it what failed only because it came after it."""
    return await _detail(network, await network.tasks.retry(task, for_key=reach(caller)))


@operation("POST", "/tasks/{task}/approve")
async def approve(
    network: "Network",
    caller: "Key | None",
    *,
    task: str,
    comment: str | None = None,
    values: dict[str, Any] | None = None,
) -> TaskDetail:
    """Approves what a task asks a person; `values` changes what is shown, where that is asked for."""
    return await _decide(network, caller, task, "approved", comment, values)


@operation("POST", "/tasks/{task}/reject")
async def reject(network: "Network", caller: "Key | None", *, task: str, comment: str | None = None) -> TaskDetail:
    """Rejects what a task asks a person."""
    return await _decide(network, caller, task, "rejected", comment, None)


async def _decide(
    network: "Network",
    caller: "Key | None",
    task_id: str,
    decision: "Decision",
    comment: str | None,
    values: dict[str, Any] | None,
) -> TaskDetail:
    from chittycan.workstreams.approval import check_may, decided
    from chittycan.workstreams.life import OPEN

    mine = reach(caller)
    name = None if mine is None or caller is None else caller.name
    task = await network.tasks.get(task_id, for_key=mine)
    asks = task.type == "approval" and task.status in OPEN and task.answer is None  # also before a worker has seen it
    if not asks and task.status != "waiting_for_approval":
        raise InvalidRequest(f"{task_id} is {task.status} and asks nobody to decide.", param="task")
    question = task.spec if task.type == "approval" else task.question or {}
    check_may(question, name)
    answer = decided(question, decision, by=name or "owner", comment=comment, values=values)
    return await _detail(network, await network.tasks.answer(task_id, answer, expected=task.status))


# who may


async def _admit(network: "Network", caller: "Key | None", task: "Task") -> None:
    """What can never go well is refused now: what the key is not for, somebody else's session, unknown models."""
    from chittycan.chat import ChatRequest, user
    from chittycan.errors import Unavailable
    from chittycan.gateway.call import Call, Options

    key = None if owns(caller) else caller
    if key is not None and key.routes is not None and ROUTE not in key.routes:
        raise Forbidden(f"This key may not use the route '{ROUTE}'.", code="route_not_allowed")
    if key is not None and key.kinds is not None and task.kind not in key.kinds:
        raise Forbidden(f"This key is for {', '.join(sorted(key.kinds))} only.", code="kind_not_allowed")
    if key is not None and task.session is not None:
        with suppress(NotFound):
            await network.context.retrieve(task.session, for_key=key.id)
    wishes = {**task.options, "models": tuple(task.options.get("models", ()))}
    chat = ChatRequest(model=task.model or "auto", messages=[user("")])
    call = Call(
        request_id="", model=chat.model, options=Options(kind=task.kind, session=task.session, **wishes), key=key,
        parsed=chat, keep_answering=key is None,
    )  # fmt: skip
    try:
        network.gateway.decide(call)
    except Unavailable:  # no model today: the task waits for one
        pass
    except (InvalidRequest, NoPrivateModel):
        if task.region is None or not (await _scene(network)).has(task.region):
            raise  # a worker there may have models of its own that can do it


# rows


class Scene(Struct, frozen=True):
    """What a task is looked at against: the time, and whether any worker is there to do it."""

    now: float
    idle: bool
    regions: frozenset[str]

    def has(self, region: str) -> bool:
        """Whether a worker of this region is at work."""
        return region in self.regions


async def _scene(network: "Network") -> Scene:
    from chittycan.workstreams.workers import living

    workers = await living(network.database)
    regions = frozenset(region for each in workers for region in each.regions)
    return Scene(network.clock.now(), not workers, regions)


def _waiting(task: "Task", scene: Scene) -> str | None:
    """What it waits for, in words."""
    if task.waiting_for is not None or task.status != "queued":
        return task.waiting_for
    if task.at is not None and task.at > scene.now:
        return f"its time, {datetime.fromtimestamp(task.at, UTC):%Y-%m-%d %H:%M} UTC"
    if task.region is not None:
        missing = "" if scene.has(task.region) else f"; none is running (can serve --region {task.region})"
        return f"a worker of the region {task.region}{missing}"
    return "a worker; none is running" if scene.idle else "a worker"


def _fields(task: "Task", scene: Scene) -> dict[str, Any]:
    return {
        "id": task.id, "status": task.status, "type": task.type, "title": task.title or _first_line(task.spec),
        "kind": task.kind, "session": task.session, "waiting_for": _waiting(task, scene), "since": task.since,
        "created": task.created, "started": task.started, "ended": task.ended, "at": task.at,
        "deadline": task.deadline, "priority": task.priority, "attempts": task.tries, "asked_model": task.model,
        "model": task.served_by, "cost_usd": usd(task.cost_nano), "worker": task.worker,
        "workstream": task.workstream, "path": task.path, "error": task.error, "region": task.region,
        "labels": task.options.get("labels", []),
    }  # fmt: skip


async def _detail(network: "Network", task: "Task") -> TaskDetail:
    result = None
    if task.status == "done":
        result = {**(task.result or {}), "model": task.served_by, "cost_usd": usd(task.cost_nano)}
    return TaskDetail(
        **_fields(task, await _scene(network)), prompt=_prompt(task.spec),
        result=result, question=task.question, answer=task.answer,
    )  # fmt: skip


def _prompt(spec: Mapping[str, Any]) -> str | None:
    """What was asked, or the last that somebody said."""
    messages = spec.get("messages")
    last = messages[-1].get("content") if isinstance(messages, list) and messages else spec.get("prompt")
    if isinstance(last, list):
        last = " ".join(str(each.get("text", "")) for each in last if isinstance(each, dict))
    return last if isinstance(last, str) and last else None


def _first_line(spec: Mapping[str, Any]) -> str | None:
    prompt = _prompt(spec)
    line = prompt.strip().partition("\n")[0] if prompt else ""
    return (line if len(line) <= LONGEST_TITLE else line[: LONGEST_TITLE - 1] + "…") or None
