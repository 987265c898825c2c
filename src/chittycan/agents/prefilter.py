"""What needs no model: newsletters, automatic replies, notices from machines, obvious spam. Microseconds, no call.

It must not hide a client's mail. Only headers that a person's mail program does not write count alone; spam
needs several strong signs, one of them in the words; and a machine's notice that speaks of courts, lawsuits
or security goes to triage like any other mail. A settled mail stays in the inbox, unread, with its reason.
"""

import re
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from chittycan.agents import deceit, rules
from chittycan.agents.wording import READ, Wording
from chittycan.agents.words import GRAVE, Category
from chittycan.integrations.email.authentication import verdicts
from chittycan.integrations.email.message import Mail

Reason = Literal["newsletter", "auto_reply", "notification", "spam", "own"]
OWN: Literal["own"] = "own"  # we wrote it: `own_mail`

ENOUGH = 4  # signs of spam
UNDELIVERED = "a mail server's report on a mail of yours"

_AUTO_SUBJECT = re.compile(
    r"^\s*(?:re:\s*)?(?:automatic reply|auto(?:matic)?[- ]?(?:reply|response)|out of (?:the )?office(?: auto-?reply)?|"
    r"abwesenheitsnotiz|automatische antwort|réponse automatique|respuesta automática|risposta automatica|"
    r"automatisch antwoord|odpowiedź automatyczna|automatyczna odpowiedź|resposta automática)"
    r"\s*(?:[:\-–(\[]|$)",
    re.IGNORECASE,
)
_NO_REPLY = re.compile(r"^(?:no[-_.]?reply|do[-_.]?not[-_.]?reply|noreply[-+].*)@", re.IGNORECASE)
_DAEMON = re.compile(r"^(?:mailer-daemon|postmaster)@", re.IGNORECASE)

_MONEY = re.compile(
    r"[$€£]\s?\d[\d.,]{3,}|\b\d[\d.,]*\s?(?:million|billion)\b|\b(?:million|billion) (?:dollars|us)\b", re.I
)
_SHOUTING = re.compile(r"[A-Z]{3,}")


class Settled(Struct, frozen=True):
    """Why a mail needs no model, and what it is."""

    reason: Reason
    category: Category
    why: str


def taught(found: Settled | None, category: str, why: str) -> Settled | None:
    """`found`, where a person said of this sender's mails that they are of `category`; an automatic reply stays one."""
    if found is not None and found.reason == "auto_reply":
        return found
    if category == "newsletter":
        return Settled("newsletter", "newsletter", why)
    if category == "spam":
        return Settled("spam", "spam", why)
    return found if found is not None and found.reason == "notification" else None


def settle(
    wording: Wording, *, own_domains: frozenset[str] = frozenset(), authserv: str | None = None
) -> Settled | None:
    """What settles a mail without a model; None where a model should look.

    `own_domains` are the owner's: a list that is run there (an intake address that is a group) is no newsletter.
    `authserv` is the name of the owner's mail server, whose word on who wrote a mail is one of the signs of spam.
    """
    mail = wording.mail
    return (
        _report(mail)
        or _automatic(mail)
        or _mass_mail(wording, own_domains)
        or _notification(wording)
        or _spam(wording, authserv)
    )


def _report(mail: Mail) -> Settled | None:
    """A mail system's own words (RFC 6522). That a mail did not arrive is for a person to know."""
    if mail.report == "disposition-notification":
        return Settled("auto_reply", "general_inquiry", "a receipt: a mail of yours was opened")
    if mail.report == "delivery-status":
        return Settled("notification", "general_inquiry", UNDELIVERED)
    return None


def _automatic(mail: Mail) -> Settled | None:
    submitted = (mail.auto_submitted or "").lower()
    why = None
    if submitted.startswith("auto-replied"):
        why = "Auto-Submitted: auto-replied"
    elif any(name in mail.headers for name in ("x-autoreply", "x-autorespond")):
        why = "an auto-responder's header"
    elif (mail.precedence or "").lower() == "auto_reply":
        why = "Precedence: auto_reply"
    elif _AUTO_SUBJECT.match(mail.subject):
        why = "the subject of an automatic reply"
    return Settled("auto_reply", "general_inquiry", why) if why else None


def _mass_mail(wording: Wording, own_domains: frozenset[str]) -> Settled | None:
    mail = wording.mail
    lists = f"{mail.list_id or ''} {mail.headers.get('list-post', '')}".lower()
    if any(domain in lists for domain in own_domains):
        return None
    marks = [name for name in ("list-id", "list-unsubscribe", "list-post", "feedback-id") if name in mail.headers]
    if (mail.precedence or "").lower() in ("bulk", "list", "junk"):
        marks.append(f"precedence: {(mail.precedence or '').lower()}")
    # One mark alone also stands on receipts and on answers from ticket systems.
    alone = len(marks) == 1 and (mail.in_reply_to is not None or wording.speaks_of(GRAVE, subject_only=True))
    if not marks or alone:
        return None
    return Settled("newsletter", "newsletter", ", ".join(marks))


def _notification(wording: Wording) -> Settled | None:
    mail = wording.mail
    sender = mail.sender.address
    why = None
    if _DAEMON.match(sender):
        why = "a mail server's report"
    elif _NO_REPLY.match(sender):
        why = "from an address that nobody reads"
    elif (mail.auto_submitted or "").lower().startswith("auto-"):
        why = f"Auto-Submitted: {(mail.auto_submitted or '').lower()[:40]}"
    if why is None or wording.speaks_of(GRAVE):
        return None
    return Settled("notification", rules.category(wording).category, why)


def _spam(wording: Wording, authserv: str | None) -> Settled | None:
    """Signs in the words are needed: headers alone, or a forged spam flag, settle nothing."""
    mail = wording.mail
    signs = [why for why, sign in _SIGNS if sign(mail)] + [sign.why for sign in deceit.signs(mail) if sign.strong]
    if verdicts(mail, authserv).dmarc == "fail":
        signs.append("your mail server says that its From is forged")
    if not signs:
        return None
    words = len(wording.sales_phrases)
    if words == 0 or min(words, 3) + len(signs) < ENOUGH or rules.category(wording).category != "spam":
        return None
    return Settled("spam", "spam", ", ".join([f"{words} sales phrases", *signs]))


def _flagged(mail: Mail) -> bool:
    status = mail.headers.get("x-spam-status", "")
    return "yes" in (mail.headers.get("x-spam-flag", "").lower(), status.lower()[:3])


def _shouts(mail: Mail) -> bool:
    return len(_SHOUTING.findall(mail.subject)) >= 3 or "!!" in mail.subject


def _hidden_receivers(mail: Mail) -> bool:
    return not mail.to and not mail.cc


_SIGNS: tuple[tuple[str, Callable[[Mail], bool]], ...] = (
    ("flagged by the mail server", _flagged),
    ("a subject that shouts", _shouts),
    ("large sums", lambda mail: bool(_MONEY.search(f"{mail.subject}\n{mail.text[:READ]}"))),
    ("hidden text", lambda mail: mail.hidden_text),
    ("answers go to another domain", deceit.answers_elsewhere),
    ("no visible receiver", _hidden_receivers),
    ("no Message-ID", lambda mail: mail.message_id is None),
)
