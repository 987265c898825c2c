"""Processes that do durable work: each says every few seconds that it is alive; what the silent were at, others do.

Whether a worker is silent is judged by the database's clock alone, so hosts need not agree about the time. On one
machine nobody waits for silence: a process that is gone is dead at once.

A worker that was only frozen, or cut off, may come back to find its work given to others. Nothing is recorded twice
then: a task takes the outcome of whoever is first (`record`), and the queue that of whoever has it now.
"""

import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection

from chittycan.clock import Clock
from chittycan.errors import Unavailable, UsageError
from chittycan.store import tasks
from chittycan.store import workers as rows
from chittycan.store.database import Database
from chittycan.store.workers import Worker
from chittycan.version import VERSION
from chittycan.workstreams.engine import Engine

BEAT_SECONDS = 5.0
AWAY_SECONDS = 1.0  # between tries to be heard while the database is away
SILENT_SECONDS = 15.0  # after which a worker counts as dead
ID_SOURCE = "CHITTY_WORKER_ID"


def default_id() -> str:
    """A name that no other process has."""
    return f"{socket.gethostname()}-{secrets.token_hex(4)}"


def this_process(worker_id: str, role: str, regions: Sequence[str] = ()) -> Worker:
    return Worker(
        id=worker_id, nonce=secrets.token_hex(8), host=socket.gethostname(), boot=_boot(), pid=os.getpid(),
        birth=_birth(os.getpid()), version=VERSION, role=role, region=",".join(regions) or None,
    )  # fmt: skip


def dead(worker: Worker) -> bool:
    """Silent for too long, or a process of this machine that is gone."""
    return worker.silence > SILENT_SECONDS or _gone(worker)


async def living(database: Database) -> list[Worker]:
    """The workers that are at work now, the longest at it first."""
    return [each for each in await database.read(rows.listing) if not dead(each)]


def owner_of(worker: Worker) -> str:
    """What belongs to this very process, and to none after it of the same name, bears this name."""
    return f"{worker.id}:{worker.nonce}"


async def owner_lives(database: Database, owner: str) -> bool:
    return any(owner_of(each) == owner for each in await living(database))


class Presence:
    """This process among the workers. `lost` is called once if another process has taken its id over."""

    def __init__(
        self, database: Database, engine: Engine, clock: Clock, me: Worker, lost: Callable[[], Awaitable[None]]
    ) -> None:
        self._database, self._engine, self._clock = database, engine, clock
        self.me, self._lost = me, lost
        self._heard_since = clock.monotonic()  # since when it has not missed a beat
        self.living = {me.id}  # the ids of those at work, as of the last look
        self.leads = False  # it is the one that looks after what nobody is at: the longest at work

    async def register(self) -> None:
        """Takes the id. Raises UsageError where a living process has it."""
        other = await self._database.run(self._register)
        if other is not None:
            raise UsageError(
                f"The worker {other.id!r} is at work already: process {other.pid} on {other.host}.",
                fix=f"Stop that one, or give this one another name: --worker-id, or {ID_SOURCE}.",
            )

    def _register(self, connection: Connection) -> Worker | None:
        """The living process that has the id, if there is one."""
        other = rows.get(connection, self.me.id)
        if other is not None and other.nonce != self.me.nonce and not dead(other):
            return other
        if rows.put(connection, self.me, instead_of=None if other is None else other.nonce):
            return None
        return rows.get(connection, self.me.id)

    async def leave(self) -> None:
        """Hands back what it was at, and is no worker any more. Whoever finds its row later does the same for it."""
        with suppress(Unavailable):
            if await self._database.run(rows.beat, self.me.id, self.me.nonce):
                await self._engine.recover([self.me.id])
                await self._database.run(self._leave)

    def _leave(self, connection: Connection) -> None:
        tasks.hand_back(connection, self.me.id, self._clock.now())
        rows.remove(connection, [self.me.nonce])

    async def beat(self) -> None:
        """Says that it is alive and looks after the others, for as long as the worker is at work."""
        while True:
            try:
                if not await self._beat():
                    return
                await self.recover()
                pause = BEAT_SECONDS
            except Unavailable:
                self._heard_since = self._clock.monotonic()  # the others were not heard either
                pause = AWAY_SECONDS
            await self._clock.sleep(pause)

    async def _beat(self) -> bool:
        """False where the id is another's now."""
        if await self._database.run(rows.beat, self.me.id, self.me.nonce):
            return True
        # Somebody took it for dead. Where nobody has its place, it takes that again.
        if await self._database.run(self._register) is None:
            return True
        self.leads = False
        await self._lost()
        return False

    async def recover(self) -> set[str]:
        """What the dead were at goes back into the queue; their ids."""
        # Before the list: who takes work is in it by then, however lately it came.
        executors = await self._engine.executors()
        found = await self._database.read(rows.listing)
        # After an outage of the database everybody's last word is old.
        patient = self._clock.monotonic() - self._heard_since < SILENT_SECONDS
        gone = [each for each in found if _gone(each) or (dead(each) and not patient)]
        left = [each for each in found if each not in gone]
        self.leads = bool(left) and left[0].nonce == self.me.nonce
        self.living = {each.id for each in left}
        # Somebody may have begun something after it was taken for dead, and then died.
        ids = {each.id for each in gone} | (executors - self.living)
        if ids:
            await self._engine.recover(ids)
            await self._database.run(rows.remove, [each.nonce for each in gone])
        return ids


def _gone(worker: Worker) -> bool:
    """Whether it was a process of this very machine and is one no more."""
    if worker.host != socket.gethostname() or worker.boot != _boot():
        return False
    if worker.birth is not None:
        return _birth(worker.pid) != worker.birth
    try:
        os.kill(worker.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _boot() -> str:
    """Which start of the machine this is, and in which space of process numbers (each container has its own)."""
    try:
        started = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{started} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _birth(pid: int) -> int | None:
    """When a process began, in ticks since the machine did. None: it is gone, or nobody tells (not on Linux)."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in ("Z", "X") else int(fields[18])
