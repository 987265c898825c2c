"""A mail as a document: who wrote to whom, when, about what, its text, and the files that came along."""

import time
from collections.abc import Iterator

from chittycan.integrations.documents.document import Document
from chittycan.integrations.email.message import content, parse


def read(data: bytes, max_chars: int) -> Document:
    """The document that a mail (RFC 5322) is, without what is attached."""
    mail = parse(data)
    when = "" if mail.date is None else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(mail.date))
    head = (
        ("From", str(mail.sender)),
        ("To", ", ".join(map(str, mail.to))),
        ("Cc", ", ".join(map(str, mail.cc))),
        ("Date", when),
        ("Subject", mail.subject),
        ("Attached", ", ".join(each.name for each in mail.attachments)),
    )
    text = "\n".join(f"{name}: {value}" for name, value in head if value) + f"\n\n{mail.text}"
    return Document(
        kind="mail",
        text=text[:max_chars],
        title=mail.subject or None,
        truncated=len(text) > max_chars,
        defects=mail.defects,
        hidden_text=mail.hidden_text,
    )


def files(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, content) of what is attached to a mail."""
    for each in parse(data).attachments:
        yield each.name, content(data, each)
