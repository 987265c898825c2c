"""A mail account that is looked after: every mail in its folders is processed once, as it comes in.

One process looks after an account at a time (`Held`). A look goes through the folders and hands each mail that is not
done to the pipeline; which mails were seen is stored with the mails themselves, so that a look may end anywhere. What
cannot be fetched is tried again, ever more rarely, after everything else.
"""

import asyncio
import logging
import random
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from chittycan.agents.agent import Ask
from chittycan.agents.mail_facts import facts_of
from chittycan.agents.pipeline import Terms, process
from chittycan.agents.report import Outcome, Report
from chittycan.clock import Clock
from chittycan.errors import ChittyError, Unavailable
from chittycan.integrations.email.imap import (
    AWAY,
    LIMITS,
    MOST_LISTED,
    REFUSED,
    Account,
    Connection,
    Limits,
    Listed,
)
from chittycan.integrations.email.imap_mail import fetch
from chittycan.integrations.email.message import parse
from chittycan.integrations.email.sources import Place, RawMail
from chittycan.store import mailboxes as rows
from chittycan.store.database import Database
from chittycan.store.inbox import StoredMail
from chittycan.store.workers import Worker
from chittycan.workstreams.workers import BEAT_SECONDS, dead, default_id, this_process

log = logging.getLogger(__name__)

SWEEP_SECONDS = 3_600.0  # between looks at all of a folder, for mails that turned up behind those seen
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0  # after a look that failed; doubled each time
REFUSED_PAUSE = 900.0  # a server that is asked with a wrong password too often locks the account
TAKEN_PAUSE = 10.0  # while another process looks after the account
BETWEEN_LOOKS = 1.0  # at least, whatever a server says is new
TRIES_AT_ONCE, LONGEST_WAIT = 3, 3_600.0  # for one mail that cannot be fetched

OnOutcome = Callable[[Outcome], None]
OnProblem = Callable[[str, ChittyError], None]  # the account and what is wrong with it


class Desk(Struct, frozen=True, kw_only=True):
    """What a watcher needs to do its work. `terms` gives the owner's terms and rules as they are now."""

    ask: Ask
    database: Database
    terms: Callable[[], Awaitable[Terms]]
    clock: Clock


class Watcher:
    """Looks after one account: `look` once, `run` for good. Everything raises ChittyError."""

    def __init__(
        self,
        account: Account,
        secret: Callable[[], str],
        desk: Desk,
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits = LIMITS,
        on_outcome: OnOutcome | None = None,
        on_problem: OnProblem | None = None,
    ) -> None:
        self.account, self._secret, self._desk = account, secret, desk
        self._tls, self._limits = tls, limits
        self._on_outcome, self._on_problem = on_outcome or _nothing, on_problem or _log
        self._me = this_process(default_id(), "mail")
        self._failures = 0
        self._swept: float | None = None  # when all of every folder was looked at; monotonic

    async def look(self, *, limit: int | None = None, dry_run: bool = False) -> Report:
        """Goes through all folders once, at most `limit` mails. A dry run stores nothing and needs nobody's leave.

        Raises Unavailable where the server fails, or another process looks after the account.
        """
        if dry_run:
            async with self._connected() as connection:
                return await self._look(connection, limit=limit, dry_run=True)
        async with self._held(), self._connected() as connection:
            return await self._look(connection, limit=limit)

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
                unforeseen = Unavailable(f"unforeseen: {type(bug).__name__}", code="unforeseen")
                await self._failed(unforeseen)
                await self._desk.clock.sleep(self._pause(unforeseen))

    async def _session(self) -> None:
        async with self._connected() as connection:
            while True:
                await self._look(connection)
                self._failures = 0
                await self._wait(connection)

    async def _wait(self, connection: Connection) -> None:
        """Until there is news, or it is time to look all the same: what a server tells is only a hint."""
        clock = self._desk.clock
        began = clock.monotonic()
        if connection.can_idle:
            # In IDLE the server tells of one folder: the first.
            if len(self.account.folders) > 1:
                await connection.examine(self.account.folders[0])
            await connection.idle(self.account.poll)
        if not connection.can_idle:
            await clock.sleep(self.account.poll)
        await clock.sleep(max(0.0, BETWEEN_LOOKS - (clock.monotonic() - began)))

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[Connection]:
        connection = Connection(self.account, self._limits)
        try:
            await connection.open(self._secret, self._tls)
            yield connection
        finally:
            await connection.close()

    # one look

    async def _look(self, connection: Connection, *, limit: int | None = None, dry_run: bool = False) -> Report:
        clock = self._desk.clock
        sweep = self._swept is None or clock.monotonic() - self._swept > SWEEP_SECONDS
        whole = Report(outcomes=[], seconds=0.0, dry_run=dry_run)
        for folder in self.account.folders:
            room = None if limit is None else limit - len(whole.outcomes)
            look = _Look(self, connection, folder, sweep=sweep, room=room, dry_run=dry_run)
            whole = _together(whole, await look.run())
        if not dry_run:
            await self._desk.database.run(rows.went_well, self.account.name, clock.now())
        if limit is None and sweep:
            self._swept = clock.monotonic()
        return whole

    @property
    def nonce(self) -> str:
        return self._me.nonce

    @property
    def desk(self) -> Desk:
        return self._desk

    def tell(self, outcome: Outcome) -> None:
        self._failures = 0  # something is coming in
        self._on_outcome(outcome)

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
        if error.code == REFUSED:
            return REFUSED_PAUSE * spread
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures - 1, 20)) * spread

    # one process at a time

    @asynccontextmanager
    async def _held(self) -> AsyncGenerator[None]:
        """As long as this process looks after the account. Raises Unavailable (LOST) where another one does."""
        database, account = self._desk.database, self.account.name
        holder = msgspec.json.encode(self._me).decode()
        other = await database.run(rows.claim, account, self.nonce, holder, self._desk.clock.now(), _gone)
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
                await database.run(rows.release, account, self.nonce)

    async def _beat(self) -> None:
        while True:
            await self._desk.clock.sleep(BEAT_SECONDS)
            with suppress(ChittyError):
                await self._desk.database.run(rows.beat, self.account.name, self.nonce, self._desk.clock.now())


class _Look:
    """One look at one folder."""

    def __init__(
        self,
        watcher: Watcher,
        connection: Connection,
        folder: str,
        *,
        sweep: bool,
        room: int | None,
        dry_run: bool,
    ) -> None:
        self._watcher, self._connection, self._folder = watcher, connection, folder
        self._account, self._desk = watcher.account, watcher.desk
        self._sweep, self._room, self._dry_run = sweep, room, dry_run
        self._validity = 0
        self._broken: Unavailable | None = None  # the connection, while mails were read

    async def run(self) -> Report:
        """Raises Unavailable; what is done by then is kept."""
        database, name = self._desk.database, self._account.name
        selected = await self._connection.examine(self._folder)
        self._validity = selected.validity
        here = (name, self._folder)
        after, anew = 0, False
        if not self._dry_run:
            now = self._desk.clock.now()
            after, anew = await database.run(rows.opened, *here, selected.validity, selected.next_uid, now)
            if self._sweep or await database.read(rows.due, *here, now):
                after = 0
        report = Report(outcomes=[], seconds=0.0, dry_run=self._dry_run)
        start = after
        while listed := await self._listed(selected.exists, after, start):
            report = _together(report, await self._work(listed))
            after = listed[-1].uid
            if len(listed) < MOST_LISTED or self._full(report):
                break
        if self._dry_run or self._full(report):
            return report
        if self._sweep or anew:
            report = _together(report, await self._finish())
            await database.run(rows.forget, *here, self._validity)
        return report

    def _full(self, report: Report) -> bool:
        return self._room is not None and len(report.outcomes) >= self._room

    async def _listed(self, exists: int, after: int, start: int) -> list[Listed]:
        """The next mails that are not done, in the order of their UIDs."""
        if not exists or self._room == 0:
            return []
        seen: set[int] = set()
        if not self._dry_run:
            database, now = self._desk.database, self._desk.clock.now()
            here = (self._account.name, self._folder, self._validity)
            seen = await database.read(rows.settled, *here, start, now)
        return await self._connection.unseen(after, seen)

    async def _work(self, listed: list[Listed]) -> Report:
        database, here = self._desk.database, (self._account.name, self._folder)
        if not self._dry_run:
            await database.run(rows.handled, *here, 0, len(listed))
        report = await self._process(self._mails(listed))
        if self._broken is not None:
            raise self._broken
        if not self._dry_run and self._room is None:
            await database.run(rows.handled, *here, listed[-1].uid, 0)
        return report

    async def _process(self, mails: "AsyncGenerator[RawMail] | list[StoredMail]") -> Report:
        desk = self._desk
        terms = replace(await desk.terms(), account=self._account.name, dry_run=self._dry_run, limit=self._room)
        terms = replace(terms, private=terms.private or self._account.private)
        return await process(mails, desk.ask, desk.database, terms, on_progress=self._watcher.tell, clock=desk.clock)

    async def _finish(self) -> Report:
        """What was seen, is not done, and cannot be fetched any more is done with what was kept of it."""
        left = await self._desk.database.read(rows.unfinished, self._account.name, self._folder)
        return await self._process(left)

    async def _mails(self, listed: list[Listed]) -> AsyncGenerator[RawMail]:
        """Ends early where the connection breaks, so that mails in hand can be finished."""
        for each in listed:
            place = Place(self._account.name, self._folder, self._validity, each.uid, self._watcher.nonce)
            try:
                raw = await fetch(self._connection, each, place, self._decide)
            except Unavailable as error:
                if error.code != AWAY:
                    raise
                self._broken = error
                await self._trouble(place, error)
                return
            if raw is not None:
                yield raw

    async def _decide(self, header: bytes, size: int) -> bool:
        """By the owner's rules on the headers alone; where they cannot be looked at, it is private."""
        try:
            terms = await self._desk.terms()  # a rule that was written a moment ago counts too
            if terms.private or self._account.private or not terms.rules:
                return terms.private or self._account.private
            mail = await asyncio.to_thread(parse, header)
            facts = facts_of(mail, now=self._desk.clock.now(), account=self._account.name, body=False)
            return bool(terms.rules.apply(facts | {"size": size}).values.get("private", False))
        except Exception as error:
            log.warning("mail_kept_private", extra={"fields": {"why": type(error).__name__}})
            return True

    async def _trouble(self, place: Place, error: Unavailable) -> None:
        if self._dry_run:
            return
        spot = rows.Spot(place.account, place.folder, place.validity, place.uid, place.nonce)
        await self._desk.database.run(rows.trouble, spot, error.message, self._desk.clock.now(), patience)


def patience(tries: int) -> float:
    """Seconds to leave a mail alone after so many tries to fetch it."""
    return 0.0 if tries < TRIES_AT_ONCE else min(LONGEST_WAIT, 30.0 * 2.0 ** min(tries - TRIES_AT_ONCE, 10))


def _together(one: Report, other: Report) -> Report:
    return Report(outcomes=[*one.outcomes, *other.outcomes], seconds=one.seconds + other.seconds, dry_run=one.dry_run)


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
