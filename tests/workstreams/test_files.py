"""Files go into the database and come out of it in pieces, on both kinds of database."""

from collections.abc import AsyncIterator

import pytest

from chittycan.errors import NotFound, RequestTooLarge
from chittycan.store.database import Database
from chittycan.testing import FakeClock
from chittycan.workstreams.files import ABANDONED_SECONDS, PIECE_BYTES, Files


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def files(database: Database, clock: FakeClock) -> Files:
    return Files(database, clock)


async def parts(*data: bytes) -> AsyncIterator[bytes]:
    for each in data:
        yield each


def pattern(size: int) -> bytes:
    return bytes(number % 251 for number in range(1000)) * (size // 1000) + b"x" * (size % 1000)


async def rows_of_bytes(database: Database) -> int:
    return int(await database.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM file_chunks").scalar_one()))


async def test_what_was_put_in_comes_out_whole_and_from_any_offset(files: Files) -> None:
    data = pattern(2 * PIECE_BYTES + 1234)
    uneven = [data[start : start + 70_001] for start in range(0, len(data), 70_001)]
    file = await files.create(parts(*uneven), name="in.jsonl", purpose="batch")

    assert file.size == len(data)
    assert await files.get(file.id) == file
    assert await files.read(file.id) == data
    for start in (0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, len(data) - 1, len(data)):
        assert b"".join([piece async for piece in files.stream(file.id, start)]) == data[start:]


async def test_bytes_and_nothing_at_all_are_files_too(files: Files) -> None:
    whole = await files.create(b"short", name="a", purpose="user_data")
    empty = await files.create(b"", name="b", purpose="user_data")
    assert [await files.read(whole.id), await files.read(empty.id)] == [b"short", b""]


async def test_no_piece_is_larger_than_what_fits_in_memory(files: Files) -> None:
    file = await files.create(parts(pattern(3 * PIECE_BYTES)), name="a", purpose="batch")
    assert {len(piece) async for piece in files.stream(file.id)} == {PIECE_BYTES}


async def test_an_upload_that_breaks_off_leaves_nothing(files: Files, database: Database) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield pattern(PIECE_BYTES + 1)
        assert (await files.list())[0] == [], "a file that is not whole was shown"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await files.create(cut(), name="a", purpose="batch")
    assert await files.list() == ([], False)
    assert await rows_of_bytes(database) == 0


async def test_a_read_says_when_a_file_is_too_large(files: Files) -> None:
    file = await files.create(b"12345", name="five", purpose="user_data")
    with pytest.raises(RequestTooLarge, match="five has 5 bytes; at most 4"):
        await files.read(file.id, limit=4)


async def test_a_key_sees_its_own_files_and_the_owner_sees_all(files: Files) -> None:
    mine = await files.create(b"1", name="mine", purpose="batch", key_id="k1")
    theirs = await files.create(b"2", name="theirs", purpose="batch", key_id="k2")

    assert [each.id for each in (await files.list(for_key="k1"))[0]] == [mine.id]
    assert {each.id for each in (await files.list())[0]} == {mine.id, theirs.id}
    for refused in (files.get(theirs.id, for_key="k1"), files.delete(theirs.id, for_key="k1")):
        with pytest.raises(NotFound):
            await refused
    assert (await files.get(theirs.id)).name == "theirs"


async def test_a_listing_goes_page_by_page_in_either_order(files: Files, clock: FakeClock) -> None:
    made = []
    for number in range(5):
        made.append(await files.create(b"", name=str(number), purpose="batch" if number % 2 else "user_data"))
        clock.advance(1)

    first, more = await files.list(limit=3)
    rest, end = await files.list(limit=3, after=first[-1].id)
    assert [each.name for each in first + rest] == ["4", "3", "2", "1", "0"]
    assert (more, end) == (True, False)
    assert [each.name for each in (await files.list(ascending=True, after=made[1].id))[0]] == ["2", "3", "4"]
    assert [each.name for each in (await files.list(purpose="batch"))[0]] == ["3", "1"]


async def test_a_deleted_file_takes_its_bytes_along(files: Files, database: Database) -> None:
    file = await files.create(pattern(PIECE_BYTES * 2), name="a", purpose="batch")
    await files.delete(file.id)
    with pytest.raises(NotFound):
        await files.read(file.id)
    assert await rows_of_bytes(database) == 0


async def test_a_file_expires(files: Files, clock: FakeClock, database: Database) -> None:
    file = await files.create(b"x", name="a", purpose="batch", expires=clock.now() + 60)
    kept = await files.create(b"y", name="b", purpose="batch")
    clock.advance(60)
    with pytest.raises(NotFound, match="expired"):
        await files.get(file.id)
    assert [each.id for each in (await files.list())[0]] == [kept.id]

    await files.tidy()
    assert await rows_of_bytes(database) == 1


async def test_what_a_dead_process_left_is_removed(files: Files, clock: FakeClock, database: Database) -> None:
    await files.create(b"y", name="kept", purpose="batch")

    def leave(connection: object) -> None:
        run = connection.exec_driver_sql  # type: ignore[attr-defined]
        run(f"INSERT INTO files VALUES ('file-half', 'a', 'batch', NULL, 0, 'uploading', {clock.now()}, NULL)")
        run("INSERT INTO file_chunks VALUES ('file-half', 0, 0, 'x'), ('file-gone', 0, 0, 'x')")

    await database.run(leave)
    await files.tidy()
    assert await rows_of_bytes(database) == 2, "an upload that goes on was removed"
    clock.advance(ABANDONED_SECONDS + 1)
    await files.tidy()
    assert await rows_of_bytes(database) == 1
