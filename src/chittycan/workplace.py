"""Durable work that this process does itself: by order, beside what a server does, or where nobody else does it."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from chittycan.auth.keys import Keys
from chittycan.clock import Clock
from chittycan.config import Settings
from chittycan.context.sessions import Sessions
from chittycan.durable import Durable
from chittycan.errors import Unavailable
from chittycan.gateway.service import Gateway
from chittycan.rulebook import RuleBook
from chittycan.store.database import Database
from chittycan.store.workers import Worker
from chittycan.telemetry import Telemetry
from chittycan.workstreams.workers import BEAT_SECONDS, living, owner_lives, owner_of

if TYPE_CHECKING:
    from chittycan.agents.performers.parts import Parts
    from chittycan.outside import Outside


@dataclass(slots=True)
class Workplace:
    """What work is done with here. Its methods raise Unavailable where the extra `workstreams` is missing."""

    durable: Durable
    gateway: Gateway
    database: Database
    sessions: Sessions
    keys: Keys
    rules: RuleBook
    settings: Callable[[], Settings]
    env: Mapping[str, str]
    clock: Clock
    telemetry: Telemetry
    _outside: "Outside | None" = None  # the ways out, where this process does work
    _standing_in: asyncio.Task[None] | None = None

    async def begin(self, worker: str | None, role: str) -> None:
        """Works under the name `worker`. Raises Unavailable where it does so already, UsageError where another does."""
        from chittycan.agents.performers.table import performers

        regions = self.settings().regions
        await self.durable.work(lambda me: performers(self._parts(me)), worker, role=role, regions=regions)

    async def serve(self, worker: str | None, role: str) -> None:
        """Works as `Network.serve_work` says."""
        try:
            self.durable.engine.check()
            await self._begin_patiently(worker, role)
            await self.durable.replaced.wait()
            raise Unavailable(
                "another process has taken this worker's name, because nothing was heard of this one for too long",
                fix="Start it again; give each worker a name of its own.",
            )
        except Unavailable as error:
            if role == "worker":
                raise
            self.telemetry.warn("no_durable_work", why=error.message, fix=error.fix)

    async def ensure(self) -> bool:
        """Works where nobody else does, now or later; True where it does so now."""
        working = await self._alone()
        if self._standing_in is None:
            self._standing_in = asyncio.get_running_loop().create_task(self._stand_in())
        return working

    def use(self, settings: Settings) -> None:
        if self._outside is not None:
            self._outside.use(settings)

    async def close(self) -> None:
        if self._standing_in is not None:
            self._standing_in.cancel()
            await asyncio.gather(self._standing_in, return_exceptions=True)
        await self.durable.close()
        if self._outside is not None:
            self._outside.close()

    async def _begin_patiently(self, worker: str | None, role: str) -> None:
        while True:
            try:
                return await self.begin(worker, role)
            except Unavailable:  # the database is away
                await self.clock.sleep(BEAT_SECONDS)

    async def _alone(self) -> bool:
        if self.durable.engine.running or await living(self.database):
            return self.durable.engine.running
        await self.begin(None, "temporary")
        return True

    async def _stand_in(self) -> None:
        while not self.durable.engine.running:
            await self.clock.sleep(BEAT_SECONDS)
            with suppress(Unavailable):
                await self._alone()

    def _parts(self, me: Worker) -> "Parts":
        """What performers are made of, in this worker."""
        from chittycan import mailbox, mailroom
        from chittycan.agents.acts import Acts
        from chittycan.agents.performers.parts import Parts
        from chittycan.mail_tokens import RefreshTokens
        from chittycan.outside import Outside
        from chittycan.workstreams.effects import Effects

        newer = RefreshTokens(self.database, self.clock)
        self._outside = outside = Outside(self.settings(), self.env, self.clock, newer)
        alive = partial(owner_lives, self.database)
        effects = Effects(self.database, owner=owner_of(me), clock=self.clock, alive=alive)
        return Parts(
            gateway=self.gateway, database=self.database, sessions=self.sessions, key_of=self.keys.of_id,
            files=self.durable.files, acts=Acts(effects, outside, self.clock), effects=effects,
            terms=lambda: mailbox.terms(self.settings()), audience=self.durable.responses, clock=self.clock,
            enforcing=lambda: self.settings().privacy_mode == "enforce",
            mail_terms=lambda account: mailroom.terms_of(self.settings(), account, self.rules, tell=self.durable.tell),
            reread=mailroom.reread(self.settings, self.env, newer),
        )  # fmt: skip
