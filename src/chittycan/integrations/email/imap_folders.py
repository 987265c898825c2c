"""The folders of an IMAP account: which there are, what they are for, and where in them a mail is.

What a folder is for the server says (RFC 6154, SPECIAL-USE; XLIST before it); else its name does.
"""

import asyncio
from collections.abc import Collection, Iterable
from typing import Literal

from msgspec import Struct

from chittycan.errors import Unavailable
from chittycan.integrations.email import imap_wire as wire
from chittycan.integrations.email.imap import AWAY, HIGHEST_UID, NO_FOLDER, Connection
from chittycan.integrations.email.imap_wire import Data, Response, Status
from chittycan.integrations.email.limits import MAX_HEADERS
from chittycan.integrations.email.message import parse

MOST_FOLDERS = 2_000
MOST_SEARCHED = 200  # folders that one mail is looked for in
MOST_ASKED = 500  # UIDs in one command: a line that every server takes
MOST_ALIKE = 20  # mails in one folder that say the same Message-ID

Use = Literal["sent", "archive", "trash", "junk", "drafts", "all"]

# Last parts of names, in lower case, by the frequency with which servers and programs use them.
USUAL: dict[Use, tuple[str, ...]] = {
    "sent": ("sent", "sent items", "sent mail", "sent messages", "gesendet", "gesendete elemente",
             "gesendete objekte", "envoyés", "éléments envoyés", "enviados", "elementos enviados", "inviata",
             "posta inviata", "verzonden", "verzonden items", "skickat"),
    "archive": ("archive", "archives", "archiv", "archivo", "archivio", "archief", "arkiv"),
    "trash": ("trash", "deleted items", "deleted messages", "bin", "papierkorb", "gelöschte elemente", "corbeille"),
    "junk": ("junk", "spam", "junk e-mail", "junk email"),
    "drafts": ("drafts", "entwürfe", "brouillons", "borradores", "bozze", "concepten"),
    "all": (),
}  # fmt: skip
_USES: dict[str, Use] = {
    "\\sent": "sent", "\\archive": "archive", "\\trash": "trash", "\\junk": "junk", "\\spam": "junk",
    "\\drafts": "drafts", "\\all": "all", "\\allmail": "all",
}  # fmt: skip


class Folder(Struct, frozen=True):
    """`use` is the server's word; `separator` stands between the parts of the name (None: there are no parts)."""

    name: str
    separator: str | None
    use: Use | None = None

    @property
    def last(self) -> str:
        return self.name.rpartition(self.separator)[2] if self.separator else self.name


async def folders(connection: Connection) -> list[Folder]:
    """Those that can be opened. Raises Unavailable (AWAY)."""
    able = connection.capabilities
    tries = [b'LIST "" "*"']
    if {"SPECIAL-USE", "LIST-EXTENDED"} <= able:
        tries.insert(0, b'LIST "" "*" RETURN (SPECIAL-USE)')
    elif "SPECIAL-USE" not in able and "XLIST" in able:
        tries.insert(0, b'XLIST "" "*"')
    for command in tries:
        found: dict[str, Folder] = {}

        def note(response: Response, found: dict[str, Folder] = found) -> None:
            if isinstance(response, Data) and response.name in ("LIST", "XLIST") and len(found) < MOST_FOLDERS:
                folder = _folder(response)
                if folder is not None:
                    found[folder.name] = folder

        answer = await connection.command(command, note)
        if answer.state == "OK":
            return list(found.values())
    raise Unavailable(f"{connection.account.host} lists no folders: {answer.text}", code=AWAY)


def _folder(listed: Data) -> Folder | None:
    if len(listed.words) < 3 or not isinstance(listed.words[0], list):
        return None
    attributes = {each.lower() for each in listed.words[0] if isinstance(each, str)}
    name, separator = wire.readable_folder(listed.words[2]), wire.readable_folder(listed.words[1])
    if name is None or not attributes.isdisjoint({"\\noselect", "\\nonexistent"}):
        return None
    return Folder(name, separator, next((_USES[each] for each in sorted(attributes) if each in _USES), None))


def used_for(use: Use, among: Iterable[Folder]) -> str | None:
    """The folder that the server calls so; else one with a usual name, the nearest to the top; None where none is."""
    known = list(among)
    named = [each.name for each in known if each.use == use]
    if named:
        return named[0]
    ranked = [
        (USUAL[use].index(each.last.casefold()), len(each.name), each.name)
        for each in known
        if each.use is None and each.last.casefold() in USUAL[use]
    ]
    return min(ranked)[2] if ranked else None


async def is_for_sent(connection: Connection, name: str) -> bool:
    """Whether what the owner sends is kept in this folder; False where the server does not say which folders it has."""
    if name.upper() == "INBOX":
        return False
    try:
        known = {each.name: each for each in await folders(connection)}
    except Unavailable:  # a connection that is broken shows with the next command
        return False
    folder = known.get(name, Folder(name, None))
    return folder.use == "sent" or (folder.use is None and folder.last.casefold() in USUAL["sent"])


async def special(connection: Connection, use: Use) -> str:
    """The folder for this use. Raises Unavailable (AWAY, NO_FOLDER)."""
    name = used_for(use, await folders(connection))
    if name is None:
        usual = USUAL[use][0].capitalize() if USUAL[use] else use
        problem = f"{connection.account.host} has no folder for mail of this kind: {use}"
        raise Unavailable(problem, fix=f"Create one called {usual}.", code=NO_FOLDER)
    return name


async def with_message_id(connection: Connection, message_id: str) -> list[int]:
    """The UIDs in the open folder whose headers say this Message-ID. Raises Unavailable (AWAY).

    Servers look for parts of a header's value: what they find is read. A Message-ID that is not ASCII is not found.
    """
    try:
        wanted = wire.quoted(message_id)
    except ValueError:
        return []
    answer, found = await _search(connection, b"HEADER Message-ID " + wanted)
    if answer.state != "OK":
        raise Unavailable(f"{connection.account.host} does not search: {answer.text}", code=AWAY)
    same = []
    for uid in sorted(found, reverse=True)[:MOST_ALIKE]:
        header = await connection.part(uid, "HEADER", 0, MAX_HEADERS)
        if header is not None and (await asyncio.to_thread(parse, header)).message_id == message_id:
            same.append(uid)
    return sorted(same)


async def answered(connection: Connection, uids: Collection[int]) -> set[int]:
    """Which of these mails in the open folder a mail program marked as answered; none where the server does not search.

    Raises Unavailable (AWAY).
    """
    wanted, found = sorted(uids), set[int]()
    for start in range(0, len(wanted), MOST_ASKED):
        asked = wanted[start : start + MOST_ASKED]
        found |= (await _search(connection, f"UID {','.join(map(str, asked))} ANSWERED".encode()))[1] & set(asked)
    return found


async def _search(connection: Connection, criteria: bytes) -> tuple[Status, set[int]]:
    found: set[int] = set()

    def note(response: Response) -> None:
        if isinstance(response, Data) and response.name == "SEARCH":
            found.update(uid for word in response.words if (uid := wire.number(word)) and uid <= HIGHEST_UID)

    return await connection.command(b"UID SEARCH " + criteria, note), found
