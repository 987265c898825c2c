"""How good answers were: what people, outcomes and checks said of them, and the sketches of what had been asked.

Of one request each source has one word, the latest. Where sources disagree a person's word counts, then what became
of the answer, then whether it held to its schema.
"""

from collections.abc import Collection, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import (
    Column,
    Connection,
    Double,
    Index,
    LargeBinary,
    Subquery,
    Table,
    Text,
    case,
    delete,
    func,
    select,
)

from chittycan.store.inbox import agent_runs
from chittycan.store.tables import ledger, metadata
from chittycan.store.upsert import insert

Source = Literal["person", "outcome", "check"]

# `outcome`: a draft was sent as it was, edited or rejected, a task's result was not taken.
# `check`: the answer held to its schema, or did not.
feedback = Table(
    "feedback",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("source", Text, primary_key=True),  # person | outcome | check
    Column("score", Double, nullable=False),  # 0 to 1
    Column("comment", Text),
    Column("key_id", Text),  # who said it; NULL the owner, or nobody
    Column("at", Double, nullable=False),
    Index(None, "at"),
)

# What was asked, as hashes of words and pairs (`routing.quality.features`); of private work there is none.
sketches = Table(
    "sketches",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("kind", Text),
    Column("sketch", LargeBinary, nullable=False),
    Column("at", Double, nullable=False),
    Index(None, "at"),
)


class Word(Struct, frozen=True, kw_only=True):
    """What one source said of one answer: `score` from 0 to 1, `at` Unix seconds."""

    request_id: str
    source: Source
    score: float
    comment: str | None = None
    key_id: str | None = None
    at: float = 0.0


class Sketch(Struct, frozen=True, kw_only=True):
    """A row of `sketches`."""

    request_id: str
    kind: str | None
    sketch: bytes
    at: float


class ScoredCall(Struct, frozen=True):
    """An answer that somebody or something judged. `sketch` is None where none was kept of the question."""

    model: str
    kind: str | None
    sketch: bytes | None
    score: float
    cost_nano: int | None


class Judged(Struct, frozen=True):
    """The scores of one model's answers to one kind of work."""

    model: str
    kind: str | None
    mean: float
    scored: int


class Listed(Struct, frozen=True, kw_only=True):
    """A word with what the ledger knows of its request; `model` is None where that is not one model's answer."""

    request_id: str
    source: str
    score: float
    comment: str | None
    at: float
    model: str | None
    kind: str | None


def say(connection: Connection, word: Word) -> None:
    """The latest word of its source is the one that counts."""
    statement = insert(connection, feedback).values(asdict(word))
    said = {name: statement.excluded[name] for name in ("score", "comment", "key_id", "at")}
    connection.execute(statement.on_conflict_do_update(index_elements=["request_id", "source"], set_=said))


def say_all(connection: Connection, request_ids: Collection[str], source: Source, score: float, now: float) -> None:
    """The same word of several answers."""
    for request_id in request_ids:
        say(connection, Word(request_id=request_id, source=source, score=score, at=now))


def of_task(connection: Connection, task: str, score: float, now: float) -> int:
    """What became of a task's result, said of the last answer that went into it. How many answers that were."""
    query = select(ledger.c.request_id).where(ledger.c.task == task, ledger.c.outcome == "ok")
    found = connection.execute(query.order_by(ledger.c.at.desc()).limit(1)).scalars().all()
    say_all(connection, found, "outcome", score, now)
    return len(found)


def of_agent(connection: Connection, mail_id: str, agent: str, score: float, now: float) -> None:
    """What became of what an agent made of a mail, said of the model's answer that it was made from, if any."""
    query = select(agent_runs.c.request_ids).where(
        agent_runs.c.mail_id == mail_id, agent_runs.c.agent == agent, agent_runs.c.model.is_not(None)
    )
    found = connection.execute(query.order_by(agent_runs.c.id.desc()).limit(1)).scalar()
    say_all(connection, msgspec.json.decode(found, type=list[str])[-1:] if found else [], "outcome", score, now)


def checked(connection: Connection, request_ids: Sequence[str], held: bool, now: float) -> None:
    """Answers to one question, of which at most the last held to its schema: the others had to be asked for again."""
    say_all(connection, request_ids[:-1], "check", 0.0, now)
    say_all(connection, request_ids[-1:], "check", float(held), now)


def keep(connection: Connection, rows: Sequence[Sketch]) -> None:
    """Adds sketches; one that is there already is left as it is."""
    for row in rows:
        connection.execute(insert(connection, sketches).values(asdict(row)).on_conflict_do_nothing())


def forget(connection: Connection, before: float) -> int:
    """Deletes the sketches of older questions; how many they were."""
    return connection.execute(delete(sketches).where(sketches.c.at < before)).rowcount


def scored(connection: Connection, since: float, *, of_keys: bool = True) -> list[ScoredCall]:
    """Every answer of a model since then that was judged, once. `of_keys`: the words of virtual keys count too."""
    final = _final(of_keys=of_keys)
    query = (
        select(ledger.c.model, ledger.c.kind, sketches.c.kind, sketches.c.sketch, final.c.score, ledger.c.cost_nano)
        .join(final, final.c.request_id == ledger.c.request_id)
        .outerjoin(sketches, sketches.c.request_id == ledger.c.request_id)
        .where(ledger.c.at >= since, ledger.c.outcome == "ok")
        .order_by(ledger.c.at)
    )
    return [
        ScoredCall(model, asked if asked is not None else found, sketch, score, cost)
        for model, asked, found, sketch, score, cost in connection.execute(query)
    ]


def judged(connection: Connection, since: float, key_id: str | None) -> list[Judged]:
    """Mean scores per model and kind of work, of one key's answers or of all."""
    final = _final()
    query = (
        select(ledger.c.model, ledger.c.kind, func.avg(final.c.score), func.count())
        .join(final, final.c.request_id == ledger.c.request_id)
        .where(ledger.c.at >= since, ledger.c.outcome == "ok")
        .group_by(ledger.c.model, ledger.c.kind)
    )
    if key_id is not None:
        query = query.where(ledger.c.key_id == key_id)
    return [Judged(model, kind, float(mean), count) for model, kind, mean, count in connection.execute(query)]


def listing(connection: Connection, limit: int, key_id: str | None) -> list[Listed]:
    """The latest words first, of one key's requests or of all."""
    served = ledger.c.outcome == "ok"
    query = select(
        feedback.c.request_id, feedback.c.source, feedback.c.score, feedback.c.comment, feedback.c.at,
        ledger.c.model, ledger.c.kind,
    ).outerjoin(ledger, (ledger.c.request_id == feedback.c.request_id) & served)  # fmt: skip
    if key_id is not None:
        query = query.where((ledger.c.key_id == key_id) | (feedback.c.key_id == key_id))
    found = connection.execute(query.order_by(feedback.c.at.desc(), feedback.c.request_id).limit(limit))
    return [Listed(**row._mapping) for row in found]


def last_answer(connection: Connection, key_id: str | None) -> str | None:
    """The id of the newest request that was answered, of one key's or of all."""
    query = select(ledger.c.request_id).where(ledger.c.outcome == "ok", ledger.c.task.is_(None))
    if key_id is not None:
        query = query.where(ledger.c.key_id == key_id)
    return connection.execute(query.order_by(ledger.c.at.desc()).limit(1)).scalar()


def _final(*, of_keys: bool = True) -> Subquery:
    """One score per request: that of the source which counts most."""
    counts = [] if of_keys else [feedback.c.key_id.is_(None)]
    rank: Any = case((feedback.c.source == "person", 0), (feedback.c.source == "outcome", 1), else_=2)
    place = func.row_number().over(partition_by=feedback.c.request_id, order_by=rank).label("place")
    words = select(feedback.c.request_id, feedback.c.score, place).where(*counts).subquery()
    return select(words.c.request_id, words.c.score).where(words.c.place == 1).subquery()
