"""What a model is told of the earlier mails of a conversation: dates, kinds and our drafts, not a word of their text.

Only of mails of the same sender, and only where the reply goes to people who stand in those mails: headers say which
conversation a mail belongs to, and anybody can write them, with another's From and a Reply-To of one's own.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import Connection

from chittycan.agents.kept import restore
from chittycan.agents.response import recipients
from chittycan.integrations.email.headers import Address
from chittycan.integrations.email.message import Mail
from chittycan.store import drafts, inbox
from chittycan.store.topics import address_in

MOST = 3  # earlier mails that are told of


def told(connection: Connection, mail: inbox.StoredMail) -> tuple[str, ...]:
    """One line on each, the newest first: `2026-11-20: appointment request, NORMAL; our reply: sent`."""
    sender, readers = address_in(mail.sender), _addresses(recipients(restore(mail)))
    same = [each for each in inbox.earlier(connection, mail) if "@" in sender and address_in(each.sender) == sender]
    known = [each for each in same if readers <= _people(restore(each))]
    return tuple(_line(each, drafts.of_mail(connection, each.id)) for each in known[:MOST])


def _people(mail: Mail) -> set[str]:
    """Who wrote it, got it, or was to get the answer."""
    return _addresses((mail.sender, *mail.reply_to, *mail.to, *mail.cc))


def _addresses(people: Iterable[Address]) -> set[str]:
    return {each.address.lower() for each in people}


def _line(mail: inbox.StoredMail, draft: drafts.Draft | None) -> str:
    day = datetime.fromtimestamp(mail.added if mail.date is None else mail.date, UTC)
    kind = (mail.category or "not sorted yet").replace("_", " ")
    answer = "no reply of ours" if draft is None else f"our reply: {draft.state}"
    return f"{day:%Y-%m-%d}: {kind}, {mail.level or 'no level yet'}; {answer}"
