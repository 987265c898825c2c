"""Changes to a mail on an IMAP server: flags, and its folder. The only module that makes any to what is there.

Everything is said of one UID in the folder that `select` opened. There is no EXPUNGE without a UID and no CLOSE here:
both remove what others marked as deleted. MOVE: RFC 6851; UID EXPUNGE, COPYUID: RFC 4315.
"""

import re
import unicodedata

from chittycan.errors import Unavailable
from chittycan.integrations.email import imap_wire as wire
from chittycan.integrations.email.imap import NO_FOLDER, NOT_DONE, Connection, Selected, folder_argument
from chittycan.integrations.email.imap_folders import Folder
from chittycan.integrations.email.imap_wire import Response, Status
from chittycan.integrations.email.sources import Place

SEEN = "\\Seen"
_NO_KEYWORD = re.compile(r"[^A-Za-z0-9._+$#@!~:;,<>=?/&'|^`-]+")  # less than RFC 3501 lets an atom be
LONGEST_KEYWORD = 60


class NeverDone(Unavailable):
    """Trying again changes nothing before the owner does."""

    code = NOT_DONE


def keyword(label: str) -> str:
    """A label as a flag that an IMAP server can keep: "Dringend: Müller & Co" is "Dringend:_Muller_&_Co".

    Raises NeverDone where nothing is left of it.
    """
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    word = _NO_KEYWORD.sub("_", plain).strip("_")[:LONGEST_KEYWORD]
    if not word:
        fix = "Use ASCII letters or figures in it."
        raise NeverDone(f"no flag of a mail server can be made of the label {label!r}", fix=fix)
    return word


async def set_flag(connection: Connection, selected: Selected, uid: int, flag: str) -> None:
    """Sets a flag of a mail in the open folder, and makes sure that it lasts.

    Raises Unavailable (AWAY, NOT_DONE), and NeverDone where the server or the folder keeps no such flag.
    """
    host = connection.account.host
    if flag.lower() in await _flags(connection, uid):
        return
    if not selected.writable:
        raise NeverDone(f"{host} lets nobody change this folder", fix="Check the account's rights there.")
    if flag.lower() not in selected.flags and (flag.startswith("\\") or "\\*" not in selected.flags):
        fix = f'Take "label" out of integrations.{connection.account.name}.allow, or use "move".'
        raise NeverDone(f"{host} keeps no flags of one's own in this folder: {flag} would be lost", fix=fix)
    answer = await connection.command(f"UID STORE {uid} +FLAGS ({flag})".encode())
    if answer.state != "OK":
        raise Unavailable(f"{host} does not set {flag}: {answer.text}", code=NOT_DONE)
    if flag.lower() not in await _flags(connection, uid):
        raise Unavailable(f"{host} says that it set {flag}, and did not", code=NOT_DONE)


async def _flags(connection: Connection, uid: int) -> set[str]:
    told = await connection.told(uid, "FLAGS")
    return {each.lower() for each in told if isinstance(each, str)} if isinstance(told, list) else set()


def can_move(connection: Connection) -> bool:
    """Whether a mail can be moved without touching others."""
    return not connection.capabilities.isdisjoint({"MOVE", "UIDPLUS"})


def moves_at_once(connection: Connection) -> bool:
    """Whether a mail is never in both folders."""
    return "MOVE" in connection.capabilities


async def move(connection: Connection, uid: int, target: str, *, copied: bool = False) -> Place | None:
    """Moves a mail of the open folder; its new place, where the server tells.

    `copied`: it is in `target` already, and only has to leave here. Raises Unavailable (AWAY, NO_FOLDER, NOT_DONE),
    and NeverDone where the server can only remove together with it whatever else is marked as deleted.
    """
    if not can_move(connection):
        problem = f"{connection.account.host} knows neither MOVE nor UIDPLUS: other mails could be removed with it"
        raise NeverDone(problem, fix="Move it in your mail program.")
    place: list[Place] = []

    def note(response: Response) -> None:
        if isinstance(response, Status) and response.code == "COPYUID":
            found = _copied(connection.account.name, target, uid, response.value)
            place.extend([found] if found else [])

    where = folder_argument(target)
    if moves_at_once(connection) and not copied:
        await _carried(connection, b"UID MOVE %d %s" % (uid, where), target, note)
        return place[-1] if place else None
    if not copied:
        await _carried(connection, b"UID COPY %d %s" % (uid, where), target, note)
    await _carried(connection, b"UID STORE %d +FLAGS.SILENT (\\Deleted)" % uid, target, note)
    await _carried(connection, b"UID EXPUNGE %d" % uid, target, note)
    return place[-1] if place else None


async def _carried(connection: Connection, command: bytes, target: str, note: wire.Note) -> None:
    answer = await connection.command(command, note)
    note(answer)
    if answer.state == "OK":
        return
    if answer.code in ("TRYCREATE", "NONEXISTENT"):
        raise Unavailable(f"{connection.account.host} has no folder {target!r}", fix="Create it.", code=NO_FOLDER)
    raise Unavailable(f"{connection.account.host} does not move it to {target!r}: {answer.text}", code=NOT_DONE)


def _copied(account: str, target: str, uid: int, told: str) -> Place | None:
    """The new place in "validity uid newuid"; None where it is about something else."""
    numbers = [wire.number(each) for each in told.split()]
    if len(numbers) != 3 or numbers[1] != uid or not numbers[0] or not numbers[2]:
        return None
    return Place(account, target, numbers[0], numbers[2])


def folder_called(name: str, known: list[Folder]) -> str:
    """The folder that a person means: by its name, with "/" between its parts, whatever the server's way is.

    Raises Unavailable (NO_FOLDER).
    """
    for way in (_exactly, _in_parts, _below_inbox):
        found = [each.name for each in known if way(each, name)]
        if len(found) == 1:
            return found[0]
    raise Unavailable(f"there is no folder {name!r}", fix="Create it, or correct the rule.", code=NO_FOLDER)


def _exactly(folder: Folder, name: str) -> bool:
    return folder.name == name


def _in_parts(folder: Folder, name: str) -> bool:
    return _parts(folder) == [part.casefold() for part in name.split("/")]


def _below_inbox(folder: Folder, name: str) -> bool:
    return _parts(folder) == ["inbox", *(part.casefold() for part in name.split("/"))]


def _parts(folder: Folder) -> list[str]:
    whole = folder.name.casefold()
    return whole.split(folder.separator) if folder.separator else [whole]
