"""What a person decides, and news that a workstream waits for, inside a transaction that holds the workstream's row.

Answers, as the performers of approvals and waits read them:

    approval   {decision: approved | rejected, by, comment, values}
    wait       {json, at}; `at` is Unix seconds
"""

import hmac
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from chittycan.errors import InvalidRequest, NotFound
from chittycan.store import tasks as task_rows
from chittycan.store import workstreams as rows
from chittycan.workstreams.approval import Decision, check_may, decided
from chittycan.workstreams.life import OPEN
from chittycan.workstreams.record import Recorder
from chittycan.workstreams.rows import NUL, encoded, from_row
from chittycan.workstreams.task import Task
from chittycan.workstreams.workstream import Workstream, from_stream_row

MOST_EVENTS = 100  # that one workstream keeps before anybody waits for them
LONGEST_EVENT = 262_144  # bytes of what an event brings, as JSON


class Verdict(Struct, frozen=True, kw_only=True):
    """What somebody says. `by` is who it is; `name` is that of the virtual key that asks, None for the owner."""

    decision: Decision
    by: str = "owner"
    name: str | None = None
    comment: str | None = None
    values: Mapping[str, Any] = {}  # in place of those shown


class Waiting(Struct, frozen=True, kw_only=True):
    """A step that goes on when somebody says something. `token`: of a webhook, the last part of its address."""

    task: str
    path: str
    title: str
    type: Literal["approval", "event", "webhook"]
    show: dict[str, Any] = {}
    edit: bool = False
    who: list[str] = []
    event: str | None = None
    token: str | None = None
    until: float | None = None  # Unix seconds
    since: float = 0.0


def waiting(tasks: list[Task]) -> list[Waiting]:
    """Of all steps of a workstream, those that wait for a person, an event or a webhook."""
    return [_waiting(each) for each in tasks if _asks(each) or _listens(each)]


def decide(connection: Connection, recorder: Recorder, workstream: str, named: str | None, said: Verdict) -> None:
    """Answers the approval `named` (the id of its task, or its path), or the only one that waits.

    Raises NotFound, InvalidRequest (none waits, several do, a value that may not be changed), Forbidden.
    """
    task = _asked(_tasks(connection, workstream), workstream, named)
    question = _question(task)
    check_may(question, said.name)
    answer = decided(question, said.decision, by=said.by, comment=said.comment, values=said.values)
    if not recorder.answer(connection, task, answer):
        raise InvalidRequest(f"{task.id} waits for no answer any more", param="task")


def event(connection: Connection, recorder: Recorder, stream: Workstream, name: str, brought: Any, now: float) -> bool:
    """Tells every step that waits for it, True; else keeps it for the first that will. Raises InvalidRequest."""
    if len(encoded(brought)) > LONGEST_EVENT:
        raise InvalidRequest(f"an event brings at most {LONGEST_EVENT:,} bytes", param="json")
    open_ = stream.status in ("running", "paused")
    heard = [each for each in _tasks(connection, stream.id) if _listens(each) and each.spec.get("event") == name]
    told = [recorder.answer(connection, each, {"json": brought, "at": now}) for each in heard if open_]
    if any(told):
        return True
    if not open_:
        raise InvalidRequest(f"{stream.id} is {stream.status} and waits for no event", param="workstream")
    kept = stream.options.events
    if sum(len(each) for each in kept.values()) >= MOST_EVENTS:
        raise InvalidRequest(f"{stream.id} keeps {MOST_EVENTS} events that nobody waited for", param="name")
    options = replace(stream.options, events={**kept, name: [*kept.get(name, []), brought]})
    rows.move(connection, stream.id, (stream.status,), {"options": encoded(options), "updated": now})
    return False


def hook(connection: Connection, recorder: Recorder, token: str, brought: Any, now: float) -> Workstream:
    """What somebody posted to a waiting step's address. Raises NotFound for a token that no step waits with."""
    nobody = NotFound("nothing waits at this address", param="token")
    task_id, _, secret = token.rpartition("~")
    found = None if NUL in task_id else task_rows.get(connection, task_id)
    if found is None or found["workstream"] is None:
        raise nobody
    row = rows.lock(connection, found["workstream"])
    task = from_row(task_rows.get(connection, task_id) or found)
    right = str(task.spec.get("token") or "")
    if row is None or not right or not hmac.compare_digest(right.encode(), secret.encode()):
        raise nobody
    if not _listens(task) or not recorder.answer(connection, task, {"json": brought, "at": now}):
        raise nobody
    return from_stream_row(row)


def _waiting(task: Task) -> Waiting:
    spec, path = task.spec, task.path or task.id
    common: dict[str, Any] = {"task": task.id, "path": path, "since": task.since}
    if task.type == "wait":
        name, token = spec.get("event"), spec.get("token")
        return Waiting(
            **common, title=task.title or path, type="event" if name else "webhook", event=name,
            token=f"{task.id}~{token}" if token else None, until=task.deadline,
        )  # fmt: skip
    if task.type == "approval":
        return Waiting(
            **common, title=str(spec.get("title") or task.title or path), type="approval", show=spec.get("show") or {},
            edit=bool(spec.get("edit")), who=spec.get("who") or [], until=spec.get("until") or task.deadline,
        )  # fmt: skip
    question = task.question or {}
    return Waiting(
        **common, title=str(question.get("title") or task.title or path), type="approval",
        show=question.get("show") or {}, edit=bool(question.get("edit")), who=question.get("who") or [],
        until=task.deadline,
    )  # fmt: skip


def _asks(task: Task) -> bool:
    """Whether it waits for a person: also where no worker has looked at it yet."""
    if task.type == "approval":
        return task.status in OPEN and task.answer is None
    return task.status == "waiting_for_approval"


def _listens(task: Task) -> bool:
    news = task.spec.get("event") or task.spec.get("token")
    return task.type == "wait" and bool(news) and task.status in OPEN and task.answer is None


def _tasks(connection: Connection, workstream: str) -> list[Task]:
    return [from_row(each) for each in task_rows.of_workstream(connection, workstream)]


def _asked(tasks: list[Task], workstream: str, named: str | None) -> Task:
    open_ = [each for each in tasks if _asks(each)]
    if named is not None:
        found = next((each for each in tasks if named in (each.id, each.path)), None)
        if found is None:
            raise NotFound(f"{workstream} has no step {named[:80]!r} that has begun", param="task", fix=_fix(open_))
        if found not in open_:
            raise InvalidRequest(f"{named} is {found.status} and waits for no decision", param="task", fix=_fix(open_))
        return found
    if not open_:
        raise InvalidRequest(f"nothing in {workstream} waits for a decision", param="task")
    if len(open_) > 1:
        raise InvalidRequest(f"{len(open_)} steps of {workstream} wait for a decision", param="task", fix=_fix(open_))
    return open_[0]


def _fix(open_: list[Task]) -> str | None:
    if not open_:
        return None
    return "Name one of them: " + "; ".join(f"{each.path} ({_waiting(each).title[:60]})" for each in open_) + "."


def _question(task: Task) -> Mapping[str, Any]:
    """What the person is asked: of an approval also before a worker has looked at it."""
    return task.spec if task.type == "approval" else task.question or {}
