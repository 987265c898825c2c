"""Slots: how many calls may be open at once under a limit that all processes share.

A process leases slots from the database and hands them out from memory, so that a busy process asks the database
when its need grows and twice a second, never per call:

    take (memory) → call → release (memory)          the usual call
    take says None → wait (first come, first served) until a slot is free here or the database has one

Fairness: each process says what it could use, and what it holds beyond its fair share goes back as its calls end.
Idle slots go back within a second. A process that died keeps its slots until its lease ends; one that could not
renew its lease hands nothing out any more, since others may have what it held.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from chittycan.clock import Clock
from chittycan.errors import Unavailable
from chittycan.store import slots as rows
from chittycan.store.database import Database

log = logging.getLogger(__name__)

TICK_SECONDS = 0.5  # how often leases are renewed and others' needs are heard of
POLL_SECONDS = 0.2  # how often a process that has less than its share asks again
LEASE_SECONDS = 20.0  # a lease that was not renewed for so long belonged to a process that died
REFUSAL_SECONDS = 0.2  # how long it is remembered that the database has no more
HANG_SECONDS = 3.0  # how much longer than its time a call waits for a database that hangs
MARGIN_SECONDS = 2.0  # before its lease ends a process stops handing out: clocks differ


class _Turn(NamedTuple):
    """A call that waits, until `deadline` (monotonic seconds)."""

    slot: "asyncio.Future[Slot | None]"
    deadline: float


class _Pool:
    """One limit in this process. Of `held` slots `busy` are in use."""

    __slots__ = (
        "asking", "busy", "error", "held", "limit", "peak", "quota", "refused", "returning", "scope", "sure", "told",
        "until", "waiting",
    )  # fmt: skip

    def __init__(self, scope: str, limit: int) -> None:
        self.scope, self.limit = scope, limit
        self.held = self.busy = self.quota = 0
        self.peak = 0  # the most that was needed at once since the last tick
        self.told = 0  # what the database heard of our need last
        self.sure: int | None = None  # while the database is being asked: what it will leave us in any case
        self.until = float("-inf")  # Unix seconds: when the lease ends
        self.waiting: deque[_Turn] = deque()
        self.asking: asyncio.Task[None] | None = None
        self.returning: asyncio.Task[None] | None = None
        self.refused = float("-inf")  # monotonic seconds: until then the database is known to have no more
        self.error: Unavailable | None = None  # the database's last answer

    @property
    def need(self) -> int:
        return self.busy + len(self.waiting)

    @property
    def asleep(self) -> bool:
        return not (self.held or self.need or self.peak or self.told or self.asking or self.returning)

    def free(self, now: float) -> bool:
        """Whether one more call may begin. `now`: Unix seconds."""
        mine = self.held if self.sure is None else self.sure
        return self.busy < min(mine, self.quota) and self.alive(now)

    def alive(self, now: float) -> bool:
        """Whether what is held is surely still ours."""
        return now < self.until - MARGIN_SECONDS

    def ask(self, now: float) -> rows.Ask:
        """Within its quota a process keeps what it needed lately; beyond it, only what is in use."""
        lately = max(self.peak, self.need)
        keep = max(self.busy, min(self.held, self.quota, lately)) if self.alive(now) else self.busy
        return rows.Ask(self.scope, self.limit, keep, min(self.limit, lately))


class Slot:
    """One call's place under one limit, until it is released."""

    __slots__ = ("_pool", "_slots")

    def __init__(self, slots: "Slots", pool: _Pool) -> None:
        self._slots = slots
        self._pool: _Pool | None = pool

    def release(self) -> None:
        """Releasing twice is releasing once."""
        pool, self._pool = self._pool, None
        if pool is not None:
            self._slots._freed(pool)


class Slots:
    """The slots of one process, `owner`. `run` must be running for leases to be renewed and given back."""

    def __init__(self, database: Database, clock: Clock, owner: str) -> None:
        self._database, self._clock, self.owner = database, clock, owner
        self._pools: dict[str, _Pool] = {}
        self._alone = asyncio.Lock()  # one question to the database at a time

    @property
    def waiting(self) -> int:
        """How many calls wait for a slot in this process."""
        return sum(len(pool.waiting) for pool in self._pools.values())

    async def held(self) -> dict[str, int]:
        """By scope, how many slots living processes hold, idle ones included. Raises Unavailable."""
        return await self._database.read(rows.held, self._clock.now())

    # calls

    def take(self, scope: str, limit: int) -> Slot | None:
        """A slot that this process holds already; None: ask `wait`."""
        pool = self._pools.get(scope)
        if pool is None or pool.limit != limit or pool.waiting or not pool.free(self._clock.now()):
            return None
        return self._hand_out(pool)

    async def wait(self, scope: str, limit: int, seconds: float) -> Slot | None:
        """The next free slot, first come, first served; None where none came free within so many seconds.

        Raises Unavailable where none came free because the database does not answer.
        """
        pool = self._pools.setdefault(scope, _Pool(scope, limit))
        now = self._clock.monotonic()
        if pool.limit != limit:
            pool.limit, pool.refused = limit, now
        if seconds <= 0 and now < pool.refused:
            return None
        turn = _Turn(asyncio.get_running_loop().create_future(), now + seconds)
        pool.waiting.append(turn)
        pool.peak = max(pool.peak, pool.need)
        if pool.asking is None:
            pool.asking = asyncio.create_task(self._ask(pool))
        try:
            async with asyncio.timeout(seconds + HANG_SECONDS):
                return await turn.slot
        except TimeoutError:
            _take_back(turn)
            raise Unavailable("the database does not answer") from None
        except asyncio.CancelledError:
            _take_back(turn)
            raise
        finally:
            if turn in pool.waiting:
                pool.waiting.remove(turn)

    def _hand_out(self, pool: _Pool) -> Slot:
        pool.busy += 1
        pool.peak = max(pool.peak, pool.need)
        return Slot(self, pool)

    def _freed(self, pool: _Pool) -> None:
        pool.busy -= 1
        self._settle(pool)

    # the database

    async def run(self) -> None:
        """Renew and give back until cancelled; then `close` gives everything back."""
        while True:
            await self._clock.sleep(TICK_SECONDS)
            await self.tick()

    async def tick(self) -> None:
        """Renew what was in use since the last tick, give back the rest, hear of others' needs."""
        for scope in [scope for scope, pool in self._pools.items() if pool.asleep]:
            del self._pools[scope]
        if self._pools:
            await self._exchange(list(self._pools.values()), ticking=True)

    async def close(self) -> None:
        """Give everything back. Nobody waits any more."""
        if not self._pools:
            return
        tasks = [task for pool in self._pools.values() for task in (pool.asking, pool.returning) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for pool in self._pools.values():
            pool.held = 0
            _send_away(pool, list(pool.waiting))
        self._pools.clear()
        try:
            await self._database.run(rows.surrender, self.owner)
        except Unavailable as error:
            log.warning("slots could not be given back: %s", error)

    async def _ask(self, pool: _Pool) -> None:
        """Ask the database until nobody waits any more."""
        try:
            while pool.waiting:
                need = pool.need
                await self._exchange([pool])
                if need < min(pool.need, pool.limit):  # more calls came meanwhile
                    continue
                now = self._clock.monotonic()
                _send_away(pool, [turn for turn in pool.waiting if turn.deadline <= now])
                if pool.waiting:
                    pause = POLL_SECONDS if pool.error or pool.held < pool.quota else TICK_SECONDS
                    nearest = min(turn.deadline for turn in pool.waiting)
                    await self._clock.sleep(min(pause, nearest - now))
        except Exception as error:  # a fault of ours must not keep calls waiting for ever
            for turn in pool.waiting:
                if not turn.slot.done():
                    turn.slot.set_exception(error)
            raise
        finally:
            pool.asking = None

    async def _exchange(self, pools: Sequence[_Pool], ticking: bool = False) -> None:
        """Tell the database what we need and what we give back, and hand out what it leaves us."""
        async with self._alone:
            now = self._clock.now()
            asks = [pool.ask(now) for pool in pools]
            for pool, ask in zip(pools, asks, strict=True):
                pool.sure = ask.keep
                if ticking:
                    pool.peak = pool.need
            try:
                standings = await self._database.run(rows.exchange, self.owner, asks, now, now + LEASE_SECONDS)
            except Unavailable as error:
                log.warning("slots could not be renewed: %s", error)
                for pool, ask in zip(pools, asks, strict=True):
                    # Nobody knows whether the database heard us; what we would have kept is ours in either case.
                    pool.held, pool.error = min(pool.held, ask.keep), error
                return
            finally:
                for pool in pools:
                    pool.sure = None
            for pool, ask in zip(pools, asks, strict=True):
                standing = standings[pool.scope]
                pool.held, pool.quota, pool.told = standing.held, standing.quota, max(ask.keep, ask.wanted)
                pool.until, pool.error = now + LEASE_SECONDS, None
                if pool.held < ask.wanted:
                    pool.refused = self._clock.monotonic() + REFUSAL_SECONDS
                self._settle(pool)

    def _settle(self, pool: _Pool) -> None:
        """Hand out what is free, and give back what is beyond our share: others wait for it."""
        free_at = self._clock.now()
        while pool.waiting and pool.free(free_at):
            turn = pool.waiting.popleft()
            if not turn.slot.done():
                turn.slot.set_result(self._hand_out(pool))
        if pool.held > max(pool.busy, pool.quota) and pool.returning is None:
            pool.returning = asyncio.get_running_loop().create_task(self._give_back(pool))

    async def _give_back(self, pool: _Pool) -> None:
        try:
            while pool.held > max(pool.busy, pool.quota) and pool.error is None:
                await self._exchange([pool])
        finally:
            pool.returning = None


def _send_away(pool: _Pool, turns: Sequence[_Turn]) -> None:
    """These calls have waited long enough."""
    for turn in turns:
        pool.waiting.remove(turn)
        if turn.slot.done():
            continue
        if pool.error is not None:
            turn.slot.set_exception(pool.error)
        else:
            turn.slot.set_result(None)


def _take_back(turn: _Turn) -> None:
    """A call left; it may have been given its slot at that very moment."""
    if turn.slot.done() and not turn.slot.cancelled() and turn.slot.exception() is None:
        slot = turn.slot.result()
        if slot is not None:
            slot.release()
