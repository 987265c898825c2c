"""Durable work, wired: the queue, what it holds, and, in a worker, who does it.

`Network` has one `Durable`. What only submits or looks needs no more than its construction; `work` makes this
process a worker.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from chittycan.clock import Clock
from chittycan.errors import Unavailable
from chittycan.store import tasks as task_rows
from chittycan.store import workers as worker_rows
from chittycan.store.database import Database
from chittycan.store.workers import Worker
from chittycan.workstreams.advance import Advancer
from chittycan.workstreams.batches import Batches
from chittycan.workstreams.engine import Engine, Function
from chittycan.workstreams.events import Event
from chittycan.workstreams.files import Files
from chittycan.workstreams.life import OPEN
from chittycan.workstreams.record import RUN, Recorder
from chittycan.workstreams.responses import Responses
from chittycan.workstreams.runner import Runner
from chittycan.workstreams.schedules import RUN_SCHEDULE, Schedules
from chittycan.workstreams.streams import Streams
from chittycan.workstreams.sweeper import Sweeper
from chittycan.workstreams.task import Performers
from chittycan.workstreams.tasks import Tasks
from chittycan.workstreams.waiting import Waiting
from chittycan.workstreams.workers import Presence, default_id, living, this_process

if TYPE_CHECKING:  # mail and agents: most commands need neither
    from chittycan.agents.given import Given
    from chittycan.agents.mail_task import Submit

Chore = Callable[[], Coroutine[Any, Any, None]]

CHORE_SECONDS = 5.0  # before what a worker does beside its work is begun anew, where it failed


class Durable:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self.engine = Engine(database.url)
        self.recorder = Recorder(self.engine, clock)
        self.advancer = Advancer(self.recorder, clock)
        self.recorder.advance = self.advancer.advance
        self.tasks = Tasks(database, self.engine, self.recorder, clock)
        self.waiting = Waiting(database, self.engine, self.recorder, clock)
        self.files = Files(database, clock)
        self.batches = Batches(database, self.engine, self.files, clock)
        self.streams = Streams(database, self.engine, self.recorder, self.advancer, clock, self._given)
        self.schedules = Schedules(database, self.engine, self.streams, clock)
        self.responses = Responses(database, self.tasks, clock)
        self.functions: dict[str, Function] = {}  # of the engine, by name; parts add theirs before `work`
        self.chores: list[Chore] = []  # what a worker does beside its work
        self.retention: float | None = None  # seconds that what has ended is kept
        self.sweeper = Sweeper(
            database, self.engine, self.recorder, self.advancer, clock, lambda: self.retention, self._met
        )
        self.runner: Runner | None = None
        self.presence: Presence | None = None  # among the workers, where this process is one
        self.regions: frozenset[str] = frozenset()  # that it works in
        self.begun = asyncio.Event()  # set once this process takes work
        self.replaced = asyncio.Event()  # set once another worker has taken this one's name
        self.bug: Callable[[BaseException], None] = _nothing  # told of what should not have happened
        self._chores: list[asyncio.Task[None]] = []

    async def work(
        self,
        performers: Callable[[Worker], Performers],
        worker: str | None = None,
        *,
        role: str = "all",
        regions: Sequence[str] = (),
    ) -> None:
        """Do work in this process, as `worker` (a name of its own by default), until `close`.

        What is bound to a region it does where that is one of `regions`.

        `performers` makes those of this very worker.
        Raises UsageError where another process goes by that name, and Unavailable where this one works already.
        """
        await self.engine.prepare()
        me, self.regions = this_process(worker or default_id(), role, regions), frozenset(regions)
        presence = Presence(self._database, self.engine, self._clock, me, self._replaced)
        self.runner = Runner(self._database, self.recorder, self._clock, me.id, performers(me), regions)
        await presence.register()
        try:
            await self.engine.adopt()
            ours: dict[str, Function] = {RUN: self.runner.run, RUN_SCHEDULE: self.schedules.fire}
            await self.engine.start(me.id, {**self.functions, **ours}, regions)
        except BaseException:
            await presence.leave()
            raise
        self.presence = presence
        self.begun.set()
        loop = asyncio.get_running_loop()
        sweep = partial(self.sweeper.run, presence)
        endless: list[Chore] = [presence.beat, sweep, self.runner.watch, self.waiting.watch, self.files.sweep]
        endless += [self.batches.sweep, self.schedules.watch, *self.chores]
        self._chores = [loop.create_task(endlessly(chore, self._clock, self._met)) for chore in endless]

    async def prepared(self) -> bool:
        """Makes ready for submitting; False where the extra is missing. Raises Unavailable where it fails."""
        try:
            self.engine.check()
        except Unavailable:
            return False
        await self.engine.prepare()
        return True

    async def mail_submitter(self, **wishes: Any) -> "Submit | None":
        """Takes mails to whoever does durable work (`mail_task.submitter`); None where the extra is missing."""
        from chittycan.agents.mail_task import submitter

        if not await self.prepared():
            return None
        return submitter(self.recorder, self._clock, self.tasks.ruling, **wishes)

    def tell(self, connection: Connection, event: Event, also: Sequence[str]) -> None:
        """Has an event told to whom the owner wants told, and to these addresses; the engine must be prepared."""
        self.recorder.tell(connection, event, also=also)

    def check_working(self) -> None:
        """Raises Unavailable where this process takes no work."""
        if self.replaced.is_set() or not self.engine.running:
            raise Unavailable("this process takes no work now")

    async def figures(self) -> tuple[dict[str, int], int]:
        """Open tasks by status, and how many workers there are. Raises Unavailable."""
        found = await self._database.read(task_rows.counts, statuses=OPEN)
        return {status: found.get(status, 0) for status in OPEN}, len(await living(self._database))

    async def workers(self) -> list[tuple[Worker, int]]:
        """All workers, the dead that were not cleared away yet too, and how many tasks each is at."""
        return await self._database.read(worker_rows.with_tasks)

    @property
    def busy(self) -> int:
        """How many tasks this process is at."""
        return 0 if self.runner is None else self.runner.busy

    async def drain(self, seconds: float) -> None:
        """Takes no more work, and lets what runs come to its end for so long. `close` hands back what is left."""
        await self.engine.drain(seconds)

    def _given(self, base: Path | None) -> "Given":
        from chittycan.agents.given import Given

        return Given(self._database, base, self._clock)

    def _met(self, error: BaseException) -> None:
        self.bug(error)

    async def _replaced(self) -> None:
        """Another process has this one's name, because this one was silent for too long: the work is that one's."""
        self.replaced.set()
        await self.engine.stop()

    async def close(self) -> None:
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        self._chores.clear()
        presence, self.presence = self.presence, None
        if presence is not None:
            await self.engine.stop()
            await presence.leave()
        await self.engine.close()
        self.runner = None


async def endlessly(chore: Chore, clock: Clock, bug: Callable[[BaseException], None]) -> None:
    """A chore must outlive whatever it meets: without it work would stop, and nobody would know why.

    Whoever cancels it ends it, though what it then still had to write down fails.
    """
    task = asyncio.current_task()
    while True:
        try:
            await chore()
            return
        except* Unavailable:
            pass  # the database is away
        except* Exception as broken:
            for error in broken.exceptions:
                bug(error)
        if task is not None and task.cancelling():
            return
        await clock.sleep(CHORE_SECONDS)


def _nothing(_error: BaseException) -> None:
    """Until somebody wants to know."""
