"""The rows of contexts on both databases: locks, expiry, and a history that stays short."""

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from chittycan.store import context as rows
from chittycan.store.context import StoredChange, StoredContext
from chittycan.store.database import Database


def stored(session: str = "s", **changed: object) -> StoredContext:
    values: dict[str, object] = {
        "session": session, "key_id": None, "version": 1, "size": 2, "created": 1.0, "updated": 1.0, "ttl": None,
        "expires": None, "labels": "{}", "written": "{}", "document": "{}",
    }  # fmt: skip
    return StoredContext(**{**values, **changed})  # type: ignore[arg-type]


def change(version: int, size: int = 10, kind: str = "model") -> StoredChange:
    return StoredChange(
        session="s", version=version, at=1.0, kind=kind, name="m", task=None, replaced=False, size=size, labels=None,
        patch="{}",
    )  # fmt: skip


async def test_only_the_first_of_two_begins_a_session(database: Database) -> None:
    assert await database.run(rows.add, stored(document='{"a":1}')) is True
    assert await database.run(rows.add, stored(document='{"b":1}')) is False
    found = await database.read(rows.get, "s")
    assert found is not None
    assert found.document == '{"a":1}'
    await database.run(rows.replace, stored(version=2, document='{"c":1}'))
    assert await database.read(rows.get, "s") == stored(version=2, document='{"c":1}')
    assert await database.read(rows.get, "other") is None


async def test_what_has_expired_is_neither_listed_nor_counted_and_purged(database: Database) -> None:
    for number, expires in enumerate((None, 10.0, 20.0)):
        await database.run(rows.add, stored(f"s{number}", key_id="k", updated=float(number), expires=expires))
    await database.run(rows.add, stored("other"))
    listed = [each.session for each in await database.read(rows.listing, 10.0, key_id="k")]
    assert listed == ["s2", "s0"]
    assert await database.read(rows.count, "k", 10.0) == 2
    assert await database.run(rows.purge, 10.0) == 1
    assert await database.read(rows.get, "s1") is None


async def test_history_keeps_the_newest_within_both_limits(database: Database) -> None:
    def write(connection: Connection, keep: int, size: int) -> list[int]:
        rows.forget(connection, "s", keep=keep, size=size)
        return [each.version for each in rows.history(connection, "s", limit=100)]

    await database.run(rows.add, stored())
    for version in range(1, 10):
        await database.run(rows.note, change(version))
    assert await database.run(write, 9, 1000) == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert await database.run(write, 7, 1000) == [9, 8, 7, 6, 5, 4, 3]
    assert await database.run(write, 7, 35) == [9, 8, 7]
    assert await database.run(write, 7, 1) == [9]


async def test_a_session_takes_its_history_along(database: Database) -> None:
    await database.run(rows.add, stored())
    await database.run(rows.note, change(1))
    await database.run(rows.remove, "s")
    assert await database.read(rows.history, "s", limit=10) == []


async def test_nobody_else_than_the_three_kinds_writes(database: Database) -> None:
    await database.run(rows.add, stored())
    with pytest.raises(IntegrityError):
        await database.run(rows.note, change(1, kind="robot"))
