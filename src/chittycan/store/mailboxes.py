"""Mail accounts that are looked at: who looks, when it last went well, and which mails of each folder were seen.

A mail's place is account, folder, UIDVALIDITY and UID; it is stored in one transaction with the mail's own row, so
that no end of a process can come between them. Times are Unix seconds.
"""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)

from chittycan.errors import Unavailable
from chittycan.store.drafts import drafts
from chittycan.store.inbox import StoredMail, mails
from chittycan.store.tables import metadata
from chittycan.store.upsert import insert

MOST_WAITING = 10_000  # mails with a draft, in one folder, that are asked after: the newest
LOST = "mailbox_taken"  # the error's code: another process looks after the account now

mail_accounts = Table(
    "mail_accounts",
    metadata,
    Column("account", Text, primary_key=True),
    Column("nonce", Text),  # `store.claims`, of the process that looks after it; NULL: nobody
    Column("holder", Text),  # JSON: which process that is
    Column("beat", Double),  # when it last said that it is there
    Column("tried", Double),
    Column("succeeded", Double),  # a look at every folder that went well
    Column("failing", Double),  # since when none does; NULL: the last one did
    Column("problem", Text),  # why, in words for people
    Column("fix", Text),
)

mail_folders = Table(
    "mail_folders",
    metadata,
    Column("account", Text, primary_key=True),
    Column("folder", Text, primary_key=True),
    Column("validity", BigInteger, nullable=False),  # UIDVALIDITY
    Column("through", BigInteger, nullable=False),  # the UID up to which all were looked at
    Column("next_uid", BigInteger),  # UIDNEXT, as the server said it last
    Column("behind", Integer, nullable=False),  # mails that are there and not done
    Column("looked", Double, nullable=False),
)

# One row per mail that a folder showed. With a `problem` it could not be fetched, and is tried again from `again` on.
sightings = Table(
    "sightings",
    metadata,
    Column("account", Text, primary_key=True),
    Column("folder", Text, primary_key=True),
    Column("validity", BigInteger, primary_key=True, autoincrement=False),
    Column("uid", BigInteger, primary_key=True, autoincrement=False),
    Column("mail_id", Text, ForeignKey("mails.id", ondelete="SET NULL")),
    Column("problem", Text),
    Column("tries", Integer, nullable=False),
    Column("again", Double),
    Column("at", Double, nullable=False),
    Index(None, "mail_id"),
)


class Spot(Struct, frozen=True):
    """The place of one mail, and the `nonce` of the process that found it there."""

    account: str
    folder: str
    validity: int
    uid: int
    nonce: str


class AccountRow(Struct, frozen=True, kw_only=True):
    """How it stands with an account: a row of `mail_accounts` without the holder."""

    account: str
    tried: float | None
    succeeded: float | None
    failing: float | None
    problem: str | None
    fix: str | None


class FolderRow(Struct, frozen=True, kw_only=True):
    """How far a folder is. `trouble`: mails that could not be fetched so far."""

    account: str
    folder: str
    validity: int
    through: int
    behind: int
    looked: float
    seen: int
    trouble: int


def went_well(connection: Connection, account: str, now: float) -> None:
    values = {"tried": now, "succeeded": now, "failing": None, "problem": None, "fix": None}
    connection.execute(update(mail_accounts).where(mail_accounts.c.account == account).values(values))


def went_wrong(connection: Connection, account: str, problem: str, fix: str | None, now: float) -> None:
    _insert(connection, mail_accounts, {"account": account})
    since = func.coalesce(mail_accounts.c.failing, now)
    values = {"tried": now, "failing": since, "problem": problem, "fix": fix}
    connection.execute(update(mail_accounts).where(mail_accounts.c.account == account).values(values))


def opened(
    connection: Connection, account: str, folder: str, validity: int, next_uid: int | None, now: float
) -> tuple[int, bool]:
    """The highest UID seen so far, and whether the folder's mails are numbered anew since (or for the first time).

    Mails that are numbered anew have all to be looked at again; those that are known by content are done.
    """
    here = (mail_folders.c.account == account, mail_folders.c.folder == folder)
    row = connection.execute(select(mail_folders).where(*here)).one_or_none()
    same = row is not None and validity == row.validity != 0
    # A folder that was put back from a backup may give new mails the numbers of old ones.
    if same and row is not None and (next_uid is None or next_uid >= (row.next_uid or 0)):
        connection.execute(update(mail_folders).where(*here).values(looked=now, next_uid=next_uid))
        return row.through, False
    if same or validity == 0:
        _set_aside(connection, account, folder, validity)
    connection.execute(delete(mail_folders).where(*here))
    fresh = {"account": account, "folder": folder, "validity": validity, "through": 0, "next_uid": next_uid,
             "behind": 0, "looked": now}  # fmt: skip
    connection.execute(mail_folders.insert().values(fresh))
    return 0, True


def _set_aside(connection: Connection, account: str, folder: str, validity: int) -> None:
    """Frees the UIDs of a folder for other mails, and keeps in mind which mails are not done."""
    here = (*_folder(account, folder), sightings.c.validity == validity)
    open_mails = select(mails.c.id).where(mails.c.state == "new")
    if validity:
        connection.execute(delete(sightings).where(*_folder(account, folder), sightings.c.validity == -validity))
    connection.execute(delete(sightings).where(*here, func.coalesce(sightings.c.mail_id, "").not_in(open_mails)))
    connection.execute(update(sightings).where(*here).values(validity=-validity))


def settled(connection: Connection, account: str, folder: str, validity: int, after: int, now: float) -> set[int]:
    """The UIDs beyond `after` that need nothing now: their mails are done, or it is too early to try again."""
    query = (
        select(sightings.c.uid)
        .select_from(sightings.outerjoin(mails, mails.c.id == sightings.c.mail_id))
        .where(*_folder(account, folder), sightings.c.validity == validity, sightings.c.uid > after)
        .where(
            or_(
                mails.c.category.is_not(None),  # it is done, or its task waits
                and_(mails.c.id.is_(None), sightings.c.problem.is_(None)),
                sightings.c.again > now,
            )
        )
    )
    return set(connection.execute(query).scalars())


def due(connection: Connection, account: str, folder: str, now: float) -> bool:
    """Whether a mail that could not be fetched should be tried again."""
    query = select(sightings.c.uid).where(*_folder(account, folder), sightings.c.again <= now).limit(1)
    return connection.execute(query).first() is not None


def still_held(connection: Connection, account: str, nonce: str) -> None:
    """Until the end of the transaction. Raises Unavailable (LOST) where another process looks after the account now."""
    held = connection.execute(_account(account).where(mail_accounts.c.nonce == nonce).with_for_update())
    if held.first() is None:
        raise Unavailable(f"another process looks after {account} now", code=LOST)


def see(connection: Connection, spot: Spot, mail_id: str, now: float) -> None:
    """The mail was found there. Raises Unavailable as `still_held`."""
    still_held(connection, spot.account, spot.nonce)
    values = {"mail_id": mail_id, "problem": None, "again": None, "tries": 0, "at": now}
    _upsert(connection, spot, values, values)


def see_moved(connection: Connection, spot: Spot, mail_id: str, now: float) -> None:
    """The mail was put there by us: it is known there before anybody looks. Raises Unavailable as `still_held`."""
    here = (mail_folders.c.account == spot.account, mail_folders.c.folder == spot.folder)
    known = connection.execute(select(mail_folders.c.validity).where(*here)).scalar()
    if known == spot.validity:  # else its numbers mean nothing yet
        see(connection, spot, mail_id, now)


def places(connection: Connection, account: str, mail_id: str) -> list[Spot]:
    """Where the mail was seen, as far as the folders are still numbered as they were then; the last place first."""
    same = and_(mail_folders.c.account == sightings.c.account, mail_folders.c.folder == sightings.c.folder)
    query = (
        select(sightings.c.folder, sightings.c.validity, sightings.c.uid)
        .join(mail_folders, same)
        .where(sightings.c.account == account, sightings.c.mail_id == mail_id)
        .where(sightings.c.validity == mail_folders.c.validity, sightings.c.validity > 0)
        .order_by(sightings.c.at.desc(), sightings.c.uid.desc())
    )
    return [Spot(account, *row, nonce="") for row in connection.execute(query)]


def with_draft(
    connection: Connection, account: str, folder: str, validity: int, limit: int = MOST_WAITING
) -> dict[int, str]:
    """By their UIDs in the folder, the ids of mails whose reply waits for a person, and that nobody answered."""
    query = (
        select(sightings.c.uid, mails.c.id)
        .select_from(sightings)
        .join(mails, mails.c.id == sightings.c.mail_id)
        .join(drafts, drafts.c.mail_id == mails.c.id)
        .where(*_folder(account, folder), sightings.c.validity == validity, mails.c.answered.is_(None))
        .where(drafts.c.state.in_(("draft", "approved")), drafts.c.automatic.is_(False))
        .order_by(sightings.c.uid.desc())
        .limit(limit)
    )
    return {row.uid: row.id for row in connection.execute(query)}


def trouble(connection: Connection, spot: Spot, problem: str, now: float, wait: Callable[[int], float]) -> int:
    """It could not be fetched: the number of tries so far. `wait` says how many seconds to leave it after as many."""
    tries = (connection.execute(select(sightings.c.tries).where(*_at(spot))).scalar() or 0) + 1
    values = {"problem": problem, "tries": tries, "again": now + wait(tries), "at": now}
    _upsert(connection, spot, values, values)
    return tries


def handled(connection: Connection, account: str, folder: str, through: int, behind: int) -> None:
    """How far the folder is now."""
    here = (mail_folders.c.account == account, mail_folders.c.folder == folder)
    connection.execute(update(mail_folders).where(*here).values(behind=behind))
    connection.execute(update(mail_folders).where(*here, mail_folders.c.through < through).values(through=through))


def forget(connection: Connection, account: str, folder: str, validity: int) -> None:
    """Places from before the folder was numbered anew, once all of it was looked at again."""
    connection.execute(delete(sightings).where(*_folder(account, folder), sightings.c.validity != validity))


def vanished(connection: Connection, account: str, folder: str, before: float) -> None:
    """Forgets mails that could not be fetched, and that a look at all of the folder since then did not find."""
    gone = (*_folder(account, folder), sightings.c.again < before)
    connection.execute(delete(sightings).where(*gone, sightings.c.mail_id.is_(None)))
    connection.execute(update(sightings).where(*gone).values(again=None, problem=None))


def unfinished(connection: Connection, account: str, folder: str) -> list[StoredMail]:
    """Mails that were seen in the folder and are not done."""
    seen = select(sightings.c.mail_id).where(*_folder(account, folder))
    rows = connection.execute(select(mails).where(mails.c.state == "new", mails.c.id.in_(seen)).order_by(mails.c.added))
    return [StoredMail(**row._mapping) for row in rows]


def accounts(connection: Connection) -> list[AccountRow]:
    columns = [mail_accounts.c[name] for name in AccountRow.__struct_fields__]
    return [AccountRow(**row._mapping) for row in connection.execute(select(*columns))]


def folders(connection: Connection) -> list[FolderRow]:
    same = and_(
        sightings.c.account == mail_folders.c.account,
        sightings.c.folder == mail_folders.c.folder,
        sightings.c.validity == mail_folders.c.validity,
    )
    columns = [mail_folders.c[name] for name in FolderRow.__struct_fields__ if name in mail_folders.c]
    query = (
        select(*columns, func.count(sightings.c.uid).label("seen"), func.count(sightings.c.again).label("trouble"))
        .select_from(mail_folders.outerjoin(sightings, same))
        .group_by(*columns)
        .order_by(mail_folders.c.account, mail_folders.c.folder)
    )
    return [FolderRow(**row._mapping) for row in connection.execute(query)]


def _account(account: str) -> Any:
    return select(mail_accounts).where(mail_accounts.c.account == account)


def _held(account: str, nonce: str) -> Sequence[Any]:
    return mail_accounts.c.account == account, mail_accounts.c.nonce == nonce


def _folder(account: str, folder: str) -> Sequence[Any]:
    return sightings.c.account == account, sightings.c.folder == folder


def _at(spot: Spot) -> Sequence[Any]:
    place = (sightings.c.validity == spot.validity, sightings.c.uid == spot.uid)
    return *_folder(spot.account, spot.folder), *place


def _insert(connection: Connection, table: Table, values: dict[str, Any]) -> None:
    connection.execute(insert(connection, table).values(values).on_conflict_do_nothing())


def _upsert(connection: Connection, spot: Spot, values: dict[str, Any], changed: dict[str, Any]) -> None:
    place = {"account": spot.account, "folder": spot.folder, "validity": spot.validity, "uid": spot.uid}
    statement = insert(connection, sightings).values(place | values)
    connection.execute(statement.on_conflict_do_update(index_elements=list(place), set_=changed))
