"""What rules can ask of a mail: its fields, and, once agents have looked, what they found."""

from typing import Any

from chittycan.integrations.email.authentication import METHODS, verdicts
from chittycan.integrations.email.headers import timestamp
from chittycan.integrations.email.message import Mail

DOCUMENTS = ("pdf", "docx", "doc", "odt", "rtf", "xlsx")


def facts_of(
    mail: Mail,
    *,
    now: float,
    authserv: str | None,
    category: str | None = None,
    confidence: float | None = None,
    level: str | None = None,
    account: str | None = None,
    body: bool = True,
) -> dict[str, Any]:
    """`authserv`: the name of the one server that says who wrote a mail (`authentication.verdicts`).

    `body=False`: whoever decides must not have read it.
    """
    at = arrived(mail)
    facts: dict[str, Any] = {
        "source": "mail", "from": str(mail.sender), "to": [str(each) for each in mail.to],
        "cc": [str(each) for each in mail.cc], "subject": mail.subject, "list-id": mail.list_id, "account": account,
        "has": sorted(_has(mail)), "size": mail.size, "age": None if at is None else max(0.0, now - at),
        "category": category, "confidence": confidence, "priority": level,
    }  # fmt: skip
    facts |= {f"header.{name}": value for name, value in mail.headers.items()}
    found = verdicts(mail, authserv)
    facts |= {method: getattr(found, method) for method in METHODS}
    if body:
        facts["body"] = mail.text
    return facts


def arrived(mail: Mail) -> float | None:
    """When the owner's server took it (Unix seconds), by the topmost Received; else what its sender's clock said."""
    taken = timestamp(mail.headers.get("received", "").rpartition(";")[2])
    return mail.date if taken is None else taken


def _has(mail: Mail) -> set[str]:
    has = set()
    for each in mail.attachments:
        has.add("attachment")
        ending = each.name.rpartition(".")[2].lower()
        if each.media_type.startswith("image/"):
            has.add("image")
        if each.media_type == "text/calendar" or ending == "ics":
            has.add("invite")
        if ending in DOCUMENTS or each.media_type == "application/pdf":
            has.add("document")
        if ending == "pdf" or each.media_type == "application/pdf":
            has.add("pdf")
    if "http://" in mail.text or "https://" in mail.text:
        has.add("link")
    return has
