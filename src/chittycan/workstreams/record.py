"""What a try came to, written down once and in one transaction with all that follows from it.

Every function here runs inside a transaction: `Recorder` has what they need besides the connection. What follows
from the end of a task: tasks that were to begin after it, the next step of its workstream, and who is told of it.
"""

import secrets
from collections.abc import Callable, Collection, Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection

from chittycan.clock import Clock
from chittycan.store import tasks as rows
from chittycan.store import workstreams
from chittycan.workstreams import events
from chittycan.workstreams.engine import Engine
from chittycan.workstreams.events import Audience, Event
from chittycan.workstreams.life import TERMINAL, Status, before
from chittycan.workstreams.rows import described, from_row, packed, to_row
from chittycan.workstreams.task import Ask, Done, Failed, Later, Outcome, Task, WaitForModel, run_name
from chittycan.workstreams.waves import SEPARATOR, Waves

RUN = "run_task"  # the engine's function for tasks: (task id, run)
TASK_BEFORE_FAILED = "task_before_failed"  # code of the error of what can never begin
RETRY_SECONDS = 2.0  # before the first retry of a failed try; doubled each time
LONGEST_RETRY = 300.0

Advance = Callable[[Connection, str], None]


class Recorder:
    """Puts tasks into the table and the queue, and moves them on.

    `advance` goes on with a workstream by its id; `audience` says whom the owner wants told of an event.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self.advance: Advance = _nothing
        self.audience: Audience = _nobody
        self.waves = Waves(engine, clock)

    def add(self, connection: Connection, task: Task, after: Collection[str] = ()) -> bool:
        """Stores and enqueues a task; False where there is one of its id already.

        With `after` it is enqueued once all of those are done; see `release`.
        """
        if not rows.add(connection, to_row(task)):
            return False
        if after:
            rows.hold(connection, after)  # none may end unseen until this is committed
            rows.depend(connection, task.id, after)
            self.release(connection, task.id)
        else:
            self.enqueue(connection, task)
        return True

    def enqueue(self, connection: Connection, task: Task, *, until: float | None = None) -> None:
        """Its run, in the queue: at `until`, else at its own time."""
        at = task.at if until is None else until
        delay = 0.0 if at is None else max(0.0, at - self._clock.now())
        self._engine.enqueue(
            connection, RUN, task.id, task.run, id=run_id(task), delay=delay, priority=task.priority,
            region=task.region,
        )  # fmt: skip

    def record(self, connection: Connection, task: Task, outcome: Outcome) -> bool:
        """What the try `task.run` came to. False where it was recorded before, cancelled, or is void by now."""
        if task.workstream is not None:
            workstreams.lock(connection, task.workstream)
        found = rows.lock(connection, task.id)  # of two at one run the second must see what the first made of it
        if found is None or found["run"] != task.run or found["status"] in TERMINAL:
            return False
        unseen = found["answer"] is not None and task.answer is None
        began, task = task.updated, from_row(found)
        if unseen and isinstance(outcome, Later | Ask):  # the answer came while it was looking for one
            outcome = Later(reason=outcome.reason, until=self._clock.now())
        match outcome:
            case Done():
                self.end(connection, task, "done", result=outcome.result, served_by=outcome.model,
                         cost_nano=_sum(task.cost_nano, outcome.cost_nano))  # fmt: skip
            case Failed() if outcome.again and task.failures < task.retries:
                wait = min(RETRY_SECONDS * 2**task.failures, LONGEST_RETRY)
                reason = f"another try after a failure: {outcome.error.message}"
                self.again(connection, task, "queued", self._clock.now() + wait, waiting_for=reason,
                           failures=task.failures + 1, cost_nano=_sum(task.cost_nano, outcome.cost_nano))  # fmt: skip
            case Failed():
                self.end(connection, task, "failed", error=described(outcome.error),
                         cost_nano=_sum(task.cost_nano, outcome.cost_nano))  # fmt: skip
            case WaitForModel():
                # Who tries for the others must be one that a worker of their region tries.
                chain = SEPARATOR.join((*outcome.models, *(() if task.region is None else (f"region {task.region}",))))
                until = self.waves.wait(connection, task, chain, outcome.until)
                until = until if outcome.latest is None else min(until, max(outcome.latest, self._clock.now()))
                self.again(connection, task, "waiting_for_model", until, waiting_for=outcome.reason, chain=chain,
                           cost_nano=_sum(task.cost_nano, outcome.cost_nano))  # fmt: skip
            case Later():
                self.again(connection, task, "queued", outcome.until, waiting_for=outcome.reason,
                           cost_nano=_sum(task.cost_nano, outcome.cost_nano))  # fmt: skip
            case Ask():
                self.again(connection, task, "waiting_for_approval", outcome.until, waiting_for=outcome.reason,
                           question=outcome.question, answer=None)  # fmt: skip
                self.tell(connection, events.task_asks(replace(task, updated=self._clock.now())))
        if isinstance(outcome, Done) and (task.chain or outcome.model):
            self.waves.served(connection, task.chain, outcome.model, began)
        elif task.chain is not None and not isinstance(outcome, WaitForModel):
            self.waves.look(connection, task.chain)
        return True

    def again(self, connection: Connection, task: Task, status: Status, until: float | None, **values: Any) -> bool:
        """A further run of `task`: at `until`, or where that is None when `answer` or someone else says so."""
        now = self._clock.now()
        values = {"waiting_for": None, "chain": None, **values}
        # How long it has waited is counted from the first of several tries in a row that came to the same.
        since = task.since if task.chain is not None and task.chain == values["chain"] else now
        following = replace(task, run=task.run + 1)
        moved = rows.move(
            connection, task.id, before(status),
            {"status": status, "run": following.run, "since": since, "updated": now, "due": until, **packed(values)},
            run=task.run,
        )  # fmt: skip
        if moved and until is not None:
            self.enqueue(connection, following, until=until)
        return moved

    def end(self, connection: Connection, task: Task, status: Status, *, alone: bool = False, **values: Any) -> bool:
        """The end of `task`, and what follows from it. False where it had ended already.

        `alone`: its workstream is left to the caller.
        """
        if not self._over(connection, task, status, values, alone=alone):
            return False
        self.release(connection, *rows.following(connection, task.id))
        return True

    def _over(
        self, connection: Connection, task: Task, status: Status, values: dict[str, Any], *, alone: bool = False
    ) -> bool:
        """The end of `task` for itself, for who is told of it, and for its workstream."""
        now = self._clock.now()
        ended = {"status": status, "since": now, "updated": now, "ended": now, "waiting_for": None, "chain": None,
                 "due": None}  # fmt: skip
        if not rows.move(connection, task.id, before(status), {**ended, **packed(values)}):
            return False
        event = events.task_ended(replace(task, status=status, updated=now, **values))
        if event is not None:
            self.tell(connection, event, task.webhook)
        if task.workstream is not None and not alone:
            self.advance(connection, task.workstream)
        return True

    def tell(
        self, connection: Connection, event: Event, own: dict[str, Any] | None = None, also: Sequence[str] = ()
    ) -> None:
        """Has it told to the thing's own webhook, if any, to whom the owner wants told, and to these addresses."""
        for each in events.deliveries(event, own, self.audience, also):
            self.add(connection, each)

    def release(self, connection: Connection, *task_ids: str) -> None:
        """Enqueues tasks whose predecessors are all done; ends those of which one never will be, and what follows."""
        waiting = list(task_ids)
        while waiting:  # a chain of tasks may be longer than functions can be nested
            waiting += self._release(connection, waiting.pop())

    def _release(self, connection: Connection, task_id: str) -> list[str]:
        """The tasks that wait for this one, where it has ended now."""
        found = rows.lock(connection, task_id)  # two that end at once must not each see the other at work
        if found is None or found["status"] != "queued":
            return []
        task, now = from_row(found), self._clock.now()
        predecessors = [from_row(each) for each in rows.before(connection, task_id)]
        lost = next((each for each in predecessors if each.status in ("failed", "cancelled")), None)
        if lost is not None:
            error = {"code": TASK_BEFORE_FAILED, "message": f"{lost.id}, which comes before it, {_WHAT[lost.status]}"}
            over = self._over(connection, task, "failed", {"error": error})
            return rows.following(connection, task_id) if over else []
        left = [each.id for each in predecessors if each.status != "done"]
        waiting_for = f"{', '.join(left)} to be done" if left else None
        due = None if left else max(now, task.at or 0.0)
        rows.move(connection, task_id, ("queued",), {"waiting_for": waiting_for, "due": due, "updated": now})
        if not left:
            self.enqueue(connection, task)
        return []

    def cancel(self, connection: Connection, task: Task, reason: str | None = None, *, alone: bool = False) -> bool:
        """Whoever is at it notices within seconds; its outcome is not recorded any more. `alone`: as for `end`."""
        error = {"code": "cancelled", "message": reason} if reason else None
        return self.end(connection, task, "cancelled", alone=alone, error=error)

    def answer(self, connection: Connection, task: Task, answer: dict[str, Any]) -> bool:
        """Somebody decided, or what it waited for has come: it is performed again, with the answer. False: too late."""
        return self.again(connection, task, "queued", self._clock.now(), answer=answer, waiting_for="a worker")


_WHAT = {"failed": "failed", "cancelled": "was cancelled"}


def run_id(task: Task) -> str:
    """The engine's name of the task's valid run."""
    return run_name(task.id, task.run)


def new_task_id() -> str:
    return f"task_{secrets.token_hex(8)}"


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


def _nobody(_event: str) -> tuple[str, ...]:
    """Until somebody wants to be told."""
    return ()


def _nothing(_connection: Connection, _workstream: str) -> None:
    """Until workstreams are there to go on."""
