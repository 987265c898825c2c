"""What is to be done to mails in their mailboxes (`store.mail_actions`), carried out by who looks after the account.

Before anything is changed it is made sure that it is the right mail, and after a crash that it is not done already:
each action happens at most once, and never to another mail.
"""

import asyncio

from chittycan.agents.kept import restore
from chittycan.agents.look import Desk, patience
from chittycan.errors import Unavailable
from chittycan.integrations.email import imap_change as change
from chittycan.integrations.email.imap import AWAY, NO_FOLDER, Account, Connection, Selected
from chittycan.integrations.email.imap_again import fetch_same
from chittycan.integrations.email.imap_change import NeverDone
from chittycan.integrations.email.imap_folders import Folder, folders, used_for, with_message_id
from chittycan.integrations.email.limits import MAX_HEADERS
from chittycan.integrations.email.message import Mail, parse
from chittycan.integrations.email.sources import Place
from chittycan.store import inbox, mail_actions, mailboxes
from chittycan.store.mail_actions import MailAction

AT_ONCE = 100
MOST_TRIES = 5  # of what a server refuses
AGAIN_SECONDS = 60.0  # after the first of them; doubled each time


class MailActs:
    """The actions of one account, over a connection of the process `nonce` that looks after it."""

    def __init__(self, desk: Desk, account: Account, nonce: str, connection: Connection) -> None:
        self._desk, self._account, self._nonce, self._connection = desk, account, nonce, connection
        self._known: list[Folder] | None = None

    async def carry_out(self) -> bool:
        """Does what is due; whether there was anything. Some folder is open then. Raises Unavailable (AWAY, LOST)."""
        database, now = self._desk.database, self._desk.clock.now
        due = await database.read(mail_actions.due, self._account.name, self._account.allow, now(), AT_ONCE)
        for action in due:
            if not await database.run(mail_actions.begin, action.id, self._nonce, now()):
                continue  # dropped meanwhile
            try:
                remark = await self._do(action)
            except NeverDone as error:
                await self._failed(action, error)
            except Unavailable as error:
                if error.code == mailboxes.LOST:
                    raise
                if error.code == AWAY:  # perhaps because of this one: the others are not to wait for it
                    again = now() + patience(action.tries)
                    await database.run(mail_actions.later, action.id, error.message, again, now())
                    raise
                await self._refused(action, error)
            else:
                await database.run(mail_actions.end, action.id, "done", remark, now())
        return bool(due)

    async def _refused(self, action: MailAction, error: Unavailable) -> None:
        if error.code == NO_FOLDER or action.tries + 1 >= MOST_TRIES:
            await self._failed(action, error)
            return
        now = self._desk.clock.now()
        again = now + AGAIN_SECONDS * 2.0**action.tries
        await self._desk.database.run(mail_actions.later, action.id, error.message, again, now)

    async def _failed(self, action: MailAction, error: Unavailable) -> None:
        problem = f"{error.message}. {error.fix}" if error.fix else error.message
        await self._desk.database.run(mail_actions.end, action.id, "failed", problem, self._desk.clock.now())

    async def _do(self, action: MailAction) -> str | None:
        """What is worth saying although it is done. Raises Unavailable (AWAY, NO_FOLDER, NOT_DONE)."""
        stored = await self._desk.database.read(inbox.get, action.mail_id)
        mail = restore(stored)
        match action.verb:
            case "label" | "read":
                flag = change.SEEN if action.verb == "read" else change.keyword(action.value)
                place, selected = await self._find(action, mail, everywhere=True)
                await change.set_flag(self._connection, selected, place.uid, flag)
                return None if flag in (change.SEEN, action.value) else f"the label is called {flag} there"
            case "move" | "archive":
                return await self._move(action, mail)

    async def _move(self, action: MailAction, mail: Mail) -> str | None:
        target = await self._target(action)
        try:
            place, selected = await self._find(action, mail, everywhere=False)
        except _Gone:
            if await self._is_in(target, mail) is not None:
                return None
            raise
        if place.folder == target:
            return None
        if not selected.writable:
            raise NeverDone(f"{self._account.host} lets nobody change the folder {place.folder!r}")
        # One that was begun and can be in both folders may be in both.
        copied = False
        if action.state == "doing" and not change.moves_at_once(self._connection):
            copied = await self._is_in(target, mail) is not None
            await self._connection.select(place.folder)
        new = await change.move(self._connection, place.uid, target, copied=copied)
        if new is not None and target in self._account.folders:
            spot, now = _spot(new, self._nonce), self._desk.clock.now()
            await self._desk.database.run(mailboxes.see_moved, spot, action.mail_id, now)
        return None

    async def _target(self, action: MailAction) -> str:
        if self._known is None:
            self._known = await folders(self._connection)
        if action.verb == "move":
            return change.folder_called(action.value, self._known)
        found = used_for("archive", self._known) or used_for("all", self._known)
        if found is None:
            problem = f"{self._account.host} has no folder for the archive"
            raise Unavailable(problem, fix="Create one called Archive.", code=NO_FOLDER)
        return found

    # which mail it is

    async def _find(self, action: MailAction, mail: Mail, *, everywhere: bool) -> tuple[Place, Selected]:
        """The mail's place, its folder open for changes. Raises _Gone.

        Where its numbers do not hold any more, and `everywhere` also where it was moved by somebody, it is known by
        its content.
        """
        spots = await self._desk.database.read(mailboxes.places, self._account.name, action.mail_id)
        for spot in spots:
            selected = await self._select(spot.folder)
            if selected is not None and selected.validity == spot.validity and await self._is_it(spot.uid, mail):
                return Place(spot.account, spot.folder, spot.validity, spot.uid), selected
        if mail.message_id is not None and (everywhere or not spots):
            for folder in self._account.folders:
                place = await self._is_in(folder, mail)
                selected = None if place is None else await self._select(folder)
                if place is not None and selected is not None and selected.validity == place.validity:
                    return place, selected
        raise _Gone("the mail is not where it was any more: somebody moved or deleted it")

    async def _select(self, folder: str) -> Selected | None:
        try:
            return await self._connection.select(folder)
        except Unavailable as error:
            if error.code != NO_FOLDER:
                raise
            return None

    async def _is_it(self, uid: int, mail: Mail) -> bool:
        """By its headers: the number alone says so already, on a server that keeps to the protocol."""
        header = await self._connection.part(uid, "HEADER", 0, MAX_HEADERS)
        if header is None:
            return False
        found = await asyncio.to_thread(parse, header)
        return _identity(found) == _identity(mail)

    async def _is_in(self, folder: str, mail: Mail) -> Place | None:
        """Where in a folder a mail with all of its content is."""
        if mail.message_id is None:
            return None
        try:
            selected = await self._connection.examine(folder)
        except Unavailable as error:
            if error.code != NO_FOLDER:
                raise
            return None
        for uid in await with_message_id(self._connection, mail.message_id):
            place = Place(self._account.name, folder, selected.validity, uid)
            if await fetch_same(self._connection, place, mail.dedupe_key) is not None:
                return place
        return None


class _Gone(NeverDone):
    pass


def _identity(mail: Mail) -> tuple[str | None, float | None, str]:
    return mail.message_id, mail.date, mail.sender.address


def _spot(place: Place, nonce: str) -> mailboxes.Spot:
    return mailboxes.Spot(place.account, place.folder, place.validity, place.uid, nonce)
