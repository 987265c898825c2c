"""What waits for a person's eye: mails that nobody passed yet, and those whose draft waits.

None      nothing is known of it
pending where it waits for a model: a person's word makes an end of that
pending → approved | corrected      by a person; either again, when they think better of it
auto_approved → approved | corrected
"""

from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, case, exists, func, or_, select, update

from chittycan.store.drafts import drafts
from chittycan.store.inbox import StoredMail, came, mails

State = Literal["pending", "approved", "corrected", "auto_approved"]
STATES: tuple[State, ...] = ("pending", "approved", "corrected", "auto_approved")


class Counts(Struct, frozen=True, kw_only=True):
    """`open` counts what waits; `settled` those of them that needed no model and hold no draft."""

    open: int
    settled: int
    approved: int
    corrected: int
    auto_approved: int


def _draft_waits() -> ColumnElement[bool]:
    reply = (drafts.c.mail_id == mails.c.id, drafts.c.automatic.is_(False))
    return exists().where(*reply, drafts.c.state == "draft")


def _open(account: str | None) -> list[ColumnElement[bool]]:
    conditions = [mails.c.category.is_not(None), or_(mails.c.review == "pending", _draft_waits())]
    return conditions if account is None else [*conditions, mails.c.account == account]


def waiting(connection: Connection, *, account: str | None = None, limit: int = 50) -> list[StoredMail]:
    """The most urgent first, then the newest; what needed no model comes last."""
    order = (mails.c.settled.is_not(None), mails.c.rank.desc(), came.desc(), mails.c.id)
    query = select(mails).where(*_open(account)).order_by(*order).limit(limit)
    return [StoredMail(**row._mapping) for row in connection.execute(query)]


def settled(connection: Connection, *, account: str | None = None, limit: int = 200) -> list[str]:
    """The ids of what waits, needed no model and holds no draft: the first of them."""
    query = select(mails.c.id).where(*_open(account), mails.c.settled.is_not(None), ~_draft_waits())
    return list(connection.execute(query.limit(limit)).scalars())


def counts(connection: Connection, *, account: str | None = None) -> Counts:
    mine = [] if account is None else [mails.c.account == account]
    query = select(*(_sum(mails.c.review == state).label(state) for state in STATES)).where(*mine)
    found = connection.execute(query).one()._mapping
    opened = connection.execute(select(func.count()).select_from(mails).where(*_open(account))).scalar_one()
    easy = select(func.count()).select_from(mails).where(*_open(account), mails.c.settled.is_not(None), ~_draft_waits())
    rest = {state: int(found[state]) for state in STATES if state != "pending"}
    return Counts(open=opened, settled=connection.execute(easy).scalar_one(), **rest)


class Word(Struct, frozen=True, kw_only=True):
    """A person's: what the mail is, how urgent (`rank`: 4 CRITICAL … 1 LOW), and what is to be done in the mailbox."""

    category: str
    level: str
    rank: int
    review: State
    proposed: str | None


def decide(connection: Connection, mail_id: str, word: Word, by: str | None, now: float) -> None:
    values: dict[str, Any] = {name: getattr(word, name) for name in word.__struct_fields__}
    values |= {"reviewed_at": now, "reviewed_by": by, "state": "done", "done": func.coalesce(mails.c.done, now)}
    connection.execute(update(mails).where(mails.c.id == mail_id).values(**values))


def _sum(condition: Any) -> Any:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
