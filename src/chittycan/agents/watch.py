"""A mail account that is looked after: every mail in its folders is processed once, as it comes in.

One process looks after an account at a time (`duty`), and no mail of the account is stored by another one.
"""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from chittycan.agents.duty import Duty, OnProblem, logged
from chittycan.agents.look import Desk, Look, OnOutcome
from chittycan.agents.mail_acts import MailActs
from chittycan.agents.report import Outcome, Report
from chittycan.errors import Unavailable
from chittycan.integrations.email.credentials import Credential, log_in
from chittycan.integrations.email.imap import LIMITS, NO_FOLDER, Account, Connection, Limits

SWEEP_SECONDS = 3_600.0  # between looks at all of a folder, for mails that turned up behind those seen
BETWEEN_LOOKS = 1.0  # at least, whatever a server says is new


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
        self._on_outcome = on_outcome or _nothing
        self.duty = Duty(account.name, desk.database, desk.clock, on_problem or logged)
        self._swept: float | None = None  # when all of every folder was looked at; monotonic

    async def look(self, *, limit: int | None = None, dry_run: bool = False, keep: bool = True) -> Report:
        """Goes through all folders once, at most `limit` mails. A dry run stores nothing and needs nobody's leave.

        `keep`: the report has what became of each mail, not only how many.
        Raises Unavailable where the server fails, or another process looks after the account.
        """
        report = Report(keep=keep, dry_run=dry_run)
        began = self._desk.clock.monotonic()
        if dry_run:
            async with self._connected() as connection:
                await self._look(connection, report.add, limit=limit, dry_run=True)
        else:
            async with self.duty.held(), self._connected() as connection:
                await self._look(connection, report.add, limit=limit)
                while await self._act(connection):
                    pass
        report.seconds = self._desk.clock.monotonic() - began
        return report

    async def run(self) -> None:
        """Looks whenever there is news, or every `poll` seconds, as long as it runs; what fails is tried again."""
        await self.duty.run(self._session)

    async def _session(self) -> None:
        self._swept = None
        async with self._connected() as connection:
            while True:
                await self._look_or_say(connection)
                while await self._act(connection):
                    await self._look_or_say(connection)  # and opens the first folder again
                await self._wait(connection)

    async def _look_or_say(self, connection: Connection) -> None:
        """A folder that is not there is said, and keeps no mail in the others waiting."""
        try:
            await self._look(connection, _nothing)
        except Unavailable as error:
            if error.code != NO_FOLDER:
                raise
            await self.duty.failed(error)

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
            self.duty.failures = 0  # something is coming in
            keep(outcome)
            self._on_outcome(outcome)

        look = Look(
            self._desk, self.account, self.duty.nonce, connection, tell, sweep=sweep, room=limit, dry_run=dry_run
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
        if limit is None and sweep:
            self._swept = clock.monotonic()
        if missing is not None:
            raise missing
        if not dry_run:
            await self.duty.went_well()

    async def _act(self, connection: Connection) -> bool:
        """What rules and the owner want done to the mails there; whether there was anything."""
        return await MailActs(self._desk, self.account, self.duty.nonce, connection).carry_out()


def _nothing(_: Outcome) -> None:
    pass
