"""What is kept of a mail: its row, every run of an agent on it, and the draft that one wrote."""

from typing import Any

import msgspec
from sqlalchemy import Connection

from chittycan.agents.agent import AgentResult
from chittycan.agents.mail_task import Submit
from chittycan.agents.response import Reply
from chittycan.integrations.email.message import Mail
from chittycan.integrations.email.sources import Place, RawMail
from chittycan.store import drafts, feedback, inbox, mailboxes

KEPT_TEXT = 20_000  # characters of a mail's text that are kept in the database


def restore(stored: inbox.StoredMail) -> Mail:
    """The mail that was stored, with its text as far as it was kept."""
    return msgspec.json.decode(stored.mail, type=Mail)


def record(connection: Connection, mail_id: str, result: AgentResult[Any], now: float) -> None:
    """Keep a run and, in the same transaction, the draft it made."""
    inbox.record(
        connection,
        inbox.Run(
            mail_id=mail_id,
            agent=result.agent,
            kind=result.kind,
            version=result.version,
            output=_json(result.value),
            fallback=result.fallback,
            reason=result.reason,
            repaired=result.repaired,
            model=result.model,
            cost_nano=result.cost_nano,
            ms=result.ms,
            attempts=result.attempts,
            request_ids=_json(result.request_ids),
            at=now,
        ),
    )
    feedback.checked(connection, result.request_ids, not result.fallback, now)
    if isinstance(result.value, Reply):
        draft = _draft(mail_id, result.value, result.model, now)
        account = inbox.get(connection, mail_id).account
        drafts.create(connection, msgspec.structs.replace(draft, account=account))


def draft_id(mail_id: str) -> str:
    """The id of the reply to a mail: there is one."""
    return f"re-{mail_id}"


def _draft(mail_id: str, reply: Reply, model: str | None, now: float) -> drafts.Draft:
    return drafts.Draft(
        id=draft_id(mail_id),
        mail_id=mail_id,
        idempotency_key=f"reply:{mail_id}",
        recipients=_json(reply.to),
        subject=reply.subject,
        body=reply.body,
        in_reply_to=reply.in_reply_to,
        thread=_json(reply.references),
        template=reply.template,
        warnings=_json(reply.warnings),
        by_model=model,
        created=now,
        changed=now,
    )


def add(
    connection: Connection, mail: inbox.NewMail, place: Place | None, now: float, submit: Submit | None = None
) -> inbox.StoredMail:
    """The mail as stored and, in the same transaction, where it was found and that there is work to do."""
    stored, _ = inbox.add(connection, mail, now)
    if submit is not None and stored.state != "done":
        submit(connection, stored)
    if place is not None:
        spot = mailboxes.Spot(place.account, place.folder, place.validity, place.uid, place.nonce)
        mailboxes.see(connection, spot, stored.id, now)
    return stored


def new_mail(raw: RawMail, mail: Mail, *, account: str | None = None, privacy: str | None = None) -> inbox.NewMail:
    """The row of `mail` as read from `raw`, with its text as far as it is kept. `account`: the mailbox's name."""
    kept = msgspec.structs.replace(mail, text=mail.text[:KEPT_TEXT])
    return inbox.NewMail(
        id=mail.id,
        dedupe_key=mail.dedupe_key,
        source=_storable(raw.source),
        source_key=_storable(raw.key),
        sender=str(mail.sender),
        subject=mail.subject,
        date=mail.date,
        mail=_json(kept),
        account=account or _storable(raw.source),
        message_id=mail.message_id,
        references=answered(mail),
        privacy=privacy,
    )


def answered(mail: Mail) -> tuple[str, ...]:
    """The Message-IDs that a mail answers, the oldest first."""
    before = (*mail.references, *((mail.in_reply_to,) if mail.in_reply_to else ()))
    return tuple(each for each in dict.fromkeys(before) if each != mail.message_id)


def _storable(path: str) -> str:
    """A path as text that any database takes: names that are no UTF-8 lose the odd bytes."""
    return path.encode("utf-8", "backslashreplace").decode()


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
