"""What people said of mails: an agent's word, theirs, and by what such a mail may be known again.

Senders, lists and words are kept as hashes: what is learnt from them is counted and never read. A person's last word
on a mail counts; a judgement outlives its mail. Every change raises the revision "judgements".
"""

from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import Column, Connection, Double, Index, Integer, Table, Text, delete, select

from chittycan.errors import NotFound
from chittycan.store.revisions import raise_revision
from chittycan.store.tables import metadata
from chittycan.store.upsert import insert

REVISION = "judgements"
MOST = 5_000  # that are learnt from: the newest

judgements = Table(
    "judgements",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mail_id", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("person", Text),
    Column("field", Text, nullable=False),  # category | level
    Column("said", Text, nullable=False),  # by the agents
    Column("label", Text, nullable=False),  # by the person; the same where they agree
    Column("sender", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("list_id", Text),
    Column("words", Text, nullable=False),  # JSON list
    Index(None, "mail_id", "field", unique=True),
)


class Judgement(Struct, frozen=True, kw_only=True):
    """A row; `sender`, `domain`, `list_id` and the JSON list `words` are hashes."""

    mail_id: str
    at: float
    person: str | None
    field: str
    said: str
    label: str
    sender: str
    domain: str
    list_id: str | None
    words: str
    id: int = 0


def keep(connection: Connection, judgement: Judgement) -> None:
    """Stores it; an earlier one of the same mail and field gives way."""
    values = asdict(judgement)
    del values["id"]
    told = {name: value for name, value in values.items() if name not in ("mail_id", "field", "said")}
    statement = insert(connection, judgements).values(values)
    connection.execute(statement.on_conflict_do_update(index_elements=["mail_id", "field"], set_=told))
    raise_revision(connection, REVISION)


def every(connection: Connection, limit: int = MOST) -> list[Judgement]:
    """The newest first."""
    query = select(judgements).order_by(judgements.c.at.desc(), judgements.c.id.desc()).limit(limit)
    return [_judgement(row) for row in connection.execute(query)]


def last_word(connection: Connection, sender: str, *, besides: str) -> str | None:
    """The category that a person gave the sender's last mail but `besides`; None where nobody looked at one."""
    query = select(judgements.c.label).where(judgements.c.sender == sender, judgements.c.field == "category")
    query = query.where(judgements.c.mail_id != besides).order_by(judgements.c.at.desc(), judgements.c.id.desc())
    return connection.execute(query.limit(1)).scalar()


def corrections(connection: Connection, limit: int = 50) -> list[Judgement]:
    """Those that are not what the agents said, the newest first."""
    query = select(judgements).where(judgements.c.said != judgements.c.label)
    rows = connection.execute(query.order_by(judgements.c.at.desc(), judgements.c.id.desc()).limit(limit))
    return [_judgement(row) for row in rows]


def forget(connection: Connection, number: int | None) -> int:
    """One judgement by its number, or all of them; how many went. Raises NotFound."""
    statement = delete(judgements) if number is None else delete(judgements).where(judgements.c.id == number)
    gone = connection.execute(statement).rowcount
    raise_revision(connection, REVISION)
    if number is not None and gone == 0:
        raise NotFound(f"no correction {number}", param="correction", fix="`can router corrections list` shows them.")
    return gone


def _judgement(row: Any) -> Judgement:
    return Judgement(**row._mapping)
