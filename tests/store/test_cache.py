"""Stored answers: found until they expire, the oldest go first."""

from chittycan.store import cache
from chittycan.store.database import Database


def entry(key: str, *, size: int = 10, created: float = 0.0, expires: float = 100.0) -> cache.Entry:
    return cache.Entry(
        key=key, body=key[:1].encode() * size, content_type="application/json", stream=False, model="gpt-4",
        created=created, expires=expires,
    )  # fmt: skip


def kept(database: Database, *keys: str, now: float = 1.0) -> list[str]:
    return [key for key in keys if database.run_sync(cache.get, key, now) is not None]


def test_an_answer_comes_back_as_it_was_stored(database: Database) -> None:
    stored = cache.Entry(
        key="k", body=bytes(range(256)), content_type="text/event-stream", stream=True, model="claude", created=1.5,
        expires=9.5,
    )  # fmt: skip
    database.run_sync(cache.put, stored, 1_000)
    assert database.run_sync(cache.get, "k", 9.4) == stored
    assert database.run_sync(cache.get, "k", 9.5) is None


def test_a_newer_answer_replaces_the_older(database: Database) -> None:
    database.run_sync(cache.put, entry("k", size=1), 1_000)
    database.run_sync(cache.put, entry("k", size=2), 1_000)
    found = database.run_sync(cache.get, "k", 1)
    assert found is not None
    assert found.body == b"kk"


def test_the_oldest_make_room(database: Database) -> None:
    for number, key in enumerate("abcd"):
        database.run_sync(cache.put, entry(key, created=number), 35)
    assert kept(database, *"abcd") == ["b", "c", "d"]
    database.run_sync(cache.put, entry("e", size=25, created=5), 35)
    assert kept(database, *"abcde") == ["d", "e"]


def test_what_is_larger_than_the_whole_cache_is_not_stored(database: Database) -> None:
    database.run_sync(cache.put, entry("a", size=36), 35)
    assert kept(database, "a") == []


def test_expired_answers_make_room_first(database: Database) -> None:
    database.run_sync(cache.put, entry("young", created=5, expires=10), 20)
    database.run_sync(cache.put, entry("old", created=0, expires=100), 20)
    database.run_sync(cache.put, entry("new", created=11, expires=100), 20)
    assert kept(database, "young", "old", "new", now=11) == ["old", "new"]


def test_purging_forgets_what_is_over_or_everything(database: Database) -> None:
    for key, expires in (("a", 5.0), ("b", 50.0)):
        database.run_sync(cache.put, entry(key, expires=expires), 1_000)
    assert database.run_sync(cache.purge, 5) == 1
    assert kept(database, "a", "b") == ["b"]
    assert database.run_sync(cache.purge) == 1
    assert kept(database, "b") == []
