"""What rules can ask of a mail: its fields, and, once agents have looked, what they found."""

from typing import Any

from chittycan.integrations.email.message import Mail

READ = 20_000  # characters of the text
DOCUMENTS = ("pdf", "docx", "doc", "odt", "rtf", "xlsx")


def facts_of(
    mail: Mail,
    *,
    now: float,
    category: str | None = None,
    confidence: float | None = None,
    level: str | None = None,
    account: str | None = None,
    known: bool | None = None,
    body: bool = True,
) -> dict[str, Any]:
    """`known`: mail came from this address before. `body=False`: whoever decides must not have read it."""
    facts: dict[str, Any] = {
        "source": "mail", "from": str(mail.sender), "to": [str(each) for each in mail.to],
        "cc": [str(each) for each in mail.cc], "subject": mail.subject, "list-id": mail.list_id, "account": account,
        "has": sorted(_has(mail)), "size": mail.size, "age": None if mail.date is None else now - mail.date,
        "sender-known": known, "category": category, "confidence": confidence, "priority": level,
    }  # fmt: skip
    facts |= {f"header.{name}": value for name, value in mail.headers.items()} | _authentication(mail)
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


def _authentication(mail: Mail) -> dict[str, str]:
    """The verdicts of Authentication-Results (RFC 8601); `none` where the header says nothing of a method."""
    said = mail.headers.get("authentication-results", "").lower()
    found = {}
    for method in ("dkim", "spf", "dmarc"):
        _, there, rest = said.partition(f"{method}=")
        verdict = rest[:4]
        found[method] = verdict if there and verdict in ("pass", "fail") else "none"
    return found
