"""Files in the database, in pieces, so that no process ever holds a whole one.

`for_key` is the virtual key that asks: it sees and touches its own files alone; None is the owner, who sees all.
"""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from msgspec import Struct
from msgspec.structs import replace

from chittycan.clock import Clock
from chittycan.errors import ChittyError, NotFound, RequestTooLarge
from chittycan.store import files as rows
from chittycan.store.database import Database
from chittycan.store.files import FileRow

PIECE_BYTES = 512 << 10  # of one row, and about what one file costs in memory while it comes or goes
READ_BYTES = 64 << 20  # what `read` brings at most, where the caller sets no limit
REMOVE_AT_ONCE = 32  # pieces in one transaction: others write in between
ABANDONED_SECONDS = 24 * 3600.0  # after which an upload that never ended is removed
SWEEP_SECONDS = 600.0


class File(Struct, frozen=True, kw_only=True):
    """Times are Unix seconds, `size` is bytes."""

    id: str
    name: str
    purpose: str
    size: int
    created: float
    expires: float | None = None
    key_id: str | None = None


class Files:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def create(
        self,
        data: bytes | AsyncIterator[bytes],
        *,
        name: str,
        purpose: str,
        key_id: str | None = None,
        expires: float | None = None,
    ) -> File:
        """Keeps what `data` brings. Nobody sees the file before it is whole; where `data` raises there is none."""
        writer = await self.write(name, key_id)
        try:
            if isinstance(data, bytes):
                await writer.add(data)
            else:
                async for part in data:
                    await writer.add(part)
            return await writer.finish(purpose, expires)
        except BaseException:
            await writer.abandon()
            raise

    async def write(self, name: str, key_id: str | None = None) -> "Writer":
        """A file that is written bit by bit: `add`, then `finish` or `abandon`."""
        file = File(id=f"file-{secrets.token_hex(12)}", name=name, purpose="", size=0, created=self._clock.now(),
                    key_id=key_id)  # fmt: skip
        await self._database.run(rows.add, _row(file))
        return Writer(self._database, file, self._remove)

    async def get(self, file_id: str, *, for_key: str | None = None) -> File:
        """Raises NotFound."""
        found = await self._database.read(rows.get, file_id)
        if found is None or found["status"] != "processed" or (for_key is not None and found["key_id"] != for_key):
            raise NotFound(f"No such File object: {file_id[:80]}", param="id")
        if found["expires"] is not None and found["expires"] <= self._clock.now():
            raise NotFound(f"No such File object: {file_id[:80]} (it has expired)", param="id")
        return _file(found)

    async def read(self, file_id: str, *, for_key: str | None = None, limit: int = READ_BYTES) -> bytes:
        """The whole file. Raises NotFound, and RequestTooLarge where it has more than `limit` bytes."""
        file = await self.get(file_id, for_key=for_key)
        if file.size > limit:
            raise RequestTooLarge(f"{file.name} has {file.size:,} bytes; at most {limit:,} can be taken here.")
        async with aclosing(self.stream(file_id)) as pieces:
            return b"".join([piece async for piece in pieces])

    async def stream(self, file_id: str, start: int = 0) -> AsyncGenerator[bytes, None]:
        """Its bytes from offset `start` on, piece by piece. Nobody is asked who may: `get` does that.

        Raises NotFound where the file is removed meanwhile.
        """
        size = (await self.get(file_id)).size
        number = await self._database.read(rows.place, file_id, start) or 0
        while start < size:
            found = await self._database.read(rows.piece, file_id, number)
            if found is None:
                raise NotFound(f"the file {file_id} was removed while it was read")
            begin, data = found
            yield data[start - begin :] if start > begin else data
            number, start = number + 1, begin + len(data)

    async def list(
        self,
        *,
        purpose: str | None = None,
        after: str | None = None,
        ascending: bool = False,
        limit: int = 50,
        for_key: str | None = None,
    ) -> tuple[list[File], bool]:
        """Those after the file `after`, the newest first, and whether there are more. Raises NotFound for `after`."""
        last = await self.get(after, for_key=for_key) if after is not None else None
        found = await self._database.read(
            rows.listing, self._clock.now(), key_id=for_key, purpose=purpose, ascending=ascending, limit=limit + 1,
            after=None if last is None else (last.created, last.id),
        )  # fmt: skip
        return [_file(each) for each in found[:limit]], len(found) > limit

    async def delete(self, file_id: str, *, for_key: str | None = None) -> None:
        """Raises NotFound."""
        await self.get(file_id, for_key=for_key)
        await self._remove(file_id)

    async def keep(self, file_id: str, until: float) -> None:
        """It does not expire before `until`."""
        await self._database.run(rows.keep, file_id, until)

    async def sweep(self) -> None:
        """Removes what has expired and what was never finished. Runs as long as the worker does."""
        while True:
            try:
                await self.tidy()
            except ChittyError:
                pass  # the database is away; there is no hurry
            await self._clock.sleep(SWEEP_SECONDS)

    async def tidy(self) -> None:
        now = self._clock.now()
        for file_id in await self._database.read(rows.over, now, now - ABANDONED_SECONDS):
            await self._remove(file_id)
        for file_id in await self._database.read(rows.strays):
            await self._clear(file_id)

    async def _remove(self, file_id: str) -> None:
        await self._database.run(rows.remove, file_id)
        await self._clear(file_id)

    async def _clear(self, file_id: str) -> None:
        while await self._database.run(rows.clear, file_id, REMOVE_AT_ONCE):
            pass


class Writer:
    """One file on its way into the database."""

    def __init__(self, database: Database, file: File, remove: Callable[[str], Awaitable[None]]) -> None:
        self._database, self._file, self._remove = database, file, remove
        self._held = bytearray()
        self._pieces = 0
        self.size = 0

    async def add(self, data: bytes) -> None:
        self.size += len(data)
        self._held += data
        while len(self._held) >= PIECE_BYTES:
            await self._store(bytes(self._held[:PIECE_BYTES]))
            del self._held[:PIECE_BYTES]

    async def finish(self, purpose: str, expires: float | None = None) -> File:
        """From now on it is there for everyone."""
        if self._held:
            await self._store(bytes(self._held))
        file = replace(self._file, purpose=purpose, expires=expires, size=self.size)
        values = {"status": "processed", "purpose": purpose, "expires": expires, "size": self.size}
        if not await self._database.run(rows.finish, file.id, values):
            raise NotFound(f"the file {file.id} was removed while it was written")
        return file

    async def abandon(self) -> None:
        await self._remove(self._file.id)

    async def _store(self, piece: bytes) -> None:
        start = self._pieces * PIECE_BYTES
        await self._database.run(rows.append, self._file.id, self._pieces, start, piece)
        self._pieces += 1


def _row(file: File) -> FileRow:
    return {"id": file.id, "name": file.name, "purpose": file.purpose, "key_id": file.key_id, "size": 0,
            "status": "uploading", "created": file.created, "expires": file.expires}  # fmt: skip


def _file(row: FileRow) -> File:
    return File(**{name: row[name] for name in File.__struct_fields__})
