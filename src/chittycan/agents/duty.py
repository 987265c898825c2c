"""Looking after one source of mail for good: one process at a time, and what fails is tried again.

Its row names the process that does. One that is gone or silent loses the source to the next that asks.
"""

import asyncio
import logging
import random
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from chittycan.agents.claims import Claims
from chittycan.clock import Clock
from chittycan.errors import ChittyError, Unavailable
from chittycan.integrations.email.credentials import REVOKED
from chittycan.integrations.email.imap import REFUSED
from chittycan.store import mailboxes as rows
from chittycan.store.database import Database

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0  # after a look that failed; doubled each time
REFUSED_PAUSE = 900.0  # a server that is asked with a wrong password too often locks the account
TAKEN_PAUSE = 10.0  # while another process looks after the source

OnProblem = Callable[[str, ChittyError], None]  # the source and what is wrong with it


def logged(source: str, error: ChittyError) -> None:
    if error.code != rows.LOST:  # of several processes one does it
        log.warning("mail_source_failed", extra={"fields": {"source": source, "why": error.message}})


class Duty:
    """Of this process for the source of that name. `failures`: looks that failed since something went well."""

    def __init__(self, source: str, database: Database, clock: Clock, on_problem: OnProblem = logged) -> None:
        self.source, self._database, self._clock, self.on_problem = source, database, clock, on_problem
        self._claims = Claims(rows.mail_accounts, database, clock)
        self.failures = 0

    @property
    def nonce(self) -> str:
        """Of this process, for this source."""
        return self._claims.nonce

    async def run(self, session: Callable[[], Awaitable[None]]) -> None:
        """Runs `session` again and again, as long as nobody else does; it looks until something fails.

        Whoever cancels it ends it, though what it then still had to write down fails.
        """
        task = asyncio.current_task()
        while True:
            problem: ChittyError | None = None
            try:
                async with self.held():
                    await session()
            except ChittyError as error:
                problem = error
            except Exception as bug:  # the other sources and the next mails are not to suffer from it
                problem = Unavailable(f"unforeseen: {_where(bug)}", code="unforeseen")
            if task is not None and task.cancelling():
                return
            if problem is not None:
                await self.failed(problem)
                await self._clock.sleep(self.pause(problem))

    async def went_well(self) -> None:
        """A look at all of the source did."""
        self.failures = 0
        await self._database.run(rows.went_well, self.source, self._clock.now())

    async def failed(self, error: ChittyError) -> None:
        """Says so, where it is said."""
        self.failures += 1
        if self.failures == 1 or error.code == REFUSED:
            self.on_problem(self.source, error)
        if error.code == rows.LOST:
            return
        with suppress(ChittyError):
            now = self._clock.now()
            await self._database.run(rows.went_wrong, self.source, error.message, error.fix, now)

    def pause(self, error: ChittyError) -> float:
        """Seconds until it is tried again."""
        spread = random.uniform(0.5, 1.0)  # noqa: S311 (spreads what many would do at once)
        if error.code == rows.LOST:
            return TAKEN_PAUSE * spread
        if error.code in (REFUSED, REVOKED):
            return REFUSED_PAUSE * spread
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self.failures - 1, 20)) * spread

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None]:
        """As long as this process looks after the source. Raises Unavailable (LOST) where another one does."""
        async with self._claims.held(self.source) as there:
            if there is not None:
                problem = f"{self.source} is looked after by process {there.pid} on {there.host}"
                raise Unavailable(problem, fix="Its mail is processed there; or stop that one.", code=rows.LOST)
            yield


def _where(bug: Exception) -> str:
    """What it is and where, without what it says: that may be out of a mail."""
    frames = traceback.extract_tb(bug.__traceback__)
    place = f" at {frames[-1].filename.rpartition('chittycan/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(bug).__name__}{place}"
