"""Mails that somebody is asking models about: while a process has claimed a mail, no other pays for the same.

Unlike a mail's state it says nothing for good: a claim is gone with its process. Times are Unix seconds.
"""

from collections.abc import Callable

from sqlalchemy import Column, Connection, Double, ForeignKey, Table, Text, delete, update

from chittycan.store.tables import metadata
from chittycan.store.upsert import insert

mail_claims = Table(
    "mail_claims",
    metadata,
    Column("mail_id", Text, ForeignKey("mails.id", ondelete="CASCADE"), primary_key=True),
    Column("nonce", Text, nullable=False),  # of who claimed it
    Column("holder", Text, nullable=False),  # JSON: which process that is
    Column("beat", Double, nullable=False),  # when it last said that it is there
)


def claim(
    connection: Connection, mail_id: str, nonce: str, holder: str, now: float, gone: Callable[[str, float], bool]
) -> bool:
    """Makes `nonce` the one that works on the mail; False where another does.

    `gone(holder, seconds since its last beat)` says whether that one is no more.
    """
    mine = {"nonce": nonce, "holder": holder, "beat": now}
    statement = insert(connection, mail_claims).values(mail_id=mail_id, **mine)
    # What changes nothing gives the row that is there, and keeps others from it until the transaction ends.
    same = statement.on_conflict_do_update(index_elements=["mail_id"], set_={"mail_id": mail_id})
    row = connection.execute(same.returning(*mail_claims.c)).one()
    if row.nonce != nonce and not gone(row.holder, now - row.beat):
        return False
    connection.execute(update(mail_claims).where(mail_claims.c.mail_id == mail_id).values(mine))
    return True


def beat(connection: Connection, nonce: str, now: float) -> None:
    """Whoever holds claims as `nonce` is there."""
    connection.execute(update(mail_claims).where(mail_claims.c.nonce == nonce).values(beat=now))


def release(connection: Connection, mail_id: str, nonce: str) -> None:
    mine = (mail_claims.c.mail_id == mail_id, mail_claims.c.nonce == nonce)
    connection.execute(delete(mail_claims).where(*mine))
