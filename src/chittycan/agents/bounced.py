"""Mail of ours that came back: what a mail server says of it is kept with its draft, and a person is told.

It counts for the draft that went out under the Message-ID which it names: those are as good as random, so that nobody
knows one who did not get the mail. Who forges such a report has a person look, and no more: nothing is sent again
because of one, and what is known of the sending stays as it is.
"""

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from chittycan.agents.priority import Priority
from chittycan.agents.report import Outcome
from chittycan.agents.told import Tell
from chittycan.integrations.documents.characters import visible_characters
from chittycan.integrations.email.message import Mail
from chittycan.store import drafts
from chittycan.store.drafts import Bounced, Draft
from chittycan.workstreams.events import Event

BOUNCED = "draft.bounced"
NAMED = 3  # recipients that are named in one line


class CameBack(Struct, frozen=True):
    """A draft that a mail says did not arrive, and whom it did not reach."""

    draft: Draft
    failed: tuple[Bounced, ...]

    @property
    def said(self) -> str:
        """In a line for a person."""
        whom = ", ".join(each.recipient or "its recipient" for each in self.failed[:NAMED])
        more = f" and {len(self.failed) - NAMED} more" if len(self.failed) > NAMED else ""
        why = next((each.reason or each.status for each in self.failed if each.reason or each.status), "")
        return f"your reply {self.draft.id} did not reach {whom}{more}" + (f": {why}" if why else "")


def of(connection: Connection, mail: Mail, mail_id: str, now: float) -> CameBack | None:
    """What the mail, stored as `mail_id`, says of a draft of ours; None where it speaks of none."""
    if mail.bounce is None:
        return None
    draft = drafts.with_message_id(connection, mail.bounce.message_id)
    if draft is None:
        return None
    failed = [
        Bounced(recipient=_shown(each.recipient), status=each.status, reason=_shown(each.reason), mail=mail_id, at=now)
        for each in mail.bounce.failed
    ]
    return CameBack(draft, tuple(failed))


def weighed(priority: Priority, back: CameBack) -> Priority:
    """Somebody waits for a reply that they did not get."""
    if priority.numeric_score >= 3:
        return priority
    return replace(priority, level="HIGH", score=0.8, numeric_score=3, factors=(back.said,))


def keep(connection: Connection, back: CameBack, outcome: Outcome, tell: Tell | None, now: float) -> None:
    """With the draft; and has it told to whom the owner wants told, once for each mail that says so."""
    drafts.came_back(connection, back.draft.id, back.draft.message_id or "", back.failed)
    if tell is None:
        return
    data: dict[str, object] = {"id": back.draft.id, "mail": outcome.id, "account": back.draft.account}
    if outcome.privacy is None:
        data["failed"] = [{"to": each.recipient, "status": each.status, "reason": each.reason} for each in back.failed]
    tell(connection, Event(type=BOUNCED, key=f"{outcome.id}.bounced", thing=back.draft.id, at=now, data=data), ())


def _shown(text: str) -> str:
    return " ".join(visible_characters(text)[0].split())
