"""A mailbox on this machine that is looked after: looked at every so often, each mail processed once."""

import asyncio
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from chittycan.agents import answered
from chittycan.agents.duty import Duty, OnProblem, logged
from chittycan.agents.look import Desk, OnOutcome
from chittycan.agents.pipeline import process
from chittycan.agents.report import Outcome, Report
from chittycan.integrations.email.sources import Source
from chittycan.integrations.email.unread import Unread


class Local(Struct, frozen=True, kw_only=True):
    """A mailbox on this machine as the owner set it up. `private`: only models marked private may see its mail."""

    name: str
    type: str
    path: str
    poll: float = 120.0  # seconds between looks
    alarm: float = 900.0  # seconds without a look that succeeded, after which something is wrong
    private: bool = False


class LocalWatcher:
    """`opened` gives the mailbox as it is now; it raises ChittyError where there is none."""

    def __init__(
        self,
        local: Local,
        opened: Callable[[], Source],
        desk: Desk,
        *,
        on_outcome: OnOutcome | None = None,
        on_problem: OnProblem | None = None,
    ) -> None:
        self.local, self._opened, self._desk = local, opened, desk
        self._on_outcome = on_outcome
        self.duty = Duty(local.name, desk.database, desk.clock, on_problem or logged)
        self._unread: tuple[Source, Unread] | None = None
        self._unreadable: set[str] = set()

    async def run(self) -> None:
        """Looks every `poll` seconds, as long as it runs; what fails is tried again."""
        await self.duty.run(self._session)

    async def _session(self) -> None:
        while True:
            await self.look(keep=False)
            await self.duty.went_well()
            await self._desk.clock.sleep(self.local.poll)

    async def look(self, *, keep: bool = True) -> Report:
        """At what was not done before; `keep` as in `Report`. Raises ChittyError."""
        source = await asyncio.to_thread(self._opened)
        if self._unread is None or self._unread[0] != source:
            self._unread = source, Unread(source)
        unread = self._unread[1]

        def tell(outcome: Outcome) -> None:
            self.duty.failures = 0
            if outcome.state == "elsewhere":  # whoever has it may die
                return
            if outcome.state != "unreadable":
                unread.done(outcome.key)
            elif outcome.key in self._unreadable:  # it is tried again, and said once
                return
            else:
                self._unreadable.add(outcome.key)
            if self._on_outcome is not None:
                self._on_outcome(outcome)

        desk, terms = self._desk, await self._desk.terms()
        terms = replace(terms, account=self.local.name, private=terms.private or self.local.private)
        report = await process(
            unread, desk.ask, desk.database, terms, on_progress=tell, clock=desk.clock, submit=desk.submit, keep=keep
        )
        await answered.look_here(source, desk.database, desk.clock.now())
        return report
