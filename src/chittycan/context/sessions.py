"""The documents of all sessions: store, retrieve, update, and who changed what.

Every write is one transaction that holds its session's row, so that writers queue up instead of losing each
other's changes. `expected_version` is for whoever decides on what was read before.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from chittycan.chat import Json
from chittycan.clock import Clock
from chittycan.context.document import (
    OWNER,
    Author,
    Change,
    Context,
    Patching,
    Write,
    check_session,
    labels_of,
    normal,
    written,
)
from chittycan.context.labels import UNLABELLED, Label, Privacy, Trust
from chittycan.errors import Forbidden, NotFound, RequestTooLarge, Unavailable, VersionConflict
from chittycan.store import context as rows
from chittycan.store.context import ListedContext, StoredChange, StoredContext
from chittycan.store.database import Database

PURGE_SECONDS = 600.0  # how often what has expired is removed; it cannot be read meanwhile
ABSENT, ANY_VERSION = 0, -1  # as `expected_version`: there is no document yet; there is one, whichever


class Limits(Struct, frozen=True, kw_only=True):
    """`max_bytes` of one document as JSON; `history`: changes that are kept, all together at most four documents
    large; `ttl`: seconds that a session without one of its own outlives its last write, None for good;
    `per_key`: sessions that one virtual key may have."""

    max_bytes: int = 1 << 20
    history: int = 200
    ttl: float | None = None
    per_key: int = 1000


class Sessions:
    """`for_key` in every method: on behalf of that virtual key, which reaches its own sessions only; None: the
    owner, who reaches all.

    Every method raises `Unavailable` where the database does not answer, `InvalidRequest` naming what is wrong,
    and `Forbidden` where the session belongs to another key.
    """

    def __init__(self, database: Database, clock: Clock, limits: Limits | None = None) -> None:
        self._database, self._clock, self.limits = database, clock, limits or Limits()

    async def store(
        self,
        session: str,
        document: Json,
        *,
        by: Author = OWNER,
        expected_version: int | None = None,
        ttl: float | None = None,
        labels: Mapping[str, Any] | None = None,
        for_key: str | None = None,
    ) -> Context:
        """Puts a whole document in the place of what was there; keys that stay keep their labels, if stricter.

        `ttl`: seconds from each write on, 0 for good, None as it was. `labels`: top-level key → `Label` or a dict of
        its fields. Raises VersionConflict where the version is not the expected one, RequestTooLarge.
        """
        write = Write(by=by, whole=True, patch=normal(document, "document"), ttl=ttl, labels=labels_of(labels))
        return await self._write(session, write, expected_version, for_key)

    async def update(
        self,
        session: str,
        patch: Json,
        *,
        by: Author = OWNER,
        expected_version: int | None = None,
        ttl: float | None = None,
        labels: Mapping[str, Any] | None = None,
        for_key: str | None = None,
    ) -> Context:
        """Applies a merge patch (RFC 7396) to the newest document, or to that of `expected_version`; a session that
        is not there begins. Parameters and errors as in `store`."""
        write = Write(by=by, patch=normal(patch, "patch"), ttl=ttl, labels=labels_of(labels))
        return await self._write(session, write, expected_version, for_key)

    async def change(
        self,
        session: str,
        patching: Patching,
        *,
        by: Author = OWNER,
        labels: Mapping[str, Any] | None = None,
        for_key: str | None = None,
    ) -> Context:
        """Applies the patch that `patching` makes of the newest document: for what must be read to be written, such
        as a longer list. An empty patch changes labels alone."""
        return await self._write(session, Write(by=by, patch=patching, labels=labels_of(labels)), None, for_key)

    async def label(
        self,
        session: str,
        key: str,
        *,
        by: Author = OWNER,
        privacy: Privacy | None = None,
        trust: Trust | None = None,
        expected_version: int | None = None,
    ) -> Context:
        """Sets the labels of one top-level key, lower ones too: a person's word alone. None leaves one as it is.

        Raises Forbidden for any other author, NotFound.
        """
        if by.kind != "person":
            raise Forbidden("Only a person may set labels.", fix="can context label SESSION KEY PRIVACY")
        words = {name: word for name, word in (("privacy", privacy), ("trust", trust)) if word is not None}
        labels_of({key: words})  # knows the words
        await self.retrieve(session)
        expected = ANY_VERSION if expected_version is None else expected_version
        return await self._write(session, Write(by=by, patch={}, relabel=(key, words)), expected, None)

    async def hand_over(self, session: str, key_id: str | None) -> None:
        """Lets this virtual key use the session, instead of the one that could before. Raises NotFound."""

        def work(connection: Connection) -> None:
            found = self._found(connection, session, None, lock=True)
            rows.replace(connection, msgspec.structs.replace(found, key_id=key_id))

        await self._database.run(work)

    async def retrieve(self, session: str, *, for_key: str | None = None) -> Context:
        """Raises NotFound where there is nothing, or nothing any more."""

        def work(connection: Connection) -> Context:
            return _context(self._found(connection, session, for_key))

        return await self._database.read(work)

    async def history(self, session: str, *, limit: int = 50, for_key: str | None = None) -> list[Change]:
        """The last changes, newest first. Raises NotFound."""

        def work(connection: Connection) -> list[Change]:
            self._found(connection, session, for_key)
            return [_change(each) for each in rows.history(connection, session, limit=max(0, limit))]

        return await self._database.read(work)

    async def delete(self, session: str, *, expected_version: int | None = None, for_key: str | None = None) -> None:
        """Removes the document and its history. Raises NotFound, VersionConflict."""

        def work(connection: Connection) -> None:
            found = self._found(connection, session, for_key, lock=True)
            _expect(session, expected_version, found)
            rows.remove(connection, session)

        await self._database.run(work)

    async def list(self, *, limit: int = 50, for_key: str | None = None) -> list[ListedContext]:
        """The sessions, last written first, without their documents."""
        return await self._database.read(rows.listing, self._clock.now(), key_id=for_key, limit=max(0, limit))

    async def purge(self) -> int:
        """Removes what has expired; returns how many sessions."""
        return await self._database.run(rows.purge, self._clock.now())

    async def run(self) -> None:
        """Purge until cancelled."""
        while True:
            await self._clock.sleep(PURGE_SECONDS)
            with suppress(Unavailable):
                await self.purge()

    async def _write(self, session: str, write: Write, expected_version: int | None, for_key: str | None) -> Context:
        check_session(session)
        write.check()
        return await self._database.run(self._written, session, write, expected_version, for_key)

    def _written(
        self, connection: Connection, session: str, write: Write, expected: int | None, for_key: str | None
    ) -> Context:
        """One write in one transaction."""
        while True:
            old = self._alive(connection, session, lock=True)
            _admit(session, old, for_key)
            _expect(session, expected, old)
            if old is None and for_key is not None:
                self._count(connection, for_key)
            before = _context(old) if old is not None else None
            context, patch = written(session, before, write, self._clock.now(), ttl=self.limits.ttl, key_id=for_key)
            stored = self._stored(context)
            if old is not None:
                rows.replace(connection, stored)
            elif not rows.add(connection, stored):
                continue  # another transaction was first: on top of what it wrote
            break
        rows.note(connection, _stored_change(context, write, patch))
        rows.forget(connection, session, keep=self.limits.history, size=4 * self.limits.max_bytes)
        return context

    def _stored(self, context: Context) -> StoredContext:
        """Raises RequestTooLarge."""
        document = msgspec.json.encode(context.document)
        most = self.limits.max_bytes
        if len(document) > most:
            raise RequestTooLarge(
                f"The context of session '{context.session}' would be {len(document):,} bytes; {most:,} is the most.",
                param="document", fix="Remove keys that are done with, or raise context.maxBytes in config.json.",
            )  # fmt: skip
        return StoredContext(
            session=context.session, key_id=context.key_id, version=context.version, size=len(document),
            created=context.created_at, updated=context.updated_at, ttl=context.ttl, expires=context.expires_at,
            labels=msgspec.json.encode(context.labels).decode(), document=document.decode(),
            written=msgspec.json.encode(context.written).decode(),
        )  # fmt: skip

    def _count(self, connection: Connection, key_id: str) -> None:
        if rows.count(connection, key_id, self._clock.now()) >= self.limits.per_key:
            raise RequestTooLarge(
                f"This key has {self.limits.per_key} sessions, and may have no more.",
                param="session", fix="Delete some, or give them a ttl.",
            )  # fmt: skip

    def _alive(self, connection: Connection, session: str, *, lock: bool = False) -> StoredContext | None:
        found = rows.get(connection, session, lock=lock)
        if found is None or found.expires is None or found.expires > self._clock.now():
            return found
        if lock:
            rows.remove(connection, session)
        return None

    def _found(self, connection: Connection, session: str, for_key: str | None, *, lock: bool = False) -> StoredContext:
        check_session(session)
        found = self._alive(connection, session, lock=lock)
        if found is None:
            raise NotFound(f"There is no session '{session}'.", param="session", fix="`can context list` shows them.")
        _admit(session, found, for_key)
        return found


def _admit(session: str, found: StoredContext | None, for_key: str | None) -> None:
    if found is not None and for_key is not None and found.key_id != for_key:
        raise Forbidden(
            f"The session '{session}' belongs to somebody else.", code="session_not_allowed",
            fix="Name another session, or let its owner share it: can context share SESSION KEY.",
        )  # fmt: skip


def _expect(session: str, expected: int | None, found: StoredContext | None) -> None:
    current = 0 if found is None else found.version
    if expected is None or expected == current or (expected == ANY_VERSION and current):
        return
    now = f"is at version {current}" if current else "does not exist"
    wanted = "any" if expected == ANY_VERSION else "none" if expected == ABSENT else f"version {expected}"
    raise VersionConflict(
        f"The session '{session}' {now}, and {wanted} was expected.", current=current, param="version",
        fix="Read it again, and decide on what is there now.",
    )  # fmt: skip


def _context(stored: StoredContext) -> Context:
    return Context(
        session=stored.session, version=stored.version, document=msgspec.json.decode(stored.document),
        labels=msgspec.json.decode(stored.labels, type=dict[str, Label]),
        written=msgspec.json.decode(stored.written, type=dict[str, int]), created_at=stored.created,
        updated_at=stored.updated, ttl=stored.ttl, expires_at=stored.expires, key_id=stored.key_id,
    )  # fmt: skip


def _stored_change(context: Context, write: Write, patch: Json) -> StoredChange:
    text = msgspec.json.encode(patch).decode()
    labels = {**write.labels}
    if write.relabel is not None:
        labels[write.relabel[0]] = context.labels.get(write.relabel[0], UNLABELLED)
    return StoredChange(
        session=context.session, version=context.version, at=context.updated_at, kind=write.by.kind,
        name=write.by.name, task=write.by.task, replaced=write.whole, size=len(text), patch=text,
        labels=msgspec.json.encode(labels).decode() if labels else None,
    )  # fmt: skip


def _change(stored: StoredChange) -> Change:
    labels = msgspec.json.decode(stored.labels, type=dict[str, Label]) if stored.labels else {}
    return Change(
        version=stored.version, at=stored.at, by=Author(stored.kind, stored.name, stored.task),  # type: ignore[arg-type]
        replaced=stored.replaced, patch=msgspec.json.decode(stored.patch), labels=labels,
    )  # fmt: skip
