"""Drafts: what waits for a person's word before it goes out.

The life of a draft is `TRANSITIONS` and nothing else. A row itself is `draft`, `approved` or `rejected`; what comes
after an approval is the state of the effect that it names (`workstreams.effects`), so that whether a mail went out
is written down in one place. There is at most one draft per `idempotency_key`, so that a mail that is looked at
twice is not answered twice.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    Row,
    Table,
    Text,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy import false as sql_false

from chittycan.errors import NotFound
from chittycan.store.tables import metadata
from chittycan.store.upsert import insert
from chittycan.store.work_tables import effects

# From each state, where a draft may go. `unknown`: the connection broke after the mail was handed over; only a
# look at the outside tells which it was, and nothing is sent a second time blindly.
TRANSITIONS: dict[str, tuple[str, ...]] = {
    "draft": ("draft", "approved", "rejected"),
    "approved": ("approved", "sending", "draft", "rejected"),  # an edit takes the approval back
    "sending": ("sent", "failed", "unknown"),
    "unknown": ("sent", "failed"),
    "failed": ("sending", "approved", "draft", "rejected", "sent"),  # sent: who said that it was not was wrong
    "sent": (),
    "rejected": ("draft",),
}
# Only by the word of a person who had said that it was sent, and was wrong, or of what came back. No edit takes back
# what was sent.
TAKEN_BACK = ("sent", "draft")
MOST_BOUNCED = 100  # recipients of one draft

drafts = Table(
    "drafts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("mail_id", Text, nullable=False),  # the mail that it answers
    Column("idempotency_key", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("recipients", Text, nullable=False),  # JSON list of {name, address}
    Column("cc", Text, nullable=False, server_default="[]"),  # the same
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("in_reply_to", Text),
    Column("thread", Text, nullable=False),  # JSON list: the References header
    Column("template", Text, nullable=False),
    Column("warnings", Text, nullable=False),  # JSON list: what a person should look at
    Column("by_model", Text),  # None: from rules
    Column("account", Text),  # in whose name it goes out; None: the default
    Column("original", Text),  # SHA-256 of the body as it was first written
    Column("edited", Boolean, nullable=False, server_default=sql_false()),  # a person changed something
    Column("automatic", Boolean, nullable=False, server_default=sql_false()),  # an acknowledgement: nobody approves
    Column("decided_by", Text),  # who approved or rejected it
    Column("decided_at", Double),
    Column("reason", Text),  # of a rejection
    Column("approval", Text),  # SHA-256 of exactly what was approved
    Column("message_id", Text),  # fixed with the approval
    Column("effect", Text),  # key of the effect that sends it: another one with each approval
    Column("dispatched", Double),  # when it was last handed to a server; its Date
    Column("copy", Text),  # kept: we put it among the sent mails; there: the server did; none; None: not yet
    Column("attachments", Text, nullable=False, server_default="[]"),  # JSON list of `Attached`
    Column("bounced", Text),  # JSON list of `Bounced`: a server said of what was sent that it did not arrive
    Column("created", Double, nullable=False),
    Column("changed", Double, nullable=False),
    CheckConstraint("state IN ({})".format(", ".join(f"'{state}'" for state in TRANSITIONS)), name="state"),
    Index(None, "idempotency_key", unique=True),
    Index(None, "mail_id"),
    Index(None, "state"),
    Index(None, "effect"),
    Index(None, "message_id"),
)

# What the files of a draft hold.
draft_files = Table(
    "draft_files",
    metadata,
    Column("draft_id", Text, ForeignKey("drafts.id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)


class Draft(Struct, frozen=True, kw_only=True):
    """A draft; `recipients`, `cc`, `thread`, `warnings` and `attachments` are JSON lists. `state`: of `TRANSITIONS`.

    `detail` is what is known of its sending: JSON of `workstreams.effects.Effect.detail`, None before it began; `told`
    is when that was written down.
    """

    id: str
    mail_id: str
    idempotency_key: str
    recipients: str
    subject: str
    body: str
    in_reply_to: str | None
    thread: str
    template: str
    warnings: str
    by_model: str | None
    created: float
    changed: float
    state: str = "draft"
    cc: str = "[]"
    account: str | None = None
    original: str | None = None
    edited: bool = False
    automatic: bool = False
    decided_by: str | None = None
    decided_at: float | None = None
    reason: str | None = None
    approval: str | None = None
    message_id: str | None = None
    effect: str | None = None
    dispatched: float | None = None
    copy: str | None = None
    attachments: str = "[]"
    bounced: str | None = None
    detail: str | None = None
    told: float | None = None


class Attached(Struct, frozen=True, kw_only=True):
    """A file that goes out with a draft. `size` is in bytes."""

    name: str
    media_type: str
    size: int
    sha256: str


class Bounced(Struct, frozen=True, kw_only=True):
    """Somebody whom a draft did not reach, by the word of a `mail` that came back. `status` as in RFC 3463."""

    recipient: str
    status: str
    reason: str
    mail: str
    at: float


# What is written anew where nobody has touched the draft yet.
_TEXT = ("recipients", "cc", "subject", "body", "template", "warnings", "by_model", "account", "original", "changed")
_state = func.coalesce(effects.c.state, drafts.c.state)


def create(connection: Connection, draft: Draft) -> Draft:
    """Store a draft; one with its `idempotency_key` that nobody has touched yet gets the new text instead.

    Gives back what is stored: unchanged where the older one is past the state `draft`, or a person edited it.
    """
    values = asdict(replace(draft, original=digest(draft.body)))
    del values["detail"], values["told"]
    new = insert(connection, drafts).values(values)
    text = {name: new.excluded[name] for name in _TEXT}
    untouched = and_(drafts.c.state == "draft", drafts.c.edited.is_(False))
    connection.execute(new.on_conflict_do_update(index_elements=["idempotency_key"], set_=text, where=untouched))
    return _draft(connection.execute(_all().where(drafts.c.idempotency_key == draft.idempotency_key)).one())


def add(connection: Connection, draft: Draft) -> bool:
    """Store a draft; False where there is one of its `id` or `idempotency_key`, which stays as it is."""
    values = asdict(replace(draft, original=digest(draft.body)))
    del values["detail"], values["told"]
    new = insert(connection, drafts).values(values).on_conflict_do_nothing().returning(drafts.c.id)
    return connection.execute(new).first() is not None


def digest(body: str) -> str:
    """What is kept of a body as it was first written."""
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()


def get(connection: Connection, start: str) -> Draft:
    """The draft whose id, or whose mail's id, is or alone begins with `start`.

    Raises `NotFound` where there is none or more than one.
    """
    typed = start.strip().lower()
    of_the_mail = and_(drafts.c.mail_id.startswith(typed, autoescape=True), drafts.c.automatic.is_(False))
    matches = or_(drafts.c.id.startswith(typed, autoescape=True), of_the_mail)
    rows = connection.execute(_all().where(matches).limit(2)).all() if typed else []
    if len(rows) == 1:
        return _draft(rows[0])
    problem = f"several drafts begin with {start!r}" if rows else f"no draft {start!r}"
    raise NotFound(problem, param="draft", fix="`can router drafts list` shows the ids.")


def find(connection: Connection, draft_id: str) -> Draft | None:
    row = connection.execute(_all().where(drafts.c.id == draft_id)).one_or_none()
    return None if row is None else _draft(row)


def of_mail(connection: Connection, mail_id: str) -> Draft | None:
    """The reply to a mail, where there is one."""
    reply = (drafts.c.mail_id == mail_id, drafts.c.automatic.is_(False))
    row = connection.execute(_all().where(*reply)).first()
    return _draft(row) if row is not None else None


def listing(
    connection: Connection, *, state: str | None = None, limit: int = 50, automatic: bool | None = None
) -> list[Draft]:
    """Drafts, newest first."""
    query = _all().order_by(drafts.c.created.desc(), drafts.c.id).limit(limit)
    if state:
        query = query.where(_state == state)
    if automatic is not None:
        query = query.where(drafts.c.automatic.is_(automatic))
    return [_draft(row) for row in connection.execute(query)]


def open_ends(connection: Connection, after: tuple[float, str], limit: int = 100) -> list[Draft]:
    """What was sent, or tried, and is not finished: no certain end, or no copy among the sent mails.

    In the order in which they were tried, those behind `after`: when one was, and its id.
    """
    at, draft_id = after
    behind = or_(drafts.c.dispatched > at, and_(drafts.c.dispatched == at, drafts.c.id > draft_id))
    query = _all().where(behind, or_(effects.c.state != "sent", drafts.c.copy.is_(None)))
    return [_draft(row) for row in connection.execute(query.order_by(drafts.c.dispatched, drafts.c.id).limit(limit))]


def acknowledged(connection: Connection, mail_ids: Collection[str], since: float) -> bool:
    """Whether one of these mails was acknowledged since, or is to be."""
    one = select(drafts.c.id).where(drafts.c.mail_id.in_(mail_ids), drafts.c.automatic, drafts.c.created > since)
    return connection.execute(one.limit(1)).first() is not None


def hold(connection: Connection, draft_id: str) -> Draft:
    """The draft, which nobody else changes before this transaction ends. Raises NotFound."""
    connection.execute(select(drafts.c.id).where(drafts.c.id == draft_id).with_for_update())
    # Only now: what others wrote while we waited has to be seen, of the effect too.
    found = find(connection, draft_id)
    if found is None:
        raise NotFound(f"no draft {draft_id!r}", param="draft")
    return found


def put(connection: Connection, draft_id: str, **values: Any) -> Draft:
    """Set these columns; gives the draft as it is then."""
    connection.execute(update(drafts).where(drafts.c.id == draft_id).values(**values))
    return _draft(connection.execute(_all().where(drafts.c.id == draft_id)).one())


def contents(connection: Connection, draft_id: str) -> dict[str, bytes]:
    """What its files hold, by their SHA-256."""
    query = select(draft_files.c.sha256, draft_files.c.content).where(draft_files.c.draft_id == draft_id)
    return {row.sha256: row.content for row in connection.execute(query)}


def keep_contents(connection: Connection, draft_id: str, new: Mapping[str, bytes], of: Collection[str]) -> None:
    """Adds what `new` files hold, by their SHA-256, and forgets what is none `of` these."""
    for sha256, content in new.items():
        values = {"draft_id": draft_id, "sha256": sha256, "content": content}
        connection.execute(insert(connection, draft_files).values(values).on_conflict_do_nothing())
    here = draft_files.c.draft_id == draft_id
    connection.execute(delete(draft_files).where(here, draft_files.c.sha256.not_in(of)))


def with_message_id(connection: Connection, message_id: str) -> Draft | None:
    """What was sent, or may have been, as the mail with this Message-ID: it is as good as random."""
    sent = (drafts.c.message_id == message_id, effects.c.state.in_(("sending", "sent", "unknown")))
    row = connection.execute(_all().where(*sent)).first()
    return None if row is None else _draft(row)


def came_back(connection: Connection, draft_id: str, message_id: str, found: Sequence[Bounced]) -> None:
    """Notes whom a draft did not reach, each once, as long as it is what was sent as the mail with this Message-ID."""
    held = hold(connection, draft_id)
    if held.message_id != message_id:
        return
    known = bounces(held)
    told = {each.recipient.lower() for each in known}
    new = [each for each in found if each.recipient.lower() not in told]
    if new and len(known) < MOST_BOUNCED:
        written = msgspec.json.encode([*known, *new][:MOST_BOUNCED]).decode()
        put(connection, draft_id, bounced=written)


def bounces(draft: Draft) -> list[Bounced]:
    return [] if draft.bounced is None else msgspec.json.decode(draft.bounced, type=list[Bounced])


def underway(connection: Connection, mail_ids: Collection[str], since: float, *, besides: str) -> int:
    """How many drafts but `besides` that answer one of these mails were sent since, or may have been."""
    return _count(connection, since, besides, drafts.c.mail_id.in_(mail_ids))


def underway_to(connection: Connection, address: str, since: float, *, besides: str) -> int:
    """How many drafts but `besides` were sent to an address since, or may have been."""
    return _count(connection, since, besides, _to(address))


def wrote_to(connection: Connection, address: str, *, besides: str) -> bool:
    """Whether what a person approved was sent to an address, in answer to whatever but the mail `besides`."""
    query = select(drafts.c.id).join(effects, effects.c.key == drafts.c.effect).where(effects.c.state == "sent")
    query = query.where(drafts.c.automatic.is_(False), drafts.c.mail_id != besides, _to(address))
    return connection.execute(query.limit(1)).first() is not None


def _to(address: str) -> ColumnElement[bool]:
    written = f'"address":"{address.lower()}"'
    there = [func.lower(column).contains(written, autoescape=True) for column in (drafts.c.recipients, drafts.c.cc)]
    return or_(*there)


def _count(connection: Connection, since: float, besides: str, which: ColumnElement[bool]) -> int:
    done = and_(effects.c.state.in_(("sending", "sent", "unknown")), drafts.c.dispatched > since)
    query = select(func.count()).select_from(drafts.join(effects, effects.c.key == drafts.c.effect))
    return connection.execute(query.where(done, which, drafts.c.id != besides)).scalar_one()


def _all() -> Any:
    joined = drafts.outerjoin(effects, effects.c.key == drafts.c.effect)
    return select(drafts, _state.label("now"), effects.c.detail, effects.c.updated_at.label("told")).select_from(joined)


def _draft(row: Row[Any]) -> Draft:
    values = dict(row._mapping)
    values["state"] = values.pop("now")
    return Draft(**values)
