"""Mails that somebody answered in a mail program, while a draft of ours waits.

Mail programs mark on the server what was answered (`\\Answered`, RFC 3501, 2.3.2); and a reply of our own (`own_mail`)
may lie in a folder that is read. Nothing follows from it but a word to who is about to answer a second time.
"""

import asyncio

from sqlalchemy import Connection as Rows

from chittycan.agents.kept import answered as answers_of
from chittycan.agents.kept import restore
from chittycan.agents.prefilter import OWN
from chittycan.errors import NotFound
from chittycan.integrations.email.imap import Connection
from chittycan.integrations.email.imap_folders import answered
from chittycan.integrations.email.sources import Source, unique_name
from chittycan.store import inbox, mailboxes
from chittycan.store.database import Database
from chittycan.store.drafts import Draft
from chittycan.store.inbox import StoredMail

SAID = "somebody answered this mail already, without this draft"
OPEN = ("draft", "approved", "failed")  # states in which a draft could still go out


async def look(connection: Connection, database: Database, folder: str, validity: int, now: float) -> None:
    """Asks the server of the open folder which mails with a waiting draft were answered. Raises Unavailable (AWAY)."""
    waiting = await database.read(mailboxes.with_draft, connection.account.name, folder, validity)
    for uid in await answered(connection, waiting) if waiting else ():
        await database.run(inbox.mark_answered, waiting[uid], now)


async def look_here(source: Source, database: Database, now: float) -> None:
    """The same of a Maildir on this machine."""
    answered = await asyncio.to_thread(source.answered)
    waiting = await database.read(inbox.with_draft, source.name) if answered else {}
    for mail_id, key in waiting.items():
        if unique_name(key) in answered:
            await database.run(inbox.mark_answered, mail_id, now)


def elsewhere(connection: Rows, mail: StoredMail) -> float | None:
    """When somebody answered, as far as that is known: the server marked it, or a mail that we wrote followed."""
    if mail.answered is not None:
        return mail.answered
    later = [each for each in inbox.later(connection, mail, settled=OWN) if _answers(each, mail)]
    return min((each.date or each.added for each in later), default=None)


def _answers(ours: StoredMail, mail: StoredMail) -> bool:
    """Of a conversation: ours may answer another mail of it."""
    return mail.message_id is None or mail.message_id in answers_of(restore(ours))


def since(connection: Rows, draft: Draft) -> float | None:
    """When somebody answered the mail of a draft that could still go out."""
    if draft.state not in OPEN or draft.automatic:
        return None
    try:
        return elsewhere(connection, inbox.get(connection, draft.mail_id))
    except NotFound:
        return None


def caution(connection: Rows, draft: Draft) -> list[str]:
    """What to say of a draft whose mail was answered meanwhile."""
    return [] if since(connection, draft) is None else [SAID]
