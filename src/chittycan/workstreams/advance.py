"""Carries out the plan of a workstream: adds the rows that it says, cancels, ends. Inside a transaction, idempotent."""

import secrets
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from chittycan.clock import Clock
from chittycan.context.labels import Label, strictest
from chittycan.store import context
from chittycan.store import tasks as task_rows
from chittycan.store import workstreams as rows
from chittycan.workstreams.events import workstream_ended
from chittycan.workstreams.life import stream_before
from chittycan.workstreams.plan import Finished, Start, plan
from chittycan.workstreams.record import Recorder
from chittycan.workstreams.rows import encoded, from_row, step_state, storable
from chittycan.workstreams.task import PRIVATE, Task
from chittycan.workstreams.workstream import Standing, Workstream, from_stream_row

MOST_ROUNDS = 5  # of plans in one transaction: what is cancelled ends at once, and may end the workstream
# After each time that a workstream is resumed, its tasks' runs are counted from here on: the engine's name of a run
# must never come twice, and the rows of what is tried again are new ones.
RUNS_OF_A_RESUME = 1_000_000

Document = dict[str, Any]


class Advancer:
    """Goes on with workstreams; give `advance` to the recorder."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder, self._clock = recorder, clock

    def advance(self, connection: Connection, workstream_id: str) -> None:
        """Starts what is to be started now. Harmless at any time and any number of times."""
        row = rows.lock(connection, workstream_id)
        if row is None:
            return
        stream = from_stream_row(row)
        for _ in range(MOST_ROUNDS):
            if stream.status not in ("running", "paused") or not self._round(connection, stream):
                return

    def _round(self, connection: Connection, stream: Workstream) -> bool:
        """One plan, carried out. True where it may say more at once."""
        now = self._clock.now()
        tasks = [from_row(each) for each in task_rows.of_workstream(connection, stream.id)]
        spent = sum(each.cost_nano or 0 for each in tasks) + stream.options.kept_nano
        document, label = self._document(connection, stream, now)
        step = plan(
            stream.recipe, stream.inputs, document, {each.path or each.id: step_state(each) for each in tasks},
            spent_nano=spent, now=now, started_at=stream.options.since or stream.created,
        )  # fmt: skip
        before, options = stream.options, stream.options
        if label.privacy == PRIVATE or any(each.private for each in tasks):
            options = replace(options, private=True)  # and stays so: later steps say what these found
        if step.finish is not None:
            self._finish(connection, replace(stream, options=options), step.finish, spent, now)
            return False
        unwanted = [each for each in tasks if each.path in set(step.cancel)]
        cancelled = [self._recorder.cancel(connection, each, "another step failed", alone=True) for each in unwanted]
        if stream.status == "running":
            stream = replace(stream, options=options)
            for each in step.start:
                task, options = _met(_task(stream, each, now), options, now)
                self._recorder.add(connection, task)
        if (spent, options) != (stream.spent_nano, before):
            values = {"spent_nano": spent, "options": encoded(options), "updated": now}
            rows.move(connection, stream.id, ("running", "paused"), values)
        return any(cancelled)

    def _finish(self, connection: Connection, stream: Workstream, end: Finished, spent: int, now: float) -> None:
        values = {"status": end.status, "outputs": encoded(end.outputs), "error": storable(end.reason),
                  "options": encoded(stream.options), "spent_nano": spent, "updated": now, "ended": now}  # fmt: skip
        if rows.move(connection, stream.id, stream_before(end.status), values):
            ended = replace(
                stream, status=end.status, outputs=end.outputs, error=end.reason, spent_nano=spent, updated=now
            )
            self._recorder.tell(connection, workstream_ended(ended), stream.webhook)

    def _document(self, connection: Connection, stream: Workstream, now: float) -> tuple[Document, Label]:
        """The shared document, and the strictest label in it."""
        found = None if stream.session is None else context.get(connection, stream.session)
        if found is None or (found.expires is not None and found.expires <= now):
            return {}, Label()
        if stream.key_id is not None and found.key_id != stream.key_id:
            return {}, Label()  # somebody else's since
        labels = msgspec.json.decode(found.labels, type=dict[str, Label])
        document: Document = msgspec.json.decode(found.document)
        return document, strictest(labels.values())


def _task(stream: Workstream, start: Start, now: float) -> Task:
    options = stream.options
    given: dict[str, Any] = {"private": True} if options.private else {}
    given |= {"region": options.region} if options.region is not None else {}
    spec = start.spec
    if start.type == "wait" and spec.get("webhook"):
        spec = {**spec, "token": secrets.token_urlsafe(24)}
    return Task(
        id=f"{stream.id}.{start.path}", type=start.type, title=start.title, workstream=stream.id, path=start.path,
        kind=start.kind, model=start.model, session=stream.session, key_id=stream.key_id, priority=stream.priority,
        spec=spec, options=given, deadline=start.deadline, budget_nano=start.budget_nano,
        retries=start.retries, store=start.store, run=1 + options.resumes * RUNS_OF_A_RESUME,
        created=now, updated=now, since=now,
    )  # fmt: skip


def _met(task: Task, options: Standing, now: float) -> tuple[Task, Standing]:
    """A step that waits for an event which has come already has its answer; the event is used up."""
    name = task.spec.get("event") if task.type == "wait" else None
    kept = options.events.get(name, []) if name else []
    if not kept:
        return task, options
    left = {**options.events, str(name): kept[1:]}
    answer = {"json": kept[0], "at": now}
    return replace(task, answer=answer), replace(options, events={key: each for key, each in left.items() if each})
