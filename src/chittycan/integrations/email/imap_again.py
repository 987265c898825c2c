"""A mail on a server that was read before, read once more: where it was, else wherever it is now.

A place is believed only as far as the content agrees: a server that was put back from a backup may give a number
twice.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable

from chittycan.errors import Unavailable
from chittycan.integrations.email import imap_wire as wire
from chittycan.integrations.email.imap import NO_FOLDER, NO_MAIL, Connection, Listed
from chittycan.integrations.email.imap_folders import MOST_SEARCHED, folders, with_message_id
from chittycan.integrations.email.imap_mail import Kept, fetch
from chittycan.integrations.email.message import parse
from chittycan.integrations.email.sources import Place, RawMail


async def fetch_again(
    connection: Connection, key: str, *, message_id: str | None = None, dedupe_key: str | None = None
) -> RawMail:
    """The mail that was at `key`, or with `error` where it is nowhere any more.

    One that was moved is looked for by its Message-ID. Only a mail of that `dedupe_key` is given, if it is named.
    Raises Unavailable (AWAY).
    """
    account = connection.account
    was = Place.of(account.name, key)
    if was is None:
        return RawMail(account.source, key, error="this is no place on a mail server")
    if await _open(connection, was.folder) == was.validity != 0:
        found = await fetch_same(connection, was, dedupe_key)
        if found is not None:
            return found
    if message_id is None:
        return RawMail(account.source, key, error="no longer where it was, and it has no Message-ID to look for")
    async for place in places(connection, message_id, (was.folder, *account.folders)):
        found = await fetch_same(connection, place, dedupe_key)
        if found is not None:
            return found
    return RawMail(account.source, key, error=f"in no folder of {account.host} any more")


async def places(connection: Connection, message_id: str, first: Iterable[str]) -> AsyncIterator[Place]:
    """Where mails with this Message-ID are, one folder after the other, `first` the likely ones; its folder is open.

    Raises Unavailable (AWAY).
    """
    names = [*first, *(each.name for each in await folders(connection))]
    for folder in list(dict.fromkeys(names))[:MOST_SEARCHED]:
        validity = await _open(connection, folder)
        if validity is not None:
            for uid in await with_message_id(connection, message_id):
                yield Place(connection.account.name, folder, validity, uid)


async def _open(connection: Connection, folder: str) -> int | None:
    """Its UIDVALIDITY, 0 where it has none; None where there is no such folder."""
    try:
        return (await connection.examine(folder)).validity
    except Unavailable as error:
        if error.code != NO_FOLDER:
            raise
        return None


async def fetch_same(connection: Connection, place: Place, dedupe_key: str | None) -> RawMail | None:
    """The mail at a place of the open folder; None where it is gone, or not the one of `dedupe_key`.

    Raises Unavailable (AWAY).
    """
    size = wire.number(await connection.told(place.uid, "RFC822.SIZE")) or 0

    async def decide(header: bytes, _size: int) -> Kept:
        if dedupe_key is not None and (await asyncio.to_thread(parse, header)).dedupe_key == dedupe_key:
            return "headers"  # more of it was never read
        return "private" if connection.account.private else "open"

    try:
        raw = await fetch(connection, Listed(place.uid, size), place, decide)
    except Unavailable as error:
        if error.code != NO_MAIL:
            raise
        return None
    if raw is None or dedupe_key is None:
        return raw
    return raw if (await asyncio.to_thread(parse, raw.raw)).dedupe_key == dedupe_key else None
