"""The vocabulary of the agents: categories, levels, and what a mail looks like to a model."""

import re
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from chittycan.integrations.email.message import Mail

Category = Literal[
    "lawsuit_communication",
    "document_submission",
    "appointment_request",
    "emergency_legal",
    "general_inquiry",
    "court_notice",
    "billing_matter",
    "compliance_notice",
    "property_management",
    "tenant_communication",
    "permit_application",
    "grant_management",
    "service_incident",
    "support_ticket",
    "security_incident",
    "newsletter",
    "spam",
]
CATEGORIES: tuple[str, ...] = get_args(Category)
MEANINGS: dict[Category, str] = {
    "lawsuit_communication": "from or about the other side of a dispute: claims, settlement, evidence",
    "document_submission": "sends documents to be read, signed or filed",
    "appointment_request": "asks for, moves or cancels a meeting or visit",
    "emergency_legal": "police, arrest, seizure, violence or a child taken, now",
    "general_inquiry": "a question of a new client, thanks, and what is none of the others",
    "court_notice": "from a court: hearing, order, judgment",
    "billing_matter": "invoices, payments, reminders, prices",
    "compliance_notice": "from or for an authority: inspection, audit, data protection, duties of the profession",
    "property_management": "care of a building: repairs, owners, contractors",
    "tenant_communication": "a tenant or a landlord: rent, deposit, heating, notice",
    "permit_application": "permits, licences and visas",
    "grant_management": "grants and subsidies: applications, reports, budgets",
    "service_incident": "a service for many is down, slow, restored or maintained",
    "support_ticket": "one person's trouble with a program, device or account",
    "security_incident": "phishing, break-in, theft, data in wrong hands",
    "newsletter": "news for many readers",
    "spam": "unwanted advertising or fraud",
}
# What nobody would want to miss; the first would hurt most.
GRAVE: tuple[Category, ...] = (
    "security_incident",
    "court_notice",
    "emergency_legal",
    "lawsuit_communication",
    "compliance_notice",
)
MASS_MAIL: tuple[Category, ...] = ("newsletter", "spam")

Level = Literal["CRITICAL", "HIGH", "NORMAL", "LOW"]
LEVELS: tuple[str, ...] = get_args(Level)  # from the most urgent down

Word = Annotated[str, Meta(max_length=30)]
Phrase = Annotated[str, Meta(max_length=60)]
Sentence = Annotated[str, Meta(max_length=120)]

_SPACES = re.compile(r"[ \t]*\n\s*|[ \t]{2,}")


class MailView(Struct, omit_defaults=True):
    """What of a mail a model sees, in this order."""

    sender: str
    subject: str
    text: str
    attachments: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()  # mails of the same conversation


def view_of(mail: Mail, length: int, *, hints: tuple[str, ...] = (), earlier: tuple[str, ...] = ()) -> MailView:
    """`mail` cut to `length` characters of text, with runs of space closed up."""
    return MailView(
        sender=str(mail.sender)[:120],
        subject=mail.subject[:200],
        text=squeeze(mail.text, length),
        attachments=tuple(attachment.name[:80] for attachment in mail.attachments[:5]),
        hints=hints,
        earlier=earlier,
    )


def share(value: float) -> float:
    """A model's 0..1, also where it wrote per cent."""
    return round(min(max(value / 100 if 1 < value <= 100 else value, 0.0), 1.0), 2)


def squeeze(text: str, length: int) -> str:
    """The first `length` characters of `text` without indentation and empty lines."""
    return _SPACES.sub(_one_space, text[: length * 4].strip())[:length]


def _one_space(found: re.Match[str]) -> str:
    return "\n" if "\n" in found.group() else " "
