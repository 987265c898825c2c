"""One mail from an IMAP server, in pieces: its headers first, so that what they decide is decided before its text.

What the server says of a size is a hint. The mail ends where the server has no more to give, or at our own limit.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

from chittycan.errors import Unavailable
from chittycan.integrations.email.imap import AWAY, Connection, Listed
from chittycan.integrations.email.limits import MAX_HEADERS, MAX_MESSAGE
from chittycan.integrations.email.sources import Place, RawMail

PIECE = 256 * 1024  # bytes at once
WHOLE_SECONDS = 900.0  # for one mail
MOST_SHORT = 1_000  # pieces smaller than asked for, in one mail

# How far a mail is kept back: not at all, for private models only, or so far that its text is not even fetched.
Kept = Literal["open", "private", "headers"]
# Decides that, of a mail's headers and its size in bytes.
Decide = Callable[[bytes, int], Awaitable[Kept]]


async def fetch(connection: Connection, listed: Listed, place: Place, decide: Decide) -> RawMail | None:
    """The mail at `place`; None where it is gone. Raises Unavailable (AWAY)."""
    try:
        async with asyncio.timeout(WHOLE_SECONDS):
            return await _fetch(connection, listed, place, decide)
    except TimeoutError:
        raise Unavailable(f"{connection.account.host} is too slow for mail {place.key}", code=AWAY) from None


async def _fetch(connection: Connection, listed: Listed, place: Place, decide: Decide) -> RawMail | None:
    uid, source = listed.uid, connection.account.source
    header = await _all(connection, uid, "HEADER", MAX_HEADERS, 0)
    if header is None:
        return None
    kept = await decide(header, max(listed.size, len(header)))
    private = kept != "open"
    if len(header) >= MAX_HEADERS:
        header = header[: header.rfind(b"\n") + 1 or None] + b"\r\n"
    if kept == "headers":
        return RawMail(source, place.key, header, place=place, private=True)
    if listed.size > MAX_MESSAGE:
        return RawMail(source, place.key, header, place=place, private=private, defect=_too_large(listed.size))
    room = MAX_MESSAGE - len(header)
    text = await _all(connection, uid, "TEXT", room + 1, listed.size - len(header))
    if text is None:
        return None
    if len(text) > room:  # it had said that it is smaller
        return RawMail(source, place.key, header, place=place, private=private, defect=_too_large(len(text)))
    return RawMail(source, place.key, header + text, place=place, private=private)


def _too_large(size: int) -> str:
    return f"larger than {MAX_MESSAGE // 1024**2} MiB ({size / 1024**2:.0f} MiB): only its headers were read"


async def _all(
    connection: Connection, uid: int, section: Literal["HEADER", "TEXT"], most: int, promised: int
) -> bytes | None:
    """A section up to `most` bytes; None where the mail is gone.

    Where less comes than was asked for and `promised`, the server is asked for the rest until it gives nothing.
    """
    whole = bytearray()
    short = 0
    while len(whole) < most and short <= MOST_SHORT:
        wanted = min(PIECE, most - len(whole))
        piece = await connection.part(uid, section, len(whole), wanted)
        if piece is None and whole:
            # Deleted while it was read, or a server that has no words for "nothing more".
            piece = b"" if await connection.part(uid, "HEADER", 0, 1) is not None else None
        if piece is None:
            return None
        whole += piece
        short += len(piece) < wanted
        if not piece or (len(piece) < wanted and len(whole) >= promised):
            break
    return bytes(whole)
