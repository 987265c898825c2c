"""One look at one folder of a mail account: every mail in it that is not done is handed to the pipeline.

Which mails were seen is stored with the mails themselves, so that a look may end anywhere. What cannot be fetched is
tried again, ever more rarely.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

from msgspec import Struct
from msgspec.structs import replace

from chittycan.agents import answered
from chittycan.agents.acquaintance import remembered
from chittycan.agents.agent import Ask
from chittycan.agents.mail_task import Submit
from chittycan.agents.pipeline import Terms, process
from chittycan.agents.reception import Privileged
from chittycan.agents.report import Outcome
from chittycan.clock import Clock
from chittycan.errors import Unavailable
from chittycan.integrations.email.imap import AWAY, MOST_LISTED, NO_MAIL, Account, Connection, Listed
from chittycan.integrations.email.imap_folders import is_for_sent
from chittycan.integrations.email.imap_mail import Kept, fetch
from chittycan.integrations.email.sources import Place, RawMail
from chittycan.store import mailboxes as rows
from chittycan.store.database import Database
from chittycan.store.inbox import StoredMail

log = logging.getLogger(__name__)

TRIES_AT_ONCE, LONGEST_WAIT = 3, 3_600.0  # for one mail that cannot be fetched

OnOutcome = Callable[[Outcome], None]


class Desk(Struct, frozen=True, kw_only=True):
    """What is needed to work on mail. `terms` gives the owner's terms and rules as they are now."""

    ask: Ask
    database: Database
    terms: Callable[[], Awaitable[Terms]]
    clock: Clock
    submit: Submit | None = None  # takes mails to whoever does durable work; without it the work is done here


class Look:
    """`sweep`: at all of the folder, not only at what is new. `room`: at most so many mails. `dry_run` stores nothing.

    `nonce` is that of the process that looks after the account.
    """

    def __init__(
        self,
        desk: Desk,
        account: Account,
        nonce: str,
        connection: Connection,
        tell: OnOutcome,
        *,
        sweep: bool,
        room: int | None = None,
        dry_run: bool = False,
    ) -> None:
        self._desk, self._account, self._nonce = desk, account, nonce
        self._connection, self._tell = connection, tell
        self._sweep, self._dry_run = sweep, dry_run
        self.room = room
        self._folder, self._validity, self._sent = "", 0, False
        self._broken: Unavailable | None = None  # the connection, while mails were read
        self._privileged: Privileged = "local"  # as the owner last said

    async def at(self, folder: str) -> None:
        """Looks. Raises Unavailable; what is done by then is kept."""
        database, here = self._desk.database, (self._account.name, folder)
        selected = await self._connection.examine(folder)
        self._folder, self._validity = folder, selected.validity
        began, after, anew = self._desk.clock.now(), 0, False
        if not self._dry_run:
            after, anew = await database.run(rows.opened, *here, selected.validity, selected.next_uid, began)
            if self._sweep or await database.read(rows.due, *here, began):
                after = 0
        self._sent = await is_for_sent(self._connection, folder)
        whole = after == 0
        while selected.exists and self.room != 0:
            listed = await self._connection.unseen(after, await self._settled(after))
            if listed:
                await self._work(listed)
                after = listed[-1].uid
            if len(listed) < MOST_LISTED:
                break
        if not self._dry_run:
            await answered.look(self._connection, database, folder, self._validity, self._desk.clock.now())
        if self._dry_run or self.room is not None:
            return
        if whole:
            await database.run(rows.vanished, *here, began)
        if self._sweep or anew:
            await self._finish()
            await database.run(rows.forget, *here, self._validity)

    async def _settled(self, after: int) -> set[int]:
        if self._dry_run:
            return set()
        here = (self._account.name, self._folder, self._validity)
        return await self._desk.database.read(rows.settled, *here, after, self._desk.clock.now())

    async def _work(self, listed: list[Listed]) -> None:
        database, here = self._desk.database, (self._account.name, self._folder)
        if not self._dry_run:
            await database.run(rows.handled, *here, 0, len(listed))
        await self._process(self._mails(listed))
        if self._broken is not None:
            raise self._broken
        if not self._dry_run and self.room is None:
            await database.run(rows.handled, *here, listed[-1].uid, 0)

    async def _finish(self) -> None:
        """What was seen, is not done, and cannot be fetched any more is done with what was kept of it."""
        await self._process(await self._desk.database.read(rows.unfinished, self._account.name, self._folder))

    async def _process(self, mails: AsyncGenerator[RawMail] | list[StoredMail]) -> None:
        desk = self._desk
        terms = replace(await desk.terms(), account=self._account.name, dry_run=self._dry_run, limit=self.room)
        terms = replace(terms, private=terms.private or self._account.private, sent=self._sent)
        self._privileged = terms.privileged
        report = await process(
            mails, desk.ask, desk.database, terms, on_progress=self._tell, clock=desk.clock, submit=desk.submit,
            keep=False,
        )  # fmt: skip
        if self.room is not None:
            self.room = max(0, self.room - report.mails)

    async def _mails(self, listed: list[Listed]) -> AsyncGenerator[RawMail]:
        """Ends early where the connection breaks, so that mails in hand can be finished."""
        for each in listed:
            place = Place(self._account.name, self._folder, self._validity, each.uid, self._nonce)
            try:
                raw = await fetch(self._connection, each, place, self._decide)
            except Unavailable as error:
                if error.code not in (AWAY, NO_MAIL):
                    raise
                await self._trouble(place, error)
                if error.code == NO_MAIL:
                    continue
                self._broken = error
                return
            if raw is not None:
                yield raw

    async def _decide(self, header: bytes, size: int) -> Kept:
        """By the owner's rules on the headers alone; where they cannot be looked at, it is kept back."""
        try:
            terms = await self._desk.terms()  # a rule that was written a moment ago counts too
            self._privileged = terms.privileged
            private = terms.private or self._account.private
            reception = replace(terms.reception, account=self._account.name, private=private)
            kept = await asyncio.to_thread(
                reception.keeps, header, size, self._desk.clock.now(), remembered(self._desk.database)
            )
        except Exception as error:
            log.warning("mail_kept_private", extra={"fields": {"why": type(error).__name__}})
            kept = True
        return ("headers" if self._privileged == "metadata" else "private") if kept else "open"

    async def _trouble(self, place: Place, error: Unavailable) -> None:
        if self._dry_run:
            return
        spot = rows.Spot(place.account, place.folder, place.validity, place.uid, place.nonce)
        await self._desk.database.run(rows.trouble, spot, error.message, self._desk.clock.now(), patience)


def patience(tries: int) -> float:
    """Seconds to leave a mail alone after so many tries to fetch it."""
    return 0.0 if tries < TRIES_AT_ONCE else min(LONGEST_WAIT, 30.0 * 2.0 ** min(tries - TRIES_AT_ONCE, 10))
