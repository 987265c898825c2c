"""Who is told of a mail because a rule says so (`notify`, `webhook`): an event, as the mail is done."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection

from chittycan.agents.report import Outcome
from chittycan.routing.rules.book import Applied
from chittycan.workstreams.events import Event

MATCHED = "rule.matched"
VERBS = frozenset({"notify", "webhook"})

# Has an event told to whom the owner wants told, and to these addresses.
Tell = Callable[[Connection, Event, Sequence[str]], None]


def tell_of(connection: Connection, tell: Tell | None, outcome: Outcome, applied: Applied, now: float) -> None:
    """Says once what a mail is and which rules held; of a private one neither sender nor subject."""
    said = applied.values
    if tell is None or not VERBS & said.keys():
        return
    data: dict[str, Any] = {
        "id": outcome.id, "account": outcome.account, "category": outcome.category, "priority": outcome.level,
        "rules": applied.rules, "notify": said.get("notify", []), "draft": outcome.draft_id,
    }  # fmt: skip
    if outcome.privacy is None and not said.get("private"):
        data |= {"from": outcome.sender, "subject": outcome.subject}
    event = Event(
        type=MATCHED, key=f"{outcome.id}.rules", thing=outcome.id or "", at=now, data=data, region=said.get("region")
    )
    tell(connection, event, said.get("webhook", ()))
