"""What is to be done to mails in their mailboxes, by the word of a rule: a label, a move, a mark.

    waiting → doing → done | failed          where the account allows the verb
    waiting | failed → allowed → doing → …   by a person's word
    waiting | allowed | failed → dropped     by a person's word

Each is asked for once: the same mail, verb and value give the same row for good, whatever became of it. Who looks
after the account carries it out; `doing` is stored before the server is told, so that whoever finds it there looks
first whether it is done. Times are Unix seconds.
"""

from collections.abc import Collection, Sequence
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import (
    Column,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    and_,
    or_,
    select,
    update,
)

from chittycan.errors import NotFound
from chittycan.store.inbox import mails
from chittycan.store.mailboxes import still_held
from chittycan.store.tables import metadata
from chittycan.store.upsert import insert

Verb = Literal["label", "read", "move", "archive"]
State = Literal["waiting", "allowed", "doing", "done", "failed", "dropped"]
ON_SERVER = "imap:"  # what the source of a mail on a server begins with; the account's name follows
OPEN = ("waiting", "allowed", "doing")

mail_actions = Table(
    "mail_actions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mail_id", Text, ForeignKey("mails.id", ondelete="CASCADE"), nullable=False),
    Column("account", Text, nullable=False),
    Column("verb", Text, nullable=False),
    Column("value", Text, nullable=False),  # the label or the folder; empty for the other verbs
    Column("because", Text, nullable=False),  # which rule, in words for people
    Column("state", Text, nullable=False),
    Column("allowed_by", Text),
    Column("problem", Text),  # why not, or not yet
    Column("tries", Integer, nullable=False),
    Column("again", Double),  # not before
    Column("asked", Double, nullable=False),
    Column("changed", Double, nullable=False),
    Index(None, "mail_id", "verb", "value", unique=True),
    Index(None, "account", "state"),
)


class MailAction(Struct, frozen=True, kw_only=True):
    """A row, with the subject of its mail."""

    id: int
    mail_id: str
    subject: str
    account: str
    verb: Verb
    value: str
    because: str
    state: State
    allowed_by: str | None
    problem: str | None
    tries: int
    asked: float
    changed: float


def on_server(source: str) -> bool:
    """Whether anything can be done to mail of this source: mailboxes on this machine are only read."""
    return source.startswith(ON_SERVER)


def ask(connection: Connection, mail_id: str, verb: Verb, value: str | None, because: str, now: float) -> bool:
    """Notes what is to be done to a mail; False where that was asked before, or its mailbox is on no server."""
    source = connection.execute(select(mails.c.source).where(mails.c.id == mail_id)).scalar()
    if source is None or not on_server(source):
        return False
    values = {
        "mail_id": mail_id, "account": source.removeprefix(ON_SERVER), "verb": verb, "value": value or "",
        "because": because, "state": "waiting", "tries": 0, "asked": now, "changed": now,
    }  # fmt: skip
    statement = insert(connection, mail_actions).values(values).on_conflict_do_nothing()
    return connection.execute(statement.returning(mail_actions.c.id)).first() is not None


def due(connection: Connection, account: str, allowed: Collection[str], now: float, limit: int) -> list[MailAction]:
    """What may be done now in an account that allows these verbs: marks before moves, else the oldest first."""
    may = or_(
        mail_actions.c.state.in_(("allowed", "doing")),
        and_(mail_actions.c.state == "waiting", mail_actions.c.verb.in_(list(allowed))),
    )
    mine = (mail_actions.c.account == account, or_(mail_actions.c.again.is_(None), mail_actions.c.again <= now))
    moves = mail_actions.c.verb.in_(("move", "archive"))
    query = _query().where(*mine, may).order_by(moves, mail_actions.c.id).limit(limit)
    return _rows(connection, query)


def begin(connection: Connection, action: int, nonce: str, now: float) -> bool:
    """Somebody is about to do it; False where a person dropped it meanwhile.

    Raises Unavailable (LOST) where `nonce` does not look after its account any more.
    """
    account = connection.execute(select(mail_actions.c.account).where(mail_actions.c.id == action)).scalar_one()
    still_held(connection, account, nonce)
    return _move(connection, action, OPEN, {"state": "doing", "changed": now})


def end(connection: Connection, action: int, state: Literal["done", "failed"], problem: str | None, now: float) -> None:
    """`problem`: why it failed, or what is worth saying although it is done."""
    _move(connection, action, ("doing",), {"state": state, "problem": problem, "again": None, "changed": now})


def later(connection: Connection, action: int, problem: str, again: float, now: float) -> None:
    """It could not be done: it stays `doing`, because nobody knows how far it came."""
    tries = mail_actions.c.tries + 1
    _move(connection, action, ("doing",), {"problem": problem, "again": again, "tries": tries, "changed": now})


def allow(connection: Connection, action: int, by: str, now: float) -> bool:
    """A person's word, also to try again what failed; False where there is nothing to allow."""
    values = {"state": "allowed", "allowed_by": by, "tries": 0, "again": None, "changed": now}
    return _move(connection, action, ("waiting", "failed"), values)


def drop(connection: Connection, action: int, now: float) -> bool:
    """It is not to be done; False where it is done, begun or dropped already."""
    return _move(connection, action, ("waiting", "allowed", "failed"), {"state": "dropped", "changed": now})


def get(connection: Connection, action: int) -> MailAction:
    """Raises NotFound."""
    found = _rows(connection, _query().where(mail_actions.c.id == action))
    if not found:
        fix = "`can router inbox actions list` shows the numbers."
        raise NotFound(f"no action {action}", param="action", fix=fix)
    return found[0]


def of_mail(connection: Connection, mail_id: str) -> list[MailAction]:
    """What was asked for of one mail, in that order."""
    return _rows(connection, _query().where(mail_actions.c.mail_id == mail_id).order_by(mail_actions.c.id))


def listing(
    connection: Connection, *, states: Sequence[str] = (), account: str | None = None, limit: int = 100
) -> list[MailAction]:
    """The newest first; without `states` in any."""
    query = _query()
    if states:
        query = query.where(mail_actions.c.state.in_(list(states)))
    if account is not None:
        query = query.where(mail_actions.c.account == account)
    return _rows(connection, query.order_by(mail_actions.c.id.desc()).limit(limit))


def _query() -> Any:
    columns = [mail_actions.c[name] for name in MailAction.__struct_fields__ if name != "subject"]
    return select(*columns, mails.c.subject).join(mails, mails.c.id == mail_actions.c.mail_id)


def _rows(connection: Connection, query: Any) -> list[MailAction]:
    return [MailAction(**row._mapping) for row in connection.execute(query)]


def _move(connection: Connection, action: int, came_from: Collection[str], values: dict[str, Any]) -> bool:
    same = (mail_actions.c.id == action, mail_actions.c.state.in_(list(came_from)))
    return connection.execute(update(mail_actions).where(*same).values(values)).rowcount == 1
