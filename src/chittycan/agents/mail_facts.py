"""What rules can ask of a mail: its fields, and, once agents have looked, what they found."""

from typing import Any

from chittycan.integrations.email.authentication import METHODS, verdicts
from chittycan.integrations.email.message import Mail

READ = 20_000  # characters of the text
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
    facts: dict[str, Any] = {
        "source": "mail", "from": str(mail.sender), "to": [str(each) for each in mail.to],
        "cc": [str(each) for each in mail.cc], "subject": mail.subject, "list-id": mail.list_id, "account": account,
        "has": sorted(_has(mail)), "size": mail.size, "age": None if mail.date is None else now - mail.date,
        "category": category, "confidence": confidence, "priority": level,
    }  # fmt: skip
    facts |= {f"header.{name}": value for name, value in mail.headers.items()}
    found = verdicts(mail, authserv)
    facts |= {method: getattr(found, method) for method in METHODS}
    if body:
        facts["body"] = mail.text[:READ]
    return facts


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
