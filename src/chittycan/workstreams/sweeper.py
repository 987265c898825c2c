"""Looks after all work of one database, from within the workers: what is late, what was lost, what is old.

One worker does it for all (`Presence.leads`); should two take themselves for that one, nothing is harmed. Where there
is nothing to do a sweep is a handful of look-ups in indexes.
"""

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

from sqlalchemy import Connection

from chittycan.clock import Clock
from chittycan.errors import DeadlinePassed, Unavailable
from chittycan.store import sweep, workstreams
from chittycan.store import tasks as rows
from chittycan.store.database import Database
from chittycan.workstreams.advance import Advancer
from chittycan.workstreams.engine import Engine
from chittycan.workstreams.life import OPEN, TERMINAL, Status
from chittycan.workstreams.record import Recorder, run_id
from chittycan.workstreams.rows import described, from_row
from chittycan.workstreams.task import Task, run_name
from chittycan.workstreams.workers import Presence

P = ParamSpec("P")

SWEEP_SECONDS = 5.0
SELDOM = 12  # sweeps from one look at what is old, and at this process's own, to the next
LOST_SECONDS = 60.0  # that a task may be without a run until it counts as lost
ENGINE_SECONDS = 3600.0  # that the engine remembers what is over
# How many are looked at in one sweep
LATE, UNMOVED, STREAMS, OLD = 200, 500, 10, 500
WAITING: tuple[Status, ...] = tuple(each for each in OPEN if each != "running")


class Sweeper:
    """`retention` says for how many seconds what has ended is kept; None: for good. `bug` is told of what no look at
    one thing should have met; the others are looked at all the same."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        recorder: Recorder,
        advancer: Advancer,
        clock: Clock,
        retention: Callable[[], float | None],
        bug: Callable[[BaseException], None],
    ) -> None:
        self._database, self._engine, self._recorder = database, engine, recorder
        self._advancer, self._clock, self._retention, self._bug = advancer, clock, retention, bug
        self._places: dict[str, sweep.Place] = {}  # how far the walks through what is open have come
        self._rounds = 0

    async def run(self, presence: Presence) -> None:
        """For as long as the worker is at work."""
        while True:
            await self._clock.sleep(SWEEP_SECONDS)
            try:
                await self.look(presence)
            except Unavailable:
                continue

    async def look(self, presence: Presence) -> None:
        """Raises Unavailable."""
        self._rounds += 1
        seldom = self._rounds % SELDOM == 0
        if seldom:
            await self._engine.find(presence.me.id, self._clock.now() - LOST_SECONDS)
        if not presence.leads:
            return
        await self.late(presence.living)
        await self.lost()
        await self.streams()
        if seldom:
            await self._engine.adopt()
            await self.old()

    # what is late

    async def late(self, living: set[str]) -> int:
        """Ends tasks whose deadline has passed; those that a living worker is at, it ends by itself."""
        now = self._clock.now()
        found = [from_row(each) for each in await self._database.read(rows.late, WAITING, now, LATE)]
        running = [from_row(each) for each in await self._database.read(rows.late, ("running",), now, LATE)]
        found += [each for each in running if each.worker not in living]
        ended = [each for each in found if await self._tried(self._end_late, each)]
        await self._engine.drop([run_id(each) for each in ended])
        return len(ended)

    def _end_late(self, connection: Connection, seen: Task) -> bool:
        task = self._held(connection, seen)
        if task is None or task.status in TERMINAL or task.deadline is None or task.deadline > self._clock.now():
            return False
        waited = f"; it waited for {task.waiting_for}" if task.waiting_for else ""
        error = DeadlinePassed(f"the task's deadline passed while it was {task.status}{waited}")
        return self._recorder.end(connection, task, "failed", error=described(error))

    # what was lost

    async def lost(self) -> int:
        """Gives a new run to tasks that should have one and have none; those that wait for a model have `Waiting`."""
        before = self._clock.now() - LOST_SECONDS
        running = await self._database.read(sweep.unmoved, "running", before, sweep.FIRST, UNMOVED)
        queued = await self._database.read(sweep.unmoved, "queued", before, self._place("queued"), UNMOVED)
        self._move_on("queued", [(each["created"], each["id"]) for each in queued], UNMOVED)
        # Without a time it was tried already and waits for an event.
        found = running + [each for each in queued if each["tries"] == 0 or each["due"] is not None]
        kept = await self._engine.open([run_name(each["id"], each["run"]) for each in found])
        without = [each for each in found if run_name(each["id"], each["run"]) not in kept]
        return sum([await self._tried(self._run_anew, each, before) for each in without])

    def _run_anew(self, connection: Connection, seen: dict[str, Any], before: float) -> bool:
        found = rows.get(connection, seen["id"])
        task = None if found is None else self._held(connection, from_row(found))
        if (
            task is None
            or task.run != seen["run"]
            or task.updated >= before
            or task.status not in ("queued", "running")
        ):
            return False
        if any(each["status"] != "done" for each in rows.before(connection, task.id)):
            return False
        at = max(self._clock.now(), task.at or 0)
        return self._recorder.again(connection, task, "queued", at, waiting_for="a worker: its run was lost")

    # workstreams

    async def streams(self) -> None:
        """Goes on with some of those that are open: a paused one has no task whose end would tell of its deadline."""
        for status in ("running", "paused"):
            found = await self._database.read(sweep.open_streams, status, self._place(status), STREAMS)
            self._move_on(status, found, STREAMS)
            for _, each in found:
                await self._tried(self._advancer.advance, each)

    # what is old

    async def old(self) -> None:
        """Removes what ended long ago, and sooner what the engine knows of it."""
        now, kept = self._clock.now(), self._retention()
        while await self._engine.forget_over(now - ENGINE_SECONDS, OLD) == OLD:
            pass
        if kept is None:
            return
        while tasks := await self._database.read(sweep.old_tasks, now - kept, OLD):
            await self._database.run(sweep.remove_tasks, tasks)
        while streams := await self._database.read(sweep.old_streams, now - kept, STREAMS):
            await self._database.run(sweep.remove_streams, streams)

    async def _tried(
        self, work: Callable[Concatenate[Connection, P], bool | None], *args: P.args, **more: P.kwargs
    ) -> bool:
        """What `work` says, in a transaction; False where it fails. Raises Unavailable."""
        try:
            return bool(await self._database.run(work, *args, **more))
        except Unavailable:
            raise
        except Exception as error:
            self._bug(error)
            return False

    # walks

    def _held(self, connection: Connection, seen: Task) -> Task | None:
        """The task, locked after its workstream: the order in which everyone takes them."""
        if seen.workstream is not None:
            workstreams.lock(connection, seen.workstream)
        found = rows.lock(connection, seen.id)
        return None if found is None else from_row(found)

    def _place(self, walk: str) -> sweep.Place:
        return self._places.get(walk, sweep.FIRST)

    def _move_on(self, walk: str, seen: list[sweep.Place], limit: int) -> None:
        self._places[walk] = seen[-1] if len(seen) == limit else sweep.FIRST
