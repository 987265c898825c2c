"""The folder of sent mail: whether a mail is in it, and keeping a copy there."""

import re
import time

from chittycan.errors import Unavailable
from chittycan.integrations.email.imap import NOT_DONE, Connection, folder_argument
from chittycan.integrations.email.imap_folders import special, with_message_id
from chittycan.integrations.email.limits import body_start
from chittycan.integrations.email.message import parse

_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")


async def find_sent(connection: Connection, message_id: str) -> bool:
    """Whether a mail with this Message-ID was kept among the sent. Raises Unavailable (AWAY, NO_FOLDER)."""
    await connection.examine(await special(connection, "sent"))
    return bool(await with_message_id(connection, message_id))


async def keep_sent(connection: Connection, raw: bytes, *, at: float | None = None) -> bool:
    """Puts a mail that was sent among the sent, as read; False where it is there already.

    Some servers keep what they send by themselves, and of a copy whose confirmation got lost there is to be one:
    the Message-ID is looked for first. `at`: when it was sent, Unix seconds. Raises Unavailable (AWAY, NO_FOLDER,
    NOT_DONE).
    """
    folder = await special(connection, "sent")
    message_id = parse(raw[: body_start(raw)]).message_id
    if message_id is not None:
        await connection.examine(folder)
        if await with_message_id(connection, message_id):
            return False
    date = b"" if at is None else b' "' + internal_date(at).encode() + b'"'
    content = _literal(raw)
    answer = await connection.command_with(b"APPEND " + folder_argument(folder) + b" (\\Seen)" + date, content)
    if answer.state != "OK":
        problem = f"{connection.account.host} keeps no copy in {folder}: {answer.text}"
        raise Unavailable(problem, fix="Make room there.", code=NOT_DONE)
    return True


def _literal(raw: bytes) -> bytes:
    """A line ends with both; no literal holds a NUL (RFC 3501, 9)."""
    ends = raw.count(b"\r\n")
    if ends != raw.count(b"\n") or ends != raw.count(b"\r"):  # the search takes seconds of a large mail
        raw = _BARE.sub(b"\r\n", raw)
    return raw.replace(b"\0", b"")


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def internal_date(at: float) -> str:
    """A moment as IMAP writes it (RFC 3501, date-time), in UTC, in English whatever the locale."""
    when = time.gmtime(at)
    clock = f"{when.tm_hour:02}:{when.tm_min:02}:{when.tm_sec:02}"
    return f"{when.tm_mday:2}-{_MONTHS[when.tm_mon - 1]}-{when.tm_year:04} {clock} +0000"
