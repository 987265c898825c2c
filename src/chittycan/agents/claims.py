"""This process's claims: of all processes that could do something, one does, as long as it is there."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import msgspec
from msgspec.structs import replace
from sqlalchemy import Table

from chittycan.clock import Clock
from chittycan.errors import ChittyError, Unavailable
from chittycan.store import claims as rows
from chittycan.store.database import Database
from chittycan.store.workers import Worker
from chittycan.workstreams.workers import AWAY_SECONDS, BEAT_SECONDS, dead, default_id, this_process


class Claims:
    """On rows of a table (`store.claims`). Every few seconds it says that it is there; who is gone holds nothing."""

    def __init__(self, table: Table, database: Database, clock: Clock) -> None:
        self._table, self._database, self._clock = table, database, clock
        self._me = this_process(default_id(), "mail")
        self._held = 0
        self._beating: asyncio.Task[None] | None = None

    @property
    def nonce(self) -> str:
        """What this one's rows bear."""
        return self._me.nonce

    @asynccontextmanager
    async def held(self, key: str) -> AsyncGenerator[Worker | None]:
        """None: the row is this one's until the end of the block. Else who has it."""
        other = await self._claim(key)
        if other is not None:
            yield msgspec.json.decode(other, type=Worker)
            return
        self._held += 1
        if self._beating is None:
            self._beating = asyncio.get_running_loop().create_task(self._beat())
        try:
            yield None
        finally:
            self._held -= 1
            if self._held == 0:
                self._beating.cancel()
                self._beating = None
            await self._release(key)

    async def _claim(self, key: str) -> str | None:
        holder = msgspec.json.encode(self._me).decode()
        try:
            return await self._database.run(rows.claim, self._table, key, self.nonce, holder, gone)
        except asyncio.CancelledError:  # it may be claimed all the same, and nobody would give it back
            await self._release(key)
            raise

    async def _release(self, key: str) -> None:
        with suppress(ChittyError):
            await self._database.run(rows.release, self._table, key, self.nonce)

    async def _beat(self) -> None:
        pause = BEAT_SECONDS
        while True:
            await self._clock.sleep(pause)
            try:
                await self._database.run(rows.beat, self._table, self.nonce)
                pause = BEAT_SECONDS
            except Unavailable:
                pause = AWAY_SECONDS


def gone(holder: str, silence: float) -> bool:
    """Whether the process that wrote `holder`, and was last heard of so many seconds ago, is no more."""
    try:
        there = msgspec.json.decode(holder, type=Worker)
    except msgspec.DecodeError:
        return True
    return dead(replace(there, silence=silence))
