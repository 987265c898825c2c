"""Of all that want a row one has it, on both databases, until it gives it back or is no more."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, Table, select, update

from chittycan.store import claims, inbox
from chittycan.store.database import Database
from chittycan.store.mail_claims import mail_claims
from chittycan.store.mailboxes import mail_accounts

NOW = 1_800_000_000.0
KEY = "m1"


def silent(holder: str, silence: float) -> bool:
    return silence > 15 or holder == "killed"


@pytest.fixture(params=[mail_claims, mail_accounts], ids=lambda table: str(table.name))
async def table(request: pytest.FixtureRequest, database: Database) -> Table:
    new = inbox.NewMail(
        id=KEY, dedupe_key="m1", source="s", source_key="k", sender="", subject="", date=None, mail="{}"
    )
    await database.run(inbox.add, new, NOW)
    return request.param  # type: ignore[no-any-return]


Claim = Callable[..., asyncio.Future[str | None]]


@pytest.fixture
def claim(table: Table, database: Database) -> Claim:
    def claimed(nonce: str, holder: str | None = None) -> asyncio.Future[str | None]:
        return asyncio.ensure_future(database.run(claims.claim, table, KEY, nonce, holder or nonce, silent))

    return claimed


def age(connection: Connection, table: Table, seconds: float) -> None:
    connection.execute(update(table).values(beat=table.c.beat - seconds))


async def test_one_of_many_has_it_until_it_gives_it_back(database: Database, table: Table, claim: Claim) -> None:
    found = await asyncio.gather(*(claim(f"n{each}") for each in range(8)))
    assert found.count(None) == 1
    first = f"n{found.index(None)}"
    assert set(found) == {None, first}
    assert await claim(first) is None  # again is nothing new
    await database.run(claims.release, table, KEY, "another")
    assert await claim("another") == first
    await database.run(claims.release, table, KEY, first)
    assert await claim("another") is None


async def test_one_that_is_silent_or_gone_loses_it(database: Database, table: Table, claim: Claim) -> None:
    assert await claim("first") is None
    await database.run(age, table, 10)
    await database.run(claims.beat, table, "first")
    await database.run(age, table, 10)
    assert await claim("second") == "first"
    await database.run(age, table, 6)
    assert await claim("second") is None
    await database.run(claims.beat, table, "first")  # it is its own no more
    await database.run(claims.release, table, KEY, "first")
    assert await claim("first") == "second"
    await database.run(claims.release, table, KEY, "second")
    assert await claim("third", holder="killed") is None
    assert await claim("first") is None


async def test_a_mail_that_is_deleted_is_nobodys(database: Database, table: Table, claim: Claim) -> None:
    await claim("first")

    def gone(connection: Connection) -> int:
        connection.execute(inbox.mails.delete())
        return len(connection.execute(select(mail_claims)).all())

    assert await database.run(gone) == 0
