"""Of all that want a mail one has it, on both databases, until it gives it back or is no more."""

import asyncio

from sqlalchemy import Connection, select

from chittycan.store import inbox, mail_claims
from chittycan.store.database import Database

NOW = 1_800_000_000.0


def silent(holder: str, silence: float) -> bool:
    return silence > 15 or holder == "killed"


async def claim(database: Database, nonce: str, now: float = NOW, holder: str = "somebody") -> bool:
    return await database.run(mail_claims.claim, "m1", nonce, holder, now, silent)


async def mail(database: Database) -> None:
    new = inbox.NewMail(
        id="m1", dedupe_key="m1", source="s", source_key="k", sender="", subject="", date=None, mail="{}"
    )
    await database.run(inbox.add, new, NOW)


async def test_one_of_many_has_it_until_it_gives_it_back(database: Database) -> None:
    await mail(database)
    won = await asyncio.gather(*(claim(database, f"n{each}") for each in range(8)))
    assert won.count(True) == 1
    first = f"n{won.index(True)}"
    assert await claim(database, first)  # again is nothing new
    await database.run(mail_claims.release, "m1", "another")
    assert not await claim(database, "another")
    await database.run(mail_claims.release, "m1", first)
    assert await claim(database, "another")


async def test_one_that_is_silent_or_gone_loses_it(database: Database) -> None:
    await mail(database)
    assert await claim(database, "first")
    await database.run(mail_claims.beat, "first", NOW + 10)
    assert not await claim(database, "second", NOW + 20)
    assert await claim(database, "second", NOW + 26)
    assert not await claim(database, "first", NOW + 26)
    await database.run(mail_claims.release, "m1", "second")
    assert await claim(database, "third", NOW + 26, holder="killed")
    assert await claim(database, "first", NOW + 26)


async def test_a_mail_that_is_deleted_is_nobodys(database: Database) -> None:
    await mail(database)
    await claim(database, "first")

    def gone(connection: Connection) -> int:
        connection.execute(inbox.mails.delete())
        return len(connection.execute(select(mail_claims.mail_claims)).all())

    assert await database.run(gone) == 0
