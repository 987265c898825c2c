"""Whether we know who writes: the fact `sender-known` of a rule.

We have written to the address before: a draft to it was sent, or the mail answers one of ours to it. Or a person looked
at an earlier mail from it, and the last one was not spam. What went out without a person's word counts for nothing.
Known is the address in From, not who wrote it there: that is for `dmarc` to say.
"""

from collections.abc import Callable

import msgspec
from sqlalchemy import Connection

from chittycan.agents.lessons import features_of
from chittycan.agents.prefilter import OWN
from chittycan.agents.wording import Wording
from chittycan.integrations.email.message import Mail
from chittycan.routing.rules.book import Book
from chittycan.store import drafts, inbox, judgements
from chittycan.store.database import Database

FIELD = "sender-known"

Known = Callable[[Mail], bool]


def nobody(mail: Mail) -> bool:
    """Where there is nothing to remember anybody by."""
    return False


def known(connection: Connection, mail: Mail) -> bool:
    """By what was there before this mail: its own review, and the reply to it, say nothing of it."""
    address = mail.sender.address.lower()
    if "@" not in address:
        return False
    label = judgements.last_word(connection, features_of(Wording(mail), words=False).sender, besides=mail.id)
    if label is not None:
        return label != "spam"
    return drafts.wrote_to(connection, address, besides=mail.id) or _answers_ours(connection, mail, address)


def _answers_ours(connection: Connection, mail: Mail, address: str) -> bool:
    answers = (*mail.references, *((mail.in_reply_to,) if mail.in_reply_to else ()))
    for each in inbox.with_message_ids(connection, answers, settled=OWN):
        ours = msgspec.json.decode(each.mail, type=Mail)
        if any(address == to.address.lower() for to in (*ours.to, *ours.cc)):
            return True
    return False


def fact(connection: Connection, mail: Mail, rules: Book) -> dict[str, bool]:
    """The fact for these rules: empty where none of them asks."""
    return {FIELD: known(connection, mail)} if FIELD in rules.fields else {}


async def fact_of(database: Database, mail: Mail, rules: Book) -> dict[str, bool]:
    """As `fact`."""
    return await database.read(fact, mail, rules) if FIELD in rules.fields else {}


def remembered(database: Database) -> Known:
    """`known`, for a thread beside the loop."""
    return lambda mail: database.run_sync(known, mail)
