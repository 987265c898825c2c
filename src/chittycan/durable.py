"""Durable work, wired: the queue, what it holds, and, in a worker, who does it.

`Network` has one `Durable`. What only submits or looks needs no more than its construction; `work` makes this
process a worker.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from chittycan.clock import Clock
from chittycan.store.database import Database
from chittycan.workstreams.advance import Advancer
from chittycan.workstreams.engine import Engine, Function
from chittycan.workstreams.files import Files
from chittycan.workstreams.record import RUN, Recorder
from chittycan.workstreams.responses import Responses
from chittycan.workstreams.runner import Runner
from chittycan.workstreams.task import Performers
from chittycan.workstreams.tasks import Tasks
from chittycan.workstreams.waiting import Waiting
from chittycan.workstreams.workers import Presence, default_id, this_process


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
        self.responses = Responses(database, self.tasks, clock)
        self.functions: dict[str, Function] = {}  # of the engine, by name; parts add theirs before `work`
        self.chores: list[Callable[[], Coroutine[Any, Any, None]]] = []  # what a worker does beside its work
        self.runner: Runner | None = None
        self.presence: Presence | None = None  # among the workers, where this process is one
        self.replaced = asyncio.Event()  # set once another worker has taken this one's name
        self._chores: list[asyncio.Task[None]] = []

    async def work(
        self, performers: Performers, worker: str | None = None, *, role: str = "all", region: str | None = None
    ) -> None:
        """Do work in this process, as `worker` (a name of its own by default), until `close`.

        Raises UsageError where another process goes by that name, and Unavailable where this one works already.
        """
        await self.engine.prepare()
        me = this_process(worker or default_id(), role, region)
        presence = Presence(self._database, self.engine, self._clock, me, self._replaced)
        self.runner = Runner(self._database, self.recorder, self._clock, me.id, performers)
        await presence.register()
        try:
            await self.engine.start(me.id, {**self.functions, RUN: self.runner.run})
        except BaseException:
            await presence.leave()
            raise
        self.presence = presence
        loop = asyncio.get_running_loop()
        endless = (presence.beat, self.runner.watch, self.waiting.watch, self.files.sweep, *self.chores)
        self._chores = [loop.create_task(chore()) for chore in endless]

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
