"""What becomes of a mail that is sorted and ranked: whether a person has to look, why, and what rules want done.

`onboarding` leaves everything to a person. `auto` passes what leaves no doubt; for one mail a rule's `auto` says so,
or `auto:false` that it does not. Drafts wait for a person in every mode.
"""

from collections.abc import Collection
from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from chittycan.agents.agent import AgentResult
from chittycan.agents.priority import Priority
from chittycan.agents.triage import Triage
from chittycan.integrations.email.message import ENCRYPTED, WINMAIL, Mail
from chittycan.routing.rules.book import Applied
from chittycan.store import inbox, mail_actions
from chittycan.store.mail_actions import Verb

Mode = Literal["onboarding", "auto"]

UNSURE = 0.5  # a confidence below it is a doubt
ONLY_HEADERS = "only its headers were read"


class Wanted(Struct, frozen=True):
    """What a rule wants done to the mail in its mailbox; `value` is the label or the folder."""

    verb: Verb
    value: str
    because: str


def wanted(applied: Applied) -> tuple[Wanted, ...]:
    """Labels, then a move, or else the archive."""
    said, why = applied.values, applied.why
    found = [Wanted("label", label, f"rule {why['label']}") for label in said.get("label", ())]
    if "move" in said:
        found.append(Wanted("move", said["move"], f"rule {why['move']}"))
    elif said.get("archive"):
        found.append(Wanted("archive", "", f"rule {why['archive']}"))
    return tuple(found)


def doubts(mail: Mail, triage: Triage, results: Collection[AgentResult[Any]], *more: str | None) -> tuple[str, ...]:
    """Why a person should look. `results`: of the agents; `more`: further reasons, None for none."""
    found = [by_rules(each.reason or "") for each in results if each.fallback][:1]
    if triage.confidence < UNSURE:
        found.append(f"unsure: {triage.confidence:.0%}")
    if mail.hidden_text:
        found.append("it holds text that a reader does not see")
    found += [each for each in (ENCRYPTED, WINMAIL) if each in mail.defects]
    return tuple(dict.fromkeys((*found, *filter(None, more))))


def by_rules(reason: str) -> str:
    return f"rules answered instead of a model ({reason.partition(':')[0]})"


def finding(
    category: str, priority: Priority, applied: Applied, mode: Mode, doubts: tuple[str, ...], settled: str | None
) -> inbox.Finding:
    """The mail's row."""
    auto = bool(applied.values.get("auto", mode == "auto"))
    proposed = wanted(applied)
    return inbox.Finding(
        category=category,
        level=priority.level,
        rank=priority.numeric_score,
        settled=settled,
        review="auto_approved" if auto and not doubts else "pending",
        doubt="; ".join(doubts)[:500] or None,
        proposed=msgspec.json.encode(proposed).decode() if proposed else None,
    )


def for_now(category: str, priority: Priority, why: str) -> inbox.Finding:
    """The mail's row as long as it waits for a model."""
    doubt = f"sorted by rules for now: {why}"
    return inbox.Finding(category=category, level=priority.level, rank=priority.numeric_score, doubt=doubt[:500])


def finish(connection: Connection, mail_id: str, found: inbox.Finding, now: float) -> None:
    """Keeps it; what rules want done is asked for in the same transaction, where no person has to agree first.

    Where another process was sooner, nothing is done: a person may have spoken since.
    """
    if inbox.finish(connection, mail_id, found, now) and found.review == "auto_approved":
        carry_out(connection, mail_id, found.proposed, now)


def carry_out(connection: Connection, mail_id: str, proposed: str | None, now: float) -> int:
    """Asks for what was proposed; how much of it was not asked for before."""
    asked = [
        mail_actions.ask(connection, mail_id, each.verb, each.value or None, each.because, now)
        for each in proposals(proposed)
    ]
    return sum(asked)


def proposals(written: str | None) -> list[Wanted]:
    """As they are stored."""
    return msgspec.json.decode(written, type=list[Wanted]) if written else []
