"""What a model is told of the earlier mails of a conversation: dates, kinds and our drafts, not a word of their text.

Only of mails of the same sender: headers say which conversation a mail belongs to, and anybody can write headers.
"""

from datetime import UTC, datetime

from sqlalchemy import Connection

from chittycan.store import drafts, inbox
from chittycan.store.topics import address_in

MOST = 3  # earlier mails that are told of


def told(connection: Connection, mail: inbox.StoredMail) -> tuple[str, ...]:
    """One line on each, the newest first: `2026-11-20: appointment request, NORMAL; our reply: sent`."""
    sender = address_in(mail.sender)
    same = [each for each in inbox.earlier(connection, mail) if address_in(each.sender) == sender]
    return tuple(_line(each, drafts.of_mail(connection, each.id)) for each in same[:MOST])


def _line(mail: inbox.StoredMail, draft: drafts.Draft | None) -> str:
    day = datetime.fromtimestamp(mail.added if mail.date is None else mail.date, UTC)
    kind = (mail.category or "not sorted yet").replace("_", " ")
    answer = "no reply of ours" if draft is None else f"our reply: {draft.state}"
    return f"{day:%Y-%m-%d}: {kind}, {mail.level or 'no level yet'}; {answer}"
