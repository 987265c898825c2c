"""`net.tasks`: submit work and walk away; look at it, decide, cancel, try again, wait for it.

`for_key` is the virtual key that asks: it sees and touches its own tasks alone; None is the owner, who sees all.
"""

import hashlib
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from chittycan.clock import Clock
from chittycan.errors import InvalidRequest, NotFound
from chittycan.store import tasks as rows
from chittycan.store import workstreams
from chittycan.store.database import Database
from chittycan.store.tasks import Wanted
from chittycan.workstreams.engine import Engine
from chittycan.workstreams.life import TERMINAL, Status
from chittycan.workstreams.record import Recorder, new_task_id, run_id
from chittycan.workstreams.rows import from_row, packed
from chittycan.workstreams.task import Task

MOST_PRIORITY = 100
LOOK_SECONDS = 0.2  # between two looks of whoever waits
LOOK_LONGEST = 2.0
EVERY = Wanted()


class Tasks:
    """The tasks of one database. Submitting needs no worker; somebody's `can serve` does the work."""

    def __init__(self, database: Database, engine: Engine, recorder: Recorder, clock: Clock) -> None:
        self._database, self._engine, self._recorder, self._clock = database, engine, recorder, clock

    async def submit(self, task: Task, *, after: Collection[str] = (), idempotency_key: str | None = None) -> Task:
        """Stores a task (its `id` may be "") for the next free worker; the task as it is now.

        The same `idempotency_key` again gives back the task of the first time. Raises InvalidRequest: the key was
        used for something else, `after` names no task of the same submitter.
        """
        now = self._clock.now()
        digest = _digest(task, after)
        fresh = replace(task, id=task.id or new_task_id(), created=now, updated=now, since=now)
        _check(fresh, now)

        def store(connection: Connection) -> Task:
            if idempotency_key is not None:
                thing, known = rows.claim_key(connection, task.key_id or "", idempotency_key, fresh.id, digest)
                if known != digest:
                    raise InvalidRequest("this idempotency key was used for another task", param="idempotency_key")
                if thing != fresh.id:
                    return _found(connection, thing, task.key_id)
            for each in after:
                _found(connection, each, task.key_id, param="after")
            self._recorder.add(connection, fresh, after)
            return _found(connection, fresh.id, None)

        await self._engine.prepare()
        return await self._database.run(store)

    async def get(self, task_id: str, *, for_key: str | None = None) -> Task:
        """Raises NotFound."""
        return await self._database.read(_found, task_id, for_key)

    async def list(
        self,
        wanted: Wanted = EVERY,
        *,
        cursor: str | None = None,
        limit: int = 50,
        for_key: str | None = None,
    ) -> tuple[list[Task], str | None]:
        """The newest first, and the cursor of the next page, None at the end."""
        asked = wanted if for_key is None else replace(wanted, key_id=for_key)
        found = await self._database.read(rows.listing, asked, before=_place(cursor), limit=limit + 1)
        tasks = [from_row(each) for each in found[:limit]]
        return tasks, f"{tasks[-1].created!r}~{tasks[-1].id}" if len(found) > limit else None

    async def cancel(self, task_id: str, *, reason: str | None = None, for_key: str | None = None) -> Task:
        """Ends a task that has not ended; what runs is stopped within seconds. One that has ended stays as it is."""

        def end(connection: Connection) -> Task:
            task = _held(connection, task_id, for_key)
            self._recorder.cancel(connection, task, reason)
            return _found(connection, task_id, None)

        await self._engine.prepare()
        task = await self._database.run(end)
        await self._engine.drop([run_id(task)])
        return task

    async def retry(self, task_id: str, *, for_key: str | None = None) -> Task:
        """A failed or cancelled task again, from its beginning. Raises InvalidRequest where it has not failed."""

        def again(connection: Connection) -> Task:
            task = _held(connection, task_id, for_key)
            if task.status not in ("failed", "cancelled"):
                raise InvalidRequest(f"{task_id} is {task.status}: only what failed or was cancelled can be retried")
            now = self._clock.now()
            late = task.deadline is not None and task.deadline <= now
            values: dict[str, Any] = {"ended": None, "error": None, "result": None, "failures": 0, "answer": None,
                                      "question": None, "deadline": None if late else task.deadline}  # fmt: skip
            self._recorder.again(connection, task, "queued", now, **values)
            return _found(connection, task_id, None)

        await self._engine.prepare()
        return await self._database.run(again)

    async def answer(
        self, task_id: str, answer: dict[str, Any], *, expected: Status, for_key: str | None = None
    ) -> Task:
        """What a person decided (`expected` waiting_for_approval), or an event brought (queued).

        Raises NotFound, and InvalidRequest where the task is not waiting for it (any more).
        """

        def decide(connection: Connection) -> Task:
            task = _held(connection, task_id, for_key)
            if task.status != expected or not self._recorder.answer(connection, task, answer):
                raise InvalidRequest(f"{task_id} is {task.status} and waits for no answer")
            return _found(connection, task_id, None)

        await self._engine.prepare()
        return await self._database.run(decide)

    async def wait(self, task_id: str, *, timeout: float | None = None, for_key: str | None = None) -> Task:
        """The task once it has ended, or as it is after `timeout` seconds."""
        last = None
        async for task in self.watch(task_id, timeout=timeout, for_key=for_key):
            last = task
        assert last is not None
        return last

    async def watch(
        self, task_id: str, *, timeout: float | None = None, for_key: str | None = None
    ) -> AsyncIterator[Task]:
        """The task now and whenever it changes, until it has ended. Raises NotFound."""
        until = None if timeout is None else self._clock.now() + timeout
        seen: Task | None = None
        pause = LOOK_SECONDS
        while True:
            task = await self.get(task_id, for_key=for_key)
            if task != seen:
                seen, pause = task, LOOK_SECONDS
                yield task
            if task.status in TERMINAL or (until is not None and self._clock.now() >= until):
                return
            await self._clock.sleep(pause)
            pause = min(pause * 1.3, LOOK_LONGEST)


def _found(connection: Connection, task_id: str, for_key: str | None, *, param: str = "id") -> Task:
    found = rows.get(connection, task_id)
    if found is None or (for_key is not None and found["key_id"] != for_key):
        raise NotFound(f"no task {task_id[:80]!r}", param=param)
    return from_row(found)


def _held(connection: Connection, task_id: str, for_key: str | None) -> Task:
    """The task as it is now, with its workstream locked: the order in which everyone takes them."""
    task = _found(connection, task_id, for_key)
    if task.workstream is None:
        return task
    workstreams.lock(connection, task.workstream)
    return _found(connection, task_id, for_key)


def _check(task: Task, now: float) -> None:
    if not -MOST_PRIORITY <= task.priority <= MOST_PRIORITY:
        raise InvalidRequest(f"a priority is from {-MOST_PRIORITY} to {MOST_PRIORITY}", param="priority")
    if task.deadline is not None and task.deadline <= max(now, task.at or 0):
        raise InvalidRequest("the deadline is before the task could begin", param="deadline")


def _digest(task: Task, after: Sequence[str] | Collection[str]) -> str:
    """Of what was asked for, whenever it was. A deadline is counted from the moment of asking, so it is left out."""
    asked = packed(msgspec.structs.asdict(replace(task, id="", deadline=None)))
    return hashlib.sha256(msgspec.json.encode([asked, sorted(after)], order="sorted")).hexdigest()


def _place(cursor: str | None) -> tuple[float, str] | None:
    if cursor is None:
        return None
    created, mark, last = cursor.partition("~")
    try:
        if not mark:
            raise ValueError
        return float(created), last
    except ValueError:
        raise InvalidRequest("this is no cursor of a listing", param="cursor") from None
