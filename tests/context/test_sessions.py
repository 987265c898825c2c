"""Sessions on both databases: nothing lost, nobody else's read, everything said."""

import asyncio
import sys
from pathlib import Path

import pytest

from chittycan.chat import Json
from chittycan.context.document import Author
from chittycan.context.labels import Label
from chittycan.context.sessions import ABSENT, ANY_VERSION, Limits, Sessions
from chittycan.errors import Forbidden, InvalidRequest, NotFound, RequestTooLarge, VersionConflict
from chittycan.store.database import Database
from chittycan.testing import FakeClock

MODEL = Author("model", "gpt-4", task="task-1")


@pytest.fixture
def sessions(database: Database, clock: FakeClock) -> Sessions:
    return Sessions(database, clock)


async def test_what_was_stored_is_read_again(sessions: Sessions, clock: FakeClock) -> None:
    stored = await sessions.store("s", {"client": "Acme", "n": [1, None]}, labels={"client": Label("private")}, ttl=60)
    assert stored == await sessions.retrieve("s")
    assert (stored.version, stored.document) == (1, {"client": "Acme", "n": [1, None]})
    assert stored.labels == {"client": Label("private")}
    assert (stored.updated_at, stored.expires_at) == (clock.now(), clock.now() + 60)


async def test_an_update_merges_into_what_is_there(sessions: Sessions) -> None:
    await sessions.store("s", {"client": {"name": "Acme", "city": "Ulm"}, "draft": "…"})
    updated = await sessions.update("s", {"client": {"city": "Bonn"}, "draft": None}, by=MODEL)
    assert updated.document == {"client": {"name": "Acme", "city": "Bonn"}}
    assert updated.version == 2


async def test_an_update_begins_a_session_that_is_not_there(sessions: Sessions) -> None:
    assert (await sessions.update("s", {"a": 1})).version == 1


async def test_a_version_that_is_not_the_newest_is_refused_and_the_newest_named(sessions: Sessions) -> None:
    await sessions.store("s", {"a": 1})
    await sessions.update("s", {"a": 2}, expected_version=1)
    for write in (sessions.update, sessions.store):
        with pytest.raises(VersionConflict, match="version 2") as caught:
            await write("s", {"a": 3}, expected_version=1)
        assert caught.value.current == 2
    with pytest.raises(VersionConflict):
        await sessions.delete("s", expected_version=1)
    assert (await sessions.retrieve("s")).document == {"a": 2}


async def test_expecting_nothing_or_anything(sessions: Sessions) -> None:
    with pytest.raises(VersionConflict, match="does not exist"):
        await sessions.store("s", {}, expected_version=ANY_VERSION)
    await sessions.store("s", {}, expected_version=ABSENT)
    with pytest.raises(VersionConflict, match="none was expected"):
        await sessions.store("s", {}, expected_version=ABSENT)
    assert (await sessions.store("s", {}, expected_version=ANY_VERSION)).version == 2


async def test_history_says_who_wrote_what_newest_first(sessions: Sessions, clock: FakeClock) -> None:
    await sessions.store("s", {"a": 1}, by=Author("person", "ann"), labels={"a": Label("private")})
    clock.advance(10)
    await sessions.update("s", {"a": None, "b": 2}, by=MODEL)
    second, first = await sessions.history("s")
    assert (first.version, first.by, first.replaced, first.patch) == (1, Author("person", "ann"), True, {"a": 1})
    assert first.labels == {"a": Label("private")}
    assert (second.by, second.replaced, second.patch) == (MODEL, False, {"a": None, "b": 2})
    assert second.at - first.at == 10
    assert await sessions.history("s", limit=1) == [second]


async def test_only_a_person_lowers_a_label(sessions: Sessions) -> None:
    await sessions.store("s", {"mail": "x"}, labels={"mail": Label("private", "outside")})
    with pytest.raises(Forbidden, match="person"):
        await sessions.label("s", "mail", privacy="public", by=MODEL)
    assert (await sessions.label("s", "mail", privacy="internal")).labels == {"mail": Label("internal", "outside")}
    assert (await sessions.history("s"))[0].labels == {"mail": Label("internal", "outside")}
    with pytest.raises(InvalidRequest, match="no such key"):
        await sessions.label("s", "mial", privacy="public")
    with pytest.raises(NotFound):
        await sessions.label("other", "mail", privacy="public")


async def test_what_has_expired_is_gone_and_may_begin_again(sessions: Sessions, clock: FakeClock) -> None:
    await sessions.store("old", {"a": 1}, ttl=60, labels={"a": Label("private")})
    await sessions.store("kept", {"a": 1})
    clock.advance(59)
    await sessions.update("old", {"b": 1})
    clock.advance(59)
    assert (await sessions.retrieve("old")).document == {"a": 1, "b": 1}
    clock.advance(1)
    with pytest.raises(NotFound):
        await sessions.retrieve("old")
    assert [each.session for each in await sessions.list()] == ["kept"]
    again = await sessions.update("old", {"c": 1})
    assert (again.version, again.document, again.expires_at) == (1, {"c": 1}, None)
    assert len(await sessions.history("old")) == 1


async def test_purging_removes_what_has_expired_with_its_history(sessions: Sessions, clock: FakeClock) -> None:
    await sessions.store("old", {"a": 1}, ttl=60)
    await sessions.store("kept", {"a": 1}, ttl=61)
    clock.advance(60)
    assert await sessions.purge() == 1
    assert await sessions.purge() == 0
    assert (await sessions.retrieve("kept")).version == 1


async def test_a_document_has_a_largest_size(database: Database, clock: FakeClock) -> None:
    sessions = Sessions(database, clock, Limits(max_bytes=100))
    await sessions.store("s", {"a": "x" * 92})
    with pytest.raises(RequestTooLarge, match="101 bytes; 100 is the most"):
        await sessions.update("s", {"a": "x" * 93})
    assert (await sessions.retrieve("s")).version == 1


async def test_history_is_bounded_in_number_and_size(database: Database, clock: FakeClock) -> None:
    sessions = Sessions(database, clock, Limits(max_bytes=100, history=5))
    for number in range(9):
        await sessions.update("many", {"n": number})
        await sessions.update("large", {"n": "x" * 80})
    assert [each.version for each in await sessions.history("many")] == [9, 8, 7, 6, 5]
    assert [each.version for each in await sessions.history("large")] == [9, 8, 7, 6]


async def test_deleting_leaves_nothing(sessions: Sessions) -> None:
    await sessions.store("s", {"a": 1})
    await sessions.delete("s")
    for gone in (sessions.retrieve, sessions.history, sessions.delete):
        with pytest.raises(NotFound, match="no session 's'"):
            await gone("s")
    assert (await sessions.store("s", {})).version == 1
    assert len(await sessions.history("s")) == 1


async def test_a_key_reaches_its_own_sessions_only(sessions: Sessions) -> None:
    await sessions.store("own", {}, for_key="k1")
    await sessions.store("other", {}, for_key="k2")
    await sessions.store("owners", {})
    assert [each.session for each in await sessions.list(for_key="k1")] == ["own"]
    assert len(await sessions.list()) == 3
    for session in ("other", "owners"):
        for reach in (sessions.retrieve, sessions.history, sessions.delete):
            with pytest.raises(Forbidden):
                await reach(session, for_key="k1")
        for write in (sessions.store, sessions.update):
            with pytest.raises(Forbidden, match="belongs to somebody else"):
                await write(session, {}, for_key="k1")
    assert (await sessions.update("own", {"a": 1})).key_id == "k1"
    await sessions.hand_over("owners", "k1")
    assert (await sessions.retrieve("owners", for_key="k1")).version == 1


async def test_a_key_has_a_most_of_sessions(database: Database, clock: FakeClock) -> None:
    sessions = Sessions(database, clock, Limits(per_key=2))
    await sessions.store("a", {}, for_key="k", ttl=60)
    await sessions.store("b", {}, for_key="k")
    with pytest.raises(RequestTooLarge, match="2 sessions"):
        await sessions.store("c", {}, for_key="k")
    clock.advance(60)
    await sessions.store("c", {}, for_key="k")
    await sessions.store("d", {})


async def test_sessions_are_listed_last_written_first(sessions: Sessions, clock: FakeClock) -> None:
    for name in ("a", "b", "a"):
        clock.advance(1)
        await sessions.update(name, {"x": 1})
    found = await sessions.list()
    assert [(each.session, each.version, each.size) for each in found] == [("a", 2, 7), ("b", 1, 7)]
    assert len(await sessions.list(limit=1)) == 1


async def test_two_writers_lose_nothing(database_url: str, clock: FakeClock) -> None:
    first, second = Database(database_url), Database(database_url)

    def longer(name: str, number: int) -> dict[str, object]:
        return {f"{name}{number}": number}

    async def updates(database: Database, name: str) -> None:
        sessions = Sessions(database, clock)
        for number in range(200):
            await sessions.update("s", longer(name, number), by=Author("model", name))

    try:
        await asyncio.gather(updates(first, "one"), updates(second, "two"))
        found = await Sessions(first, clock).retrieve("s")
    finally:
        first.close()
        second.close()
    assert found.version == 400
    assert found.document == {**{f"one{n}": n for n in range(200)}, **{f"two{n}": n for n in range(200)}}


APPENDER = """
import asyncio, sys
from chittycan.clock import SystemClock
from chittycan.context.sessions import Sessions
from chittycan.store.database import Database

async def main(url, name):
    database = Database(url)
    sessions = Sessions(database, SystemClock())
    for number in range(100):
        await sessions.change("s", lambda found: {"list": [*found.get("list", []), f"{name}{number}"]})
    database.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_two_processes_that_lengthen_one_list_lose_nothing(
    database_url: str, clock: FakeClock, tmp_path: Path
) -> None:
    program = tmp_path / "appender.py"
    program.write_text(APPENDER)
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, str(program), database_url, name) for name in "ab"
    ]
    assert [await process.wait() for process in processes] == [0, 0]
    database = Database(database_url)
    found = (await Sessions(database, clock).retrieve("s")).document["list"]
    database.close()
    for name in "ab":
        assert [each for each in found if each.startswith(name)] == [f"{name}{number}" for number in range(100)]
    assert len(found) == 200


async def test_a_change_is_made_of_the_newest_document(sessions: Sessions) -> None:
    def count(document: Json) -> Json:
        return {"n": document.get("n", 0) + 1}

    await asyncio.gather(*(sessions.change("s", count, by=MODEL) for _ in range(20)))
    assert (await sessions.retrieve("s")).document == {"n": 20}


async def test_odd_text_is_kept(sessions: Sessions) -> None:
    document = {"nul\0": "\0 \u2028 😀 \\ \" '", "": ""}
    await sessions.store("größe 😀", document)
    assert (await sessions.retrieve("größe 😀")).document == document
