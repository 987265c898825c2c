"""What a mail server says of a mail that it could not deliver: a delivery status notification (RFC 3464). Pure.

It is mail like any other: whoever knows the Message-ID of what it speaks of can write one.
"""

import re
from collections.abc import Iterator
from email import message_from_string
from email.message import Message

from msgspec import Struct

from chittycan.integrations.email.headers import message_ids, readable

MAX_FAILED = 50  # recipients
MAX_ADDRESS, MAX_REASON, MAX_STATUS = 254, 200, 20  # characters
MAX_RETURNED = 64 * 1024  # characters of returned headers that are looked at

_CODE = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")


class Undelivered(Struct, frozen=True):
    """Whom a mail did not reach. `status` as in RFC 3463 (5.1.1), `reason` in the server's words; each may be empty."""

    recipient: str
    status: str
    reason: str


class Bounce(Struct, frozen=True):
    """`message_id` is that of the mail that came back, with its angle brackets. `failed`: for good, never only late."""

    message_id: str
    failed: tuple[Undelivered, ...]


def of_report(report: Message) -> Bounce | None:
    """What a `multipart/report` says; None where it names no mail, or nobody whom it did not reach for good."""
    parts = [(_type(part), part) for part in _children(report)]
    blocks = [block for kind, part in parts if kind == "message/delivery-status" for block in _children(part)]
    failed = tuple(found for block in blocks[: MAX_FAILED + 1] if (found := _undelivered(block)) is not None)
    message_id = next(_identifiers(report, parts, blocks), None)
    return Bounce(message_id, failed[:MAX_FAILED]) if message_id and failed else None


def _undelivered(block: Message) -> Undelivered | None:
    """Of one recipient (RFC 3464, 2.3); the block about the whole message has no Action."""
    status = _CODE.match(_field(block, "status", MAX_STATUS))
    if _field(block, "action", 20).lower() != "failed":
        return None
    # Whom we wrote to, where the servers on the way kept that; else whom it was sent on to.
    original = _XTEXT.sub(lambda code: chr(int(code[1], 16)), _typed(block, "original-recipient", MAX_ADDRESS))
    recipient = readable(original) or _typed(block, "final-recipient", MAX_ADDRESS)
    reason = " ".join(_typed(block, "diagnostic-code", MAX_REASON).split())
    return Undelivered(recipient, status[0] if status else "", reason)


def _identifiers(report: Message, parts: list[tuple[str, Message]], blocks: list[Message]) -> Iterator[str]:
    """Candidates for the Message-ID of the mail that came back, the surest first.

    References of what came back are of other mails.
    """
    for kind, part in parts:
        if kind == "message/rfc822":
            for returned in _children(part):
                yield from _ids(returned, "message-id")
        elif kind == "text/rfc822-headers":
            yield from _ids(message_from_string(_text(part)), "message-id")
    for block in blocks:
        yield from _ids(block, "original-message-id")
    yield from _ids(report, "original-message-id")
    yield from _ids(report, "in-reply-to")
    yield from reversed(_ids(report, "references"))


def _ids(message: Message, name: str) -> tuple[str, ...]:
    return message_ids(message.get(name) or "")


def _field(block: Message, name: str, length: int) -> str:
    return readable(block.get(name) or "")[:length]


def _typed(block: Message, name: str, length: int) -> str:
    """A value behind its type: `rfc822; anna@example.org`."""
    kind, found, value = readable(block.get(name) or "").partition(";")
    return (value if found else kind).strip()[:length]


def _text(part: Message) -> str:
    data = part.get_payload(decode=True)
    return data.decode("utf-8", "replace")[:MAX_RETURNED] if isinstance(data, bytes) else ""


def _type(part: Message) -> str:
    return part.get_content_type().lower()


def _children(part: Message) -> list[Message]:
    payload = part.get_payload() if part.is_multipart() else None
    return [child for child in payload if isinstance(child, Message)] if isinstance(payload, list) else []
