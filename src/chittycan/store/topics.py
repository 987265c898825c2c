"""Subjects and senders as conversations are told apart by them. Pure."""

import re

LONGEST_TOPIC = 200  # characters

_MARKS = re.compile(r"^\s*(?:(?:re|aw|antw|sv|rép|fwd?|wg)\s*(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)


def topic_of(subject: str) -> str:
    """The subject without its reply marks, lower-case, on one line."""
    return " ".join(_MARKS.sub("", subject).lower().split())[:LONGEST_TOPIC]


def is_reply(subject: str) -> bool:
    """Whether the subject is marked as an answer's or a forwarded mail's."""
    return _MARKS.match(subject) is not None


def address_in(sender: str) -> str:
    """`ann@bell.example` of `Ann <ann@bell.example>`."""
    return sender.rpartition("<")[2].rstrip(">").strip().lower()
