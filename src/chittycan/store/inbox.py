"""The inbox: mails that were seen, and every run of an agent on them.

A mail is kept once, whatever mailbox shows it again (`dedupe_key`). Its `state` is `new` until every step is
done; the steps that are done are its rows in `agent_runs`, so that a mail that was left half done goes on
where it stopped. A mail that is `new` and has a category waits for a model: that is what rules say, for now.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    Row,
    Table,
    Text,
    and_,
    case,
    exists,
    func,
    or_,
    select,
    update,
)

from chittycan.errors import NotFound
from chittycan.store.drafts import drafts
from chittycan.store.tables import metadata
from chittycan.store.topics import address_in, is_reply, topic_of
from chittycan.store.upsert import insert

TOPIC_SECONDS = 30 * 86_400.0  # within which a sender's replies under one subject are one conversation
MOST_REFERENCES = 50  # of one mail that are looked up; the newest

mails = Table(
    "mails",
    metadata,
    Column("id", Text, primary_key=True),
    Column("dedupe_key", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("source_key", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("date", Double),  # as the mail says
    Column("mail", Text, nullable=False),  # JSON of the parsed mail, its text cut
    Column("state", Text, nullable=False),  # new | done
    Column("settled", Text),  # why no model was needed: newsletter, auto_reply, notification, spam, own
    Column("category", Text),
    Column("level", Text),
    Column("rank", Integer, nullable=False),  # 4 CRITICAL … 1 LOW, 0 not known yet
    Column("read", Boolean, nullable=False),
    Column("added", Double, nullable=False),
    Column("done", Double),
    Column("account", Text),  # the account's name, else the mailbox on disk
    Column("message_id", Text),
    Column("thread", Text),  # the same for all mails of one conversation: `threads.place`
    Column("topic", Text),  # the subject without its reply marks, lower-case
    Column("privacy", Text),  # local: private models only; metadata: only its headers are here; None: neither
    Column("review", Text),  # pending | approved | corrected | auto_approved; None until it is done
    Column("reviewed_at", Double),
    Column("reviewed_by", Text),
    Column("said_category", Text),  # what came out before a person looked
    Column("said_level", Text),
    Column("doubt", Text),  # why a person should look, whatever the mode
    Column("proposed", Text),  # JSON list of what rules want done in the mailbox, until a person agrees
    Column("answered", Double),  # when a reply to it went out
    Index(None, "dedupe_key", unique=True),
    Index(None, "rank", "date"),
    Index(None, "message_id"),
    Index(None, "thread"),
    Index(None, "topic"),
    Index(None, "review", "rank"),
)

# When a mail came: as its Date says, but no later than it was here, or it would stay on top for as long as it likes.
came = case((mails.c.date < mails.c.added, mails.c.date), else_=mails.c.added)

agent_runs = Table(
    "agent_runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mail_id", Text, ForeignKey("mails.id", ondelete="CASCADE"), nullable=False),
    Column("agent", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("version", Text, nullable=False),  # of what the model was told
    Column("output", Text, nullable=False),  # JSON
    Column("fallback", Boolean, nullable=False),  # the output is from rules, because of `reason`
    Column("reason", Text),
    Column("repaired", Boolean, nullable=False),
    Column("model", Text),
    Column("cost_nano", BigInteger),
    Column("ms", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("request_ids", Text, nullable=False),  # JSON list, keys of the ledger
    Column("at", Double, nullable=False),
    Index(None, "mail_id"),
    Index(None, "agent", "at"),
)


class NewMail(Struct, frozen=True, kw_only=True):
    """A mail as it is put into the inbox; `mail` is JSON that only the caller reads.

    `references`: the Message-IDs that it answers, the oldest first.
    """

    id: str
    dedupe_key: str
    source: str
    source_key: str
    sender: str
    subject: str
    date: float | None
    mail: str
    account: str | None = None
    message_id: str | None = None
    references: tuple[str, ...] = ()
    privacy: str | None = None


class StoredMail(Struct, frozen=True, kw_only=True):
    """A row of `mails`."""

    id: str
    dedupe_key: str
    source: str
    source_key: str
    sender: str
    subject: str
    date: float | None
    mail: str
    state: str
    settled: str | None
    category: str | None
    level: str | None
    rank: int
    read: bool
    added: float
    done: float | None
    account: str | None = None
    message_id: str | None = None
    thread: str | None = None
    topic: str | None = None
    privacy: str | None = None
    review: str | None = None
    reviewed_at: float | None = None
    reviewed_by: str | None = None
    said_category: str | None = None
    said_level: str | None = None
    doubt: str | None = None
    proposed: str | None = None
    answered: float | None = None


class ListedMail(Struct, frozen=True, kw_only=True, rename={"sender": "from", "draft_id": "draftId"}):
    """One line of the inbox."""

    id: str
    priority: str | None
    sender: str
    subject: str
    category: str | None
    settled: str | None
    date: float | None
    read: bool
    draft_id: str | None
    account: str | None = None
    review: str | None = None
    fallback: bool = False  # rules answered where a model should have
    waits: bool = False  # for a model: what is said of it is by rules, for now


class InboxStats(Struct, frozen=True, kw_only=True, rename="camel"):
    """`pending_response` counts drafts that wait for a person."""

    total: int
    unread: int
    high_priority: int
    pending_response: int


class Run(Struct, frozen=True, kw_only=True):
    """One run of an agent on one mail. `output` and `request_ids` are JSON, `cost_nano` nano-dollars."""

    mail_id: str
    agent: str
    kind: str
    version: str
    output: str
    fallback: bool
    reason: str | None
    repaired: bool
    model: str | None
    cost_nano: int | None
    ms: float
    attempts: int
    request_ids: str
    at: float


class AgentSummary(Struct, frozen=True, kw_only=True, rename="camel"):
    """What an agent did so far. `cost_nano` sums the runs whose price is known."""

    agent: str
    invocations: int
    fallbacks: int
    repaired: int
    mean_ms: float | None  # of the runs that a model answered
    cost_nano: int
    last: float | None


def add(connection: Connection, mail: NewMail, now: float) -> tuple[StoredMail, bool]:
    """The mail as stored, and whether it is new. An older copy stays as it is, but is private where this one is."""
    values = {**asdict(mail), "state": "new", "rank": 0, "read": False, "added": now}
    del values["references"]
    values |= {"thread": _thread(connection, mail, now), "topic": topic_of(mail.subject)}
    statement = insert(connection, mails).values(values).on_conflict_do_nothing(index_elements=["dedupe_key"])
    new = connection.execute(statement.returning(mails.c.id)).first() is not None
    same = mails.c.dedupe_key == mail.dedupe_key
    if not new and mail.privacy is not None:  # what it holds beyond its headers is here already
        connection.execute(update(mails).where(same, mails.c.privacy.is_(None)).values(privacy="local"))
    return _stored(connection.execute(select(mails).where(same)).one()), new


def _thread(connection: Connection, mail: NewMail, now: float) -> str:
    """The conversation of a mail that is not stored yet: by what it answers, else by its subject.

    The subject counts where it is marked as a reply's and the same sender wrote under it within `TOPIC_SECONDS`.
    """
    if mail.references:
        known = select(mails.c.thread).where(mails.c.message_id.in_(mail.references[-MOST_REFERENCES:]))
        found: str | None = connection.execute(known.where(mails.c.thread.is_not(None)).limit(1)).scalar()
        return found or mail.references[0]
    return _thread_by_topic(connection, mail, now) or mail.message_id or mail.dedupe_key


def _thread_by_topic(connection: Connection, mail: NewMail, now: float) -> str | None:
    topic = topic_of(mail.subject)
    if not topic or not is_reply(mail.subject):
        return None
    when, at = func.coalesce(mails.c.date, mails.c.added), now if mail.date is None else mail.date
    query = select(mails.c.thread, mails.c.sender).where(
        mails.c.topic == topic, when >= at - TOPIC_SECONDS, when <= at + TOPIC_SECONDS, mails.c.thread.is_not(None)
    )
    rows = connection.execute(query.order_by(when.desc()).limit(20))
    return next((row.thread for row in rows if address_in(row.sender) == address_in(mail.sender)), None)


def earlier(connection: Connection, mail: StoredMail, limit: int = 20) -> list[StoredMail]:
    """The other mails of its conversation that came before it, the newest first."""
    if mail.thread is None:
        return []
    when, at = func.coalesce(mails.c.date, mails.c.added), mail.added if mail.date is None else mail.date
    query = select(mails).where(mails.c.thread == mail.thread, mails.c.id != mail.id, when <= at)
    return [_stored(row) for row in connection.execute(query.order_by(when.desc()).limit(limit))]


def later(connection: Connection, mail: StoredMail, *, settled: str | None = None, limit: int = 20) -> list[StoredMail]:
    """The other mails of its conversation that came after it, the oldest first; with `settled` those settled so."""
    if mail.thread is None:
        return []
    when, at = func.coalesce(mails.c.date, mails.c.added), mail.added if mail.date is None else mail.date
    query = select(mails).where(mails.c.thread == mail.thread, mails.c.id != mail.id, when > at)
    if settled is not None:
        query = query.where(mails.c.settled == settled)
    return [_stored(row) for row in connection.execute(query.order_by(when).limit(limit))]


def with_message_ids(connection: Connection, ids: Sequence[str], *, settled: str) -> list[StoredMail]:
    """The mails with one of these Message-IDs that were settled so; of many ids the last ones are looked up."""
    if not ids:
        return []
    query = select(mails).where(mails.c.message_id.in_(ids[-MOST_REFERENCES:]), mails.c.settled == settled)
    return [_stored(row) for row in connection.execute(query)]


class Finding(Struct, frozen=True, kw_only=True):
    """What came out of a mail. `rank`: 4 CRITICAL … 1 LOW; `proposed`: JSON list; the rest as the columns say.

    `said_category` and `said_level` are the agents' own, where what people taught changed them.
    """

    category: str
    level: str
    rank: int
    settled: str | None = None
    review: str = "pending"
    doubt: str | None = None
    proposed: str | None = None
    said_category: str | None = None
    said_level: str | None = None


def finish(connection: Connection, mail_id: str, found: Finding, now: float) -> bool:
    """Say that every step of a mail is done, and what came out. False where that was said: what is there then stays."""
    said = {"said_category": found.said_category or found.category, "said_level": found.said_level or found.level}
    values = {**asdict(found), **said, "state": "done", "done": now}
    open_ = (mails.c.id == mail_id, mails.c.state != "done")
    return connection.execute(update(mails).where(*open_).values(values)).rowcount > 0


def show(connection: Connection, mail_id: str, found: Finding) -> bool:
    """What rules say of a mail that waits; a person may pass it as it stands. False where it is done."""
    open_ = (mails.c.id == mail_id, mails.c.state != "done")
    values = {name: getattr(found, name) for name in ("category", "level", "rank", "review", "doubt")}
    return connection.execute(update(mails).where(*open_).values(values)).rowcount > 0


def get(connection: Connection, start: str) -> StoredMail:
    """The mail whose id is, or alone begins with, `start`.

    Raises `NotFound` where there is none or more than one.
    """
    typed = start.strip().lower()
    matches = mails.c.id.startswith(typed, autoescape=True)
    rows = connection.execute(select(mails).where(matches).limit(2)).all() if typed else []
    if len(rows) == 1:
        return _stored(rows[0])
    problem = f"several mails begin with {start!r}" if rows else f"no mail {start!r} in the inbox"
    raise NotFound(problem, param="email", fix="`can router inbox list` shows the ids.")


def known(connection: Connection, dedupe_key: str) -> StoredMail | None:
    """The stored copy of a mail, without storing anything."""
    row = connection.execute(select(mails).where(mails.c.dedupe_key == dedupe_key)).one_or_none()
    return _stored(row) if row is not None else None


def mark_read(connection: Connection, mail_id: str, *, read: bool = True) -> None:
    connection.execute(update(mails).where(mails.c.id == mail_id).values(read=read))


def mark_answered(connection: Connection, mail_id: str, at: float) -> None:
    """A reply went out, so somebody has read it."""
    connection.execute(update(mails).where(mails.c.id == mail_id).values(answered=at, read=True))


def mark_settled(connection: Connection, mail_id: str, why: str) -> None:
    """What a mail is shows in another folder than where it was first seen."""
    connection.execute(update(mails).where(mails.c.id == mail_id).values(settled=why))


def mark_unanswered(connection: Connection, mail_id: str) -> None:
    """No reply went out after all."""
    connection.execute(update(mails).where(mails.c.id == mail_id).values(answered=None))


def with_draft(connection: Connection, source: str, limit: int = 10_000) -> dict[str, str]:
    """The keys of a source's mails whose reply waits for a person, and that nobody answered, by the mails' ids."""
    waits = (drafts.c.mail_id == mails.c.id, drafts.c.state.in_(("draft", "approved")), drafts.c.automatic.is_(False))
    query = select(mails.c.id, mails.c.source_key).join(drafts, and_(*waits))
    query = query.where(mails.c.source == source, mails.c.answered.is_(None)).order_by(mails.c.added.desc())
    return {row.id: row.source_key for row in connection.execute(query.limit(limit))}


def conversation(connection: Connection, mail_id: str) -> list[str]:
    """The ids of the mails of its conversation, its own among them."""
    thread = select(mails.c.thread).where(mails.c.id == mail_id).scalar_subquery()
    found = connection.execute(select(mails.c.id).where(mails.c.thread == thread)).scalars()
    return list({mail_id, *found})


def done_since(connection: Connection, done: float, added: float, limit: int = 200) -> list[StoredMail]:
    """Mails that no prefilter settled, done since `done` and added since `added`, in the order they were done."""
    query = select(mails).where(mails.c.state == "done", mails.c.settled.is_(None), mails.c.done >= done)
    query = query.where(mails.c.added > added).order_by(mails.c.done, mails.c.id).limit(limit)
    return [_stored(row) for row in connection.execute(query)]


def listing(
    connection: Connection,
    *,
    unread: bool = False,
    priority: str | None = None,
    account: str | None = None,
    limit: int = 50,
) -> list[ListedMail]:
    """The inbox, most urgent first, then newest first."""
    names = ("id", "sender", "subject", "category", "settled", "date", "read", "account", "review")
    waits = and_(mails.c.state != "done", mails.c.category.is_not(None))
    fallback = or_(waits, exists().where(agent_runs.c.mail_id == mails.c.id, agent_runs.c.fallback))
    columns = [*(mails.c[name] for name in names), fallback.label("fallback"), waits.label("waits")]
    reply = and_(drafts.c.mail_id == mails.c.id, drafts.c.automatic.is_(False))
    joined = mails.outerjoin(drafts, reply)
    query = select(*columns, mails.c.level.label("priority"), drafts.c.id.label("draft_id")).select_from(joined)
    if unread:
        query = query.where(mails.c.read.is_(False))
    if priority:
        query = query.where(mails.c.level == priority.upper())
    if account:
        query = query.where(mails.c.account == account)
    order = (mails.c.rank.desc(), came.desc(), mails.c.id)
    return [ListedMail(**row._mapping) for row in connection.execute(query.order_by(*order).limit(limit))]


def since(connection: Connection, moment: float, *, limit: int) -> list[StoredMail]:
    """Mails from `moment` (Unix seconds) on that a person should see: most urgent first, then newest first."""
    query = select(mails).where(came >= moment, mails.c.settled.is_(None))
    return [_stored(row) for row in connection.execute(query.order_by(mails.c.rank.desc(), came.desc()).limit(limit))]


def latest(connection: Connection, limit: int) -> list[StoredMail]:
    """What came in last, the newest first."""
    query = select(mails).order_by(came.desc(), mails.c.id).limit(limit)
    return [_stored(row) for row in connection.execute(query)]


def stats(connection: Connection) -> InboxStats:
    """The inbox in four numbers."""
    total, unread, high = connection.execute(
        select(func.count(), _count(mails.c.read.is_(False)), _count(mails.c.rank >= 3)).select_from(mails)
    ).one()
    pending = connection.execute(select(func.count()).where(drafts.c.state == "draft")).scalar_one()
    return InboxStats(total=total, unread=unread, high_priority=high, pending_response=pending)


def record(connection: Connection, run: Run) -> None:
    """Keep what an agent did."""
    connection.execute(agent_runs.insert().values(asdict(run)))


def spent(connection: Connection, account: str, since: float) -> int:
    """Nano-dollars that reading the mail of one account has cost since then, as far as prices are known."""
    joined = agent_runs.join(mails, mails.c.id == agent_runs.c.mail_id)
    query = select(func.coalesce(func.sum(agent_runs.c.cost_nano), 0)).select_from(joined)
    return int(connection.execute(query.where(mails.c.account == account, agent_runs.c.at >= since)).scalar_one())


def runs_of(connection: Connection, mail_id: str) -> list[Run]:
    """The runs on one mail, oldest first."""
    return _runs(
        connection.execute(select(agent_runs).where(agent_runs.c.mail_id == mail_id).order_by(agent_runs.c.id))
    )


def history(connection: Connection, agent: str, *, limit: int = 20) -> list[Run]:
    """The last runs of one agent, newest first."""
    query = select(agent_runs).where(agent_runs.c.agent == agent).order_by(agent_runs.c.id.desc()).limit(limit)
    return _runs(connection.execute(query))


def summaries(connection: Connection) -> list[AgentSummary]:
    """Every agent that ever ran, by name."""
    query = select(
        agent_runs.c.agent,
        func.count().label("invocations"),
        _count(agent_runs.c.fallback).label("fallbacks"),
        _count(agent_runs.c.repaired).label("repaired"),
        func.avg(case((agent_runs.c.model.is_not(None), agent_runs.c.ms))).label("mean_ms"),
        func.coalesce(func.sum(agent_runs.c.cost_nano), 0).label("cost_nano"),
        func.max(agent_runs.c.at).label("last"),
    )
    rows = connection.execute(query.group_by(agent_runs.c.agent).order_by(agent_runs.c.agent))
    return [AgentSummary(**{**row._mapping, "cost_nano": int(row.cost_nano)}) for row in rows]


def _count(condition: Any) -> Any:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _stored(row: Row[Any]) -> StoredMail:
    return StoredMail(**row._mapping)


def _runs(rows: Any) -> list[Run]:
    fields: Sequence[str] = Run.__struct_fields__
    return [Run(**{name: row._mapping[name] for name in fields}) for row in rows]
