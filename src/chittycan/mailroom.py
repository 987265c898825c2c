"""The mail accounts that are looked after while the program runs: one watcher for each, as the configuration says.

A watcher knows nothing of files and rules; here it gets the owner's terms and rules as they are at that moment.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec
from msgspec.structs import replace

from chittycan import mailbox
from chittycan.agents.agent import Ask
from chittycan.agents.pipeline import Terms
from chittycan.agents.watch import Desk, OnOutcome, Watcher
from chittycan.clock import Clock
from chittycan.config import Settings
from chittycan.errors import ChittyError
from chittycan.rulebook import RuleBook
from chittycan.store import mailboxes as rows
from chittycan.store.database import Database

LOOK_SECONDS = 1.0  # between looks at the configuration


class Mailroom:
    """Watches the accounts with `watch`, as long as `run` runs. `settings` and `base` are asked again and again."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        env: Mapping[str, str],
        ask: Ask,
        database: Database,
        clock: Clock,
    ) -> None:
        self._settings, self._env, self._ask, self._database, self._clock = settings, env, ask, database, clock
        self._rules = RuleBook(database, clock)
        self._at_work: dict[str, tuple[bytes, asyncio.Task[None]]] = {}

    def watcher(self, name: str, base: Terms | None = None, on_outcome: OnOutcome | None = None) -> Watcher:
        """For one account by its name; `base` are the terms instead of the owner's. Raises ConfigError."""
        settings = self._settings()
        account = mailbox.accounts(settings)[name]

        async def terms() -> Terms:
            await self._rules.refresh()
            own = base or mailbox.terms(self._settings())
            # What cannot be read may be a rule that keeps mail private.
            private = own.private or not self._rules.readable
            return replace(own, rules=self._rules.book, private=private)

        desk = Desk(ask=self._ask, database=self._database, terms=terms, clock=self._clock)
        secret = mailbox.secret_of(settings, name, self._env)
        return Watcher(account, secret, desk, on_outcome=on_outcome)

    async def run(self) -> None:
        """Keeps the watchers in step with the configuration."""
        try:
            while True:
                self._keep_in_step()
                await self._clock.sleep(LOOK_SECONDS)
        finally:
            for _, task in self._at_work.values():
                task.cancel()
            await asyncio.gather(*(task for _, task in self._at_work.values()), return_exceptions=True)

    def _keep_in_step(self) -> None:
        try:
            wanted = mailbox.accounts(self._settings(), watched=True)
        except ChittyError:  # said by `can doctor`; what is at work stays so
            return
        for name in [name for name in self._at_work if name not in wanted]:
            self._at_work.pop(name)[1].cancel()
        for name, account in wanted.items():
            shape = msgspec.json.encode((account, self._settings().integrations[name]["password"]))
            known = self._at_work.get(name)
            if known is not None and known[0] == shape and not known[1].done():
                continue
            if known is not None:
                known[1].cancel()
            self._at_work[name] = (shape, asyncio.get_running_loop().create_task(self.watcher(name).run()))


async def ages(settings: Settings, database: Database, now: float) -> dict[str, float]:
    """Seconds since each watched account was last looked at with success; infinite where it never was."""
    with suppress(ChittyError):
        watched = mailbox.accounts(settings, watched=True)
        known = {row.account: row.succeeded for row in await database.read(rows.accounts)} if watched else {}
        return {name: now - (known.get(name) or float("-inf")) for name in watched}
    return {}
