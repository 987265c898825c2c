"""Carries out the plan of a workstream: adds the rows that it says, cancels, ends. Inside a transaction, idempotent."""

import msgspec
from sqlalchemy import Connection

from chittycan.clock import Clock
from chittycan.store import context
from chittycan.store import tasks as task_rows
from chittycan.store import workstreams as rows
from chittycan.workstreams.life import stream_before
from chittycan.workstreams.plan import Finished, Start, plan
from chittycan.workstreams.record import Recorder
from chittycan.workstreams.rows import encoded, from_row, step_state
from chittycan.workstreams.task import Task
from chittycan.workstreams.workstream import Workstream, from_stream_row, stream_delivery

MOST_ROUNDS = 5  # of plans in one transaction: what is cancelled ends at once, and may end the workstream


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
        spent = sum(each.cost_nano or 0 for each in tasks) + stream.kept_nano
        step = plan(
            stream.recipe, stream.inputs, self._document(connection, stream, now),
            {each.path or each.id: step_state(each) for each in tasks},
            spent_nano=spent, now=now, started_at=stream.created,
        )  # fmt: skip
        if step.finish is not None:
            self._finish(connection, stream, step.finish, spent, now)
            return False
        unwanted = [each for each in tasks if each.path in set(step.cancel)]
        cancelled = [self._recorder.cancel(connection, each, "another step failed", alone=True) for each in unwanted]
        if stream.status == "running":
            for each in step.start:
                self._recorder.add(connection, _task(stream, each, now))
        if spent != stream.spent_nano:
            rows.move(connection, stream.id, ("running", "paused"), {"spent_nano": spent, "updated": now})
        return any(cancelled)

    def _finish(self, connection: Connection, stream: Workstream, end: Finished, spent: int, now: float) -> None:
        values = {"status": end.status, "outputs": encoded(end.outputs), "error": end.reason, "spent_nano": spent,
                  "updated": now, "ended": now}  # fmt: skip
        if rows.move(connection, stream.id, stream_before(end.status), values) and stream.webhook is not None:
            self._recorder.add(connection, stream_delivery(stream, end.status, now))

    def _document(self, connection: Connection, stream: Workstream, now: float) -> dict[str, object]:
        found = None if stream.session is None else context.get(connection, stream.session)
        if found is None or (found.expires is not None and found.expires <= now):
            return {}
        document: dict[str, object] = msgspec.json.decode(found.document)
        return document


def _task(stream: Workstream, start: Start, now: float) -> Task:
    return Task(
        id=f"{stream.id}.{start.path}", type=start.type, title=start.title, workstream=stream.id, path=start.path,
        kind=start.kind, model=start.model, session=stream.session, key_id=stream.key_id, priority=stream.priority,
        spec=start.spec, options=stream.options, deadline=start.deadline, budget_nano=start.budget_nano,
        retries=start.retries, store=start.store, created=now, updated=now, since=now,
    )  # fmt: skip
