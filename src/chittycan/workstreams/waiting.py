"""Looks after the tasks that wait for a model: one such watch is in every worker.

`waves` decides in the transactions in which tries end. What no such transaction sees is seen here, every few seconds
and with one look into an index per chain: the one that was to try was cancelled or its run was lost, a configuration
names other models, a model server has appeared. Several watches at once are harmless.
"""

import random
from contextlib import suppress

from sqlalchemy import Connection

from chittycan.clock import Clock
from chittycan.errors import Unavailable
from chittycan.store import tasks
from chittycan.store import waiting as rows
from chittycan.store.database import Database
from chittycan.workstreams.engine import Engine
from chittycan.workstreams.record import Recorder
from chittycan.workstreams.rows import from_row
from chittycan.workstreams.task import run_name

CHECK_SECONDS = 2.0
LATE_SECONDS = 10.0  # a task that is due and not begun for so long may have lost its run
MOST_AT_ONCE = 100
IN_ORDER = ("ENQUEUED", "PENDING")  # statuses of a run that begins by itself


class Waiting:
    def __init__(self, database: Database, engine: Engine, recorder: Recorder, clock: Clock) -> None:
        self._database, self._engine, self._recorder, self._clock = database, engine, recorder, clock
        self._changes, self._tried = 1, 0  # while nobody worked anything may have come back

    def look_again(self) -> None:
        """Models may have come that were not there: one task of every chain tries within seconds."""
        self._changes += 1

    async def watch(self) -> None:
        """Runs as long as the worker does."""
        while True:
            with suppress(Unavailable):
                await self.check()
            await self._clock.sleep(CHECK_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 (spreads the workers)

    async def check(self) -> None:
        """One look at every chain. Raises Unavailable."""
        if (changes := self._changes) != self._tried:
            await self._database.run(self._try_all)
            self._tried = changes
        amiss, late = await self._database.read(self._seen)
        for chain in amiss:
            await self._database.run(self._recorder.waves.ensure, chain)
        if late:
            await self._mend(late)

    def _try_all(self, connection: Connection) -> None:
        for chain in rows.waited_for(connection):
            self._recorder.waves.look(connection, chain, afresh=True)

    def _seen(self, connection: Connection) -> tuple[list[str], list[rows.Waiter]]:
        """The chains that something may be amiss with, and tasks that should have begun."""
        now = self._clock.now()
        known = {each.chain: each for each in rows.all_chains(connection)}
        waited_for = rows.waited_for(connection)
        amiss, late = [each for each in known if each not in waited_for], []
        for name in waited_for:
            earliest = rows.first(connection, name)
            if earliest is None:
                continue
            if earliest["due"] < now - LATE_SECONDS:
                late += rows.overdue(connection, name, now - LATE_SECONDS, MOST_AT_ONCE)
            elif self._recorder.waves.silent(connection, known.get(name, rows.Chain(chain=name)), earliest):
                amiss.append(name)
        return amiss, late[:MOST_AT_ONCE]

    async def _mend(self, late: list[rows.Waiter]) -> None:
        """Gives a new run to those of `late` whose run the engine has lost."""
        names = [run_name(each["id"], each["run"]) for each in late]
        await self._database.run(self._engine.wake, names)  # where the clocks of two workers differ
        statuses = await self._engine.statuses(names)
        for each in late:
            if statuses.get(run_name(each["id"], each["run"])) not in IN_ORDER:
                await self._database.run(self._renew, each["id"], each["run"])

    def _renew(self, connection: Connection, task_id: str, run: int) -> None:
        found = tasks.get(connection, task_id)
        if found is not None and found["run"] == run and found["status"] == rows.WAITING:
            task = from_row(found)
            self._recorder.again(
                connection, task, "waiting_for_model", self._clock.now(), waiting_for=task.waiting_for, chain=task.chain
            )
