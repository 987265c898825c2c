"""What a condition can ask about: the table of fields, their kinds and their values."""

from collections.abc import Mapping
from typing import Literal

Kind = Literal["text", "people", "choice", "level", "number", "duration", "size", "flag", "parts"]

LEVELS = ("low", "normal", "high", "critical")  # lowest first
VERDICTS = ("pass", "fail", "none")

# field → its kind. `header.NAME` is text too.
FIELDS: Mapping[str, Kind] = {
    # of a mail
    "from": "people", "to": "people", "cc": "people", "subject": "text", "body": "text", "list-id": "text",
    "account": "text", "category": "choice", "has": "parts", "dkim": "choice", "spf": "choice", "dmarc": "choice",
    "sender-known": "flag", "size": "size", "age": "duration",
    # of what agents found
    "priority": "level", "confidence": "number",
    # of an event, an issue, a pull request
    "repo": "text", "branch": "choice", "event": "choice", "action": "choice", "label": "choice", "author": "text",
    # of a task or a request
    "kind": "choice", "model": "text", "session": "text", "key": "choice", "region": "choice", "private": "flag",
    "tokens": "number", "source": "choice",
}  # fmt: skip
# Values that are one of a few: others are mistakes.
VALUES: Mapping[str, tuple[str, ...]] = {
    "priority": LEVELS, "dkim": VERDICTS, "spf": VERDICTS, "dmarc": VERDICTS,
    "has": ("attachment", "image", "link", "invite", "pdf", "document"), "source": ("mail", "task", "request", "event"),
}  # fmt: skip
HEADER = "header."
# Fields that only some things have.
_OF_MAIL = ("from", "to", "cc", "subject", "body", "list-id", "account", "category", "has", "dkim", "spf", "dmarc",
            "sender-known", "size", "age", "confidence")  # fmt: skip
OF: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_OF_MAIL, ("mail",)),
    **dict.fromkeys(("repo", "branch", "event", "action", "label", "author"), ("task",)),
    "priority": ("mail", "task"), "tokens": ("request",),
    **dict.fromkeys(("kind", "model", "session", "key", "region", "private"), ("task", "request")),
}  # fmt: skip

THINGS = frozenset({"mail", "task", "request"})


def things_of(field: str) -> frozenset[str]:
    """What may have the field."""
    return frozenset(("mail",) if field.startswith(HEADER) else OF.get(field, THINGS))


# What each kind can be asked: `:` contains or is, `=` is, `~` matches a regular expression, `<` and `>` compare.
OPERATORS: Mapping[Kind, str] = {
    "text": ":=~", "people": ":=~", "choice": ":=~", "level": ":=<>", "number": ":=<>", "duration": "<>", "size": "<>",
    "flag": ":=", "parts": ":=",
}  # fmt: skip

SIZES = {"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "gb": 1 << 30}
DURATIONS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
FLAGS = {"true": True, "yes": True, "false": False, "no": False}
