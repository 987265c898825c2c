"""Drafts: what waits for a person's word before it goes out.

The life of a draft is `TRANSITIONS` and nothing else; the database refuses any other word. There is at most
one draft per `idempotency_key`, so that a mail that is looked at twice is not answered twice.
"""

from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import CheckConstraint, Column, Connection, Double, Index, Row, Table, Text, or_, select

from chittycan.errors import NotFound
from chittycan.store.tables import metadata
from chittycan.store.upsert import insert

# From each state, where a draft may go. `unknown`: the connection broke after the mail was handed over; only a
# look at the outside tells which it was, and nothing is sent a second time blindly.
TRANSITIONS: dict[str, tuple[str, ...]] = {
    "draft": ("approved", "rejected"),
    "approved": ("sending", "draft"),  # an edit takes the approval back
    "sending": ("sent", "failed", "unknown"),
    "unknown": ("sent", "failed"),
    "failed": ("draft",),
    "sent": (),
    "rejected": (),
}

drafts = Table(
    "drafts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("mail_id", Text, nullable=False),  # the mail that it answers
    Column("idempotency_key", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("recipients", Text, nullable=False),  # JSON list of {name, address}
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("in_reply_to", Text),
    Column("thread", Text, nullable=False),  # JSON list: the References header
    Column("template", Text, nullable=False),
    Column("warnings", Text, nullable=False),  # JSON list: what a person should look at
    Column("by_model", Text),  # None: from rules
    Column("created", Double, nullable=False),
    Column("changed", Double, nullable=False),
    CheckConstraint("state IN ({})".format(", ".join(f"'{state}'" for state in TRANSITIONS)), name="state"),
    Index(None, "idempotency_key", unique=True),
    Index(None, "mail_id"),
    Index(None, "state"),
)


class Draft(Struct, frozen=True, kw_only=True):
    """A row of `drafts`; `recipients`, `thread` and `warnings` are JSON lists."""

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


def create(connection: Connection, draft: Draft) -> Draft:
    """Store a draft; one with its `idempotency_key` that nobody has approved yet gets the new text instead.

    Gives back what is stored: unchanged where the older one is past the state `draft`.
    """
    new = insert(connection, drafts).values(asdict(draft))
    text = {name: new.excluded[name] for name in ("subject", "body", "template", "warnings", "by_model", "changed")}
    connection.execute(
        new.on_conflict_do_update(index_elements=["idempotency_key"], set_=text, where=drafts.c.state == "draft")
    )
    same = drafts.c.idempotency_key == draft.idempotency_key
    return _draft(connection.execute(select(drafts).where(same)).one())


def get(connection: Connection, start: str) -> Draft:
    """The draft whose id, or whose mail's id, is or alone begins with `start`.

    Raises `NotFound` where there is none or more than one.
    """
    typed = start.strip().lower()
    matches = or_(drafts.c.id.startswith(typed, autoescape=True), drafts.c.mail_id.startswith(typed, autoescape=True))
    rows = connection.execute(select(drafts).where(matches).limit(2)).all() if typed else []
    if len(rows) == 1:
        return _draft(rows[0])
    problem = f"several drafts begin with {start!r}" if rows else f"no draft {start!r}"
    raise NotFound(problem, param="draft", fix="`can router drafts list` shows the ids.")


def of_mail(connection: Connection, mail_id: str) -> Draft | None:
    """The reply to a mail, where there is one."""
    row = connection.execute(select(drafts).where(drafts.c.mail_id == mail_id)).first()
    return _draft(row) if row is not None else None


def listing(connection: Connection, *, state: str | None = None, limit: int = 50) -> list[Draft]:
    """Drafts, newest first."""
    query = select(drafts).order_by(drafts.c.created.desc(), drafts.c.id).limit(limit)
    if state:
        query = query.where(drafts.c.state == state)
    return [_draft(row) for row in connection.execute(query)]


def _draft(row: Row[Any]) -> Draft:
    return Draft(**row._mapping)
