"""This process's claims on mails: of all processes that have a new mail before them, one asks models about it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import msgspec

from chittycan.agents.duty import gone
from chittycan.clock import Clock
from chittycan.errors import ChittyError
from chittycan.store import mail_claims as rows
from chittycan.store.database import Database
from chittycan.workstreams.workers import BEAT_SECONDS, default_id, this_process


class Claims:
    """Of one run over mails. Every few seconds it says that it is there; a process that is gone holds nothing."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        me = this_process(default_id(), "mail")
        self._nonce, self._holder = me.nonce, msgspec.json.encode(me).decode()
        self._held = 0
        self._beating: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def held(self, mail_id: str) -> AsyncGenerator[bool]:
        """Whether the mail is this run's to ask about, until the end of the block."""
        if not await self._database.run(rows.claim, mail_id, self._nonce, self._holder, self._clock.now(), gone):
            yield False
            return
        self._held += 1
        if self._beating is None:
            self._beating = asyncio.get_running_loop().create_task(self._beat())
        try:
            yield True
        finally:
            self._held -= 1
            if self._held == 0:
                self._beating.cancel()
                self._beating = None
            with suppress(ChittyError):
                await self._database.run(rows.release, mail_id, self._nonce)

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(BEAT_SECONDS)
            with suppress(ChittyError):
                await self._database.run(rows.beat, self._nonce, self._clock.now())
