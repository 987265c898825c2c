"""Durable work, wired: the queue, what it holds, and, in a worker, who does it.

`Network` has one `Durable`. What only submits or looks needs no more than its construction; `work` makes this
process a worker.
"""

import asyncio
import secrets
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from chittycan.clock import Clock
from chittycan.store.database import Database
from chittycan.workstreams.advance import Advancer
from chittycan.workstreams.engine import Engine, Function
from chittycan.workstreams.files import Files
from chittycan.workstreams.record import RUN, Recorder
from chittycan.workstreams.runner import Runner
from chittycan.workstreams.task import Performers
from chittycan.workstreams.tasks import Tasks


class Durable:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self.engine = Engine(database.url)
        self.recorder = Recorder(self.engine, clock)
        self.advancer = Advancer(self.recorder, clock)
        self.recorder.advance = self.advancer.advance
        self.tasks = Tasks(database, self.engine, self.recorder, clock)
        self.files = Files(database, clock)
        self.functions: dict[str, Function] = {}  # of the engine, by name; parts add theirs before `work`
        self.chores: list[Callable[[], Coroutine[Any, Any, None]]] = []  # what a worker does beside its work
        self.runner: Runner | None = None
        self._chores: list[asyncio.Task[None]] = []

    async def work(self, performers: Performers, worker: str | None = None) -> None:
        """Do work in this process, as `worker` (a name of its own by default), until `close`."""
        name = worker or f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self.runner = Runner(self._database, self.recorder, self._clock, name, performers)
        await self.engine.start(name, {**self.functions, RUN: self.runner.run})
        loop = asyncio.get_running_loop()
        self._chores = [loop.create_task(chore()) for chore in (self.runner.watch, self.files.sweep, *self.chores)]

    async def close(self) -> None:
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        self._chores.clear()
        await self.engine.close()
        self.runner = None
