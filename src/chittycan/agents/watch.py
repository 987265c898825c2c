"""A mail account that is looked after: every mail in its folders is processed once, as it comes in.

One process looks after an account at a time: its row names the process, and no mail of the account is stored by
another one. A process that is gone or silent loses the account to the next that asks.
"""

import asyncio
import logging
import random
import ssl
import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
from msgspec.structs import replace

from chittycan.agents.look import Desk, Look, OnOutcome
from chittycan.agents.mail_acts import MailActs
from chittycan.agents.report import Outcome, Report
from chittycan.errors import ChittyError, Unavailable
from chittycan.integrations.email.credentials import REVOKED, Credential, log_in
from chittycan.integrations.email.imap import LIMITS, NO_FOLDER, REFUSED, Account, Connection, Limits
from chittycan.store import mailboxes as rows
from chittycan.store.workers import Worker
from chittycan.workstreams.workers import BEAT_SECONDS, dead, default_id, this_process

log = logging.getLogger(__name__)

SWEEP_SECONDS = 3_600.0  # between looks at all of a folder, for mails that turned up behind those seen
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0  # after a look that failed; doubled each time
REFUSED_PAUSE = 900.0  # a server that is asked with a wrong password too often locks the account
TAKEN_PAUSE = 10.0  # while another process looks after the account
BETWEEN_LOOKS = 1.0  # at least, whatever a server says is new

OnProblem = Callable[[str, ChittyError], None]  # the account and what is wrong with it


class Watcher:
    """Looks after one account: `look` once, `run` for good. Everything raises ChittyError."""

    def __init__(
        self,
        account: Account,
        credential: Credential,
        desk: Desk,
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits = LIMITS,
        on_outcome: OnOutcome | None = None,
        on_problem: OnProblem | None = None,
    ) -> None:
        self.account, self._credential, self._desk = account, credential, desk
        self._tls, self._limits = tls, limits
        self._on_outcome, self._on_problem = on_outcome or _nothing, on_problem or _log
        self._me = this_process(default_id(), "mail")
        self._failures = 0
        self._swept: float | None = None  # when all of every folder was looked at; monotonic

    async def look(self, *, limit: int | None = None, dry_run: bool = False) -> Report:
        """Goes through all folders once, at most `limit` mails. A dry run stores nothing and needs nobody's leave.

        Raises Unavailable where the server fails, or another process looks after the account.
        """
        outcomes: list[Outcome] = []
        began = self._desk.clock.monotonic()
        if dry_run:
            async with self._connected() as connection:
                await self._look(connection, outcomes.append, limit=limit, dry_run=True)
        else:
            async with self._held(), self._connected() as connection:
                await self._look(connection, outcomes.append, limit=limit)
                while await self._act(connection):
                    pass
        return Report(outcomes=outcomes, seconds=self._desk.clock.monotonic() - began, dry_run=dry_run)

    async def run(self) -> None:
        """Looks whenever there is news, or every `poll` seconds, as long as it runs; what fails is tried again."""
        while True:
            try:
                async with self._held():
                    await self._session()
            except ChittyError as error:
                await self._failed(error)
                await self._desk.clock.sleep(self._pause(error))
            except Exception as bug:  # the other accounts and the next mails are not to suffer from it
                unforeseen = Unavailable(f"unforeseen: {_where(bug)}", code="unforeseen")
                await self._failed(unforeseen)
                await self._desk.clock.sleep(self._pause(unforeseen))

    async def _session(self) -> None:
        async with self._connected() as connection:
            while True:
                await self._look(connection, _nothing)
                while await self._act(connection):
                    await self._look(connection, _nothing)  # and opens the first folder again
                self._failures = 0
                await self._wait(connection)

    async def _wait(self, connection: Connection) -> None:
        """Until there is news, or it is time to look all the same: what a server tells is only a hint."""
        clock = self._desk.clock
        began = clock.monotonic()
        if connection.can_idle:
            await connection.idle(self.account.poll)
        if not connection.can_idle:
            await clock.sleep(self.account.poll)
        await clock.sleep(max(0.0, BETWEEN_LOOKS - (clock.monotonic() - began)))

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[Connection]:
        connection = await log_in(self.account, self._credential, self._limits, self._tls)
        try:
            yield connection
        finally:
            await connection.close()

    # one look

    async def _look(
        self, connection: Connection, keep: OnOutcome, *, limit: int | None = None, dry_run: bool = False
    ) -> None:
        clock = self._desk.clock
        sweep = self._swept is None or clock.monotonic() - self._swept > SWEEP_SECONDS

        def tell(outcome: Outcome) -> None:
            self._failures = 0  # something is coming in
            keep(outcome)
            self._on_outcome(outcome)

        look = Look(
            self._desk, self.account, self._me.nonce, connection, tell, sweep=sweep, room=limit, dry_run=dry_run
        )
        missing: Unavailable | None = None
        # The first comes last: the server tells of news in the folder that was opened last.
        for folder in reversed(self.account.folders):
            try:
                await look.at(folder)
            except Unavailable as error:
                if error.code != NO_FOLDER:
                    raise
                missing = error
        if missing is not None:
            raise missing
        if not dry_run:
            await self._desk.database.run(rows.went_well, self.account.name, clock.now())
        if limit is None and sweep:
            self._swept = clock.monotonic()

    async def _act(self, connection: Connection) -> bool:
        """What rules and the owner want done to the mails there; whether there was anything."""
        return await MailActs(self._desk, self.account, self._me.nonce, connection).carry_out()

    # what goes wrong

    async def _failed(self, error: ChittyError) -> None:
        self._failures += 1
        self._swept = None
        if self._failures == 1 or error.code == REFUSED:
            self._on_problem(self.account.name, error)
        if error.code == rows.LOST:
            return
        with suppress(ChittyError):
            account, now = self.account.name, self._desk.clock.now()
            await self._desk.database.run(rows.went_wrong, account, error.message, error.fix, now)

    def _pause(self, error: ChittyError) -> float:
        spread = random.uniform(0.5, 1.0)  # noqa: S311 (spreads what many would do at once)
        if error.code == rows.LOST:
            return TAKEN_PAUSE * spread
        if error.code in (REFUSED, REVOKED):
            return REFUSED_PAUSE * spread
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures - 1, 20)) * spread

    # one process at a time

    @asynccontextmanager
    async def _held(self) -> AsyncGenerator[None]:
        """As long as this process looks after the account. Raises Unavailable (LOST) where another one does."""
        database, account = self._desk.database, self.account.name
        holder = msgspec.json.encode(self._me).decode()
        other = await database.run(rows.claim, account, self._me.nonce, holder, self._desk.clock.now(), _gone)
        if other is not None:
            there = msgspec.json.decode(other, type=Worker)
            problem = f"{account} is looked after by process {there.pid} on {there.host}"
            raise Unavailable(problem, fix="Its mail is processed there; or stop that one.", code=rows.LOST)
        beating = asyncio.get_running_loop().create_task(self._beat())
        try:
            yield
        finally:
            beating.cancel()
            with suppress(ChittyError):
                await database.run(rows.release, account, self._me.nonce)

    async def _beat(self) -> None:
        while True:
            await self._desk.clock.sleep(BEAT_SECONDS)
            with suppress(ChittyError):
                await self._desk.database.run(rows.beat, self.account.name, self._me.nonce, self._desk.clock.now())


def _gone(holder: str, silence: float) -> bool:
    try:
        there = msgspec.json.decode(holder, type=Worker)
    except msgspec.DecodeError:
        return True
    return dead(replace(there, silence=silence))


def _nothing(_: Outcome) -> None:
    pass


def _log(account: str, error: ChittyError) -> None:
    if error.code != rows.LOST:  # of several processes one does it
        log.warning("mail_source_failed", extra={"fields": {"source": account, "why": error.message}})


def _where(bug: Exception) -> str:
    """What it is and where, without what it says: that may be out of a mail."""
    frames = traceback.extract_tb(bug.__traceback__)
    place = f" at {frames[-1].filename.rpartition('chittycan/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(bug).__name__}{place}"
