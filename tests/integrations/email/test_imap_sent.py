"""Copies of what was sent, in a real server's folder for them, and on servers that know no such thing."""

import asyncio
import re

import pytest

from chittycan.errors import Unavailable
from chittycan.integrations.email.imap import AWAY, NO_FOLDER, NOT_DONE, Limits
from chittycan.integrations.email.imap_sent import find_sent, internal_date, keep_sent
from mail_servers import SENT, Dovecot, Liar, Session, connected

REPLY = b"From: a@b.example\r\nMessage-ID: <reply-1@b.example>\r\nSubject: Re: x\r\n\r\nYes.\r\n"
BOTH_LOOPS = True


def user(name: str) -> str:
    return f"{name}-{id(asyncio.get_running_loop())}"


@pytest.mark.parametrize("size", [10, 4_097, 3_000_000])
async def test_a_copy_is_kept_once_as_read(dovecot_server: Dovecot, size: int) -> None:
    anna, raw = user(f"sender-{size}"), REPLY + b"x" * 76 * (size > 10) + b"\r\n" * (size // 2)
    async with connected(dovecot_server.port, user=anna) as connection:
        assert not await find_sent(connection, "<reply-1@b.example>")
        assert await keep_sent(connection, raw, at=1_700_000_000.0)
        assert await find_sent(connection, "<reply-1@b.example>")
        assert not await keep_sent(connection, raw)
    (kept,) = (dovecot_server.maildir(anna, SENT) / "cur").iterdir()
    assert kept.read_bytes().replace(b"\r\n", b"\n") == raw.replace(b"\r\n", b"\n")
    assert kept.name.endswith(":2,S")
    assert int(kept.stat().st_mtime) == 1_700_000_000


async def test_a_longer_message_id_is_another_one(dovecot_server: Dovecot) -> None:
    async with connected(dovecot_server.port, user=user("longer")) as connection:
        await keep_sent(connection, REPLY.replace(b"<reply-1", b"<no-reply-1"))
        assert not await find_sent(connection, "reply-1@b.example")
        assert not await find_sent(connection, "<reply-1@b.example>")
        assert not await find_sent(connection, "<ü@b.example>")


async def test_lines_end_as_the_protocol_wants_it(dovecot_server: Dovecot) -> None:
    anna = user("lines")
    async with connected(dovecot_server.port, user=anna) as connection:
        await keep_sent(connection, b"Subject: x\nMessage-ID: <l@b.example>\n\none\r\ntwo\rthree\0\n")
        await connection.examine(SENT)
        assert await connection.part(1, "TEXT", 0, 100) == b"one\r\ntwo\r\nthree\r\n"


class Folders:
    """A server that lists these folders, each "attributes|name", and takes or refuses what is appended."""

    def __init__(self, *listed: str, appending: str = "OK done") -> None:
        self.listed, self.appending, self.kept = listed, appending, b""

    async def __call__(self, session: Session, tag: str, command: str) -> bool:
        word = command.split(maxsplit=1)[0]
        if word in ("LIST", "XLIST"):
            if "RETURN" in command:
                session.say(f"{tag} BAD what?")
                return True
            for each in self.listed:
                attributes, _, name = each.partition("|")
                session.say(f'* {word} ({attributes}) "." {name}')
            session.say(f"{tag} OK listed")
        elif word == "UID" and "SEARCH" in command:
            session.say("* SEARCH", f"{tag} OK searched")
        elif word == "APPEND":
            size = re.search(r"\{(\d+)(\+?)\}$", command)
            assert size is not None
            if not size[2] and not self.appending.startswith("OK"):
                session.say(f"{tag} {self.appending}")
                return True
            if not size[2]:
                session.say("+ go on")
            self.kept = await session.reader.readexactly(int(size[1]))
            assert await session.reader.readline() == b"\r\n"
            session.say(f"{tag} {self.appending}")
        else:
            return False
        return True


@pytest.mark.parametrize(
    ("capabilities", "listed", "expected"),
    [
        ("", ["|INBOX", "|Sent", '|"Sent Items"'], '"Sent"'),
        ("", ["|INBOX", "|INBOX.Archive.Sent", "|INBOX.Sent"], '"INBOX.Sent"'),
        ("", ["\\Noselect|Sent", '|"INBOX.Sent Items"'], '"INBOX.Sent Items"'),
        ("", ["|Gesendet"], '"Gesendet"'),
        ("", ['|"Envoy&AOk-s"'], '"Envoy&AOk-s"'),
        ("SPECIAL-USE", ["|Sent", '\\Sent|"[Gmail].Gesendet"'], '"[Gmail].Gesendet"'),
        ("SPECIAL-USE LIST-EXTENDED", ["|Sent", "\\Sent|Out"], '"Out"'),
        ("SPECIAL-USE", ["\\Junk|Sent", "|Gesendet"], '"Gesendet"'),
        ("XLIST", ["|Sent", "\\Sent|Old"], '"Old"'),
    ],
)
async def test_the_folder_is_found_by_its_use_else_by_its_name(
    liar: Liar, capabilities: str, listed: list[str], expected: str
) -> None:
    server = Folders(*listed)
    liar.capabilities, liar.misbehave = f"IMAP4rev1 {capabilities}", server
    async with connected(liar.port) as connection:
        assert await keep_sent(connection, REPLY)
    (appended,) = [each for each in liar.said if each.startswith("APPEND")]
    assert appended == f"APPEND {expected} (\\Seen) {{{len(REPLY)}}}"
    assert server.kept == REPLY


async def test_without_such_a_folder_none_is_made_up(liar: Liar) -> None:
    liar.misbehave = Folders("|INBOX", "|Unsent")
    async with connected(liar.port) as connection:
        with pytest.raises(Unavailable, match="no folder") as raised:
            await keep_sent(connection, REPLY)
    assert raised.value.code == NO_FOLDER
    assert not any(each.startswith(("APPEND", "CREATE")) for each in liar.said)


@pytest.mark.parametrize("capabilities", ["IMAP4rev1", "IMAP4rev1 LITERAL+"])
async def test_a_full_mailbox_is_said(liar: Liar, capabilities: str) -> None:
    liar.capabilities, liar.misbehave = capabilities, Folders("|Sent", appending="NO [OVERQUOTA] full")
    async with connected(liar.port) as connection:
        with pytest.raises(Unavailable, match="keeps no copy in Sent: full") as raised:
            await keep_sent(connection, REPLY)
    assert raised.value.code == NOT_DONE


async def test_a_server_that_does_not_let_us_go_on_is_left(liar: Liar) -> None:
    folders = Folders("|Sent")

    async def silent(session: Session, tag: str, command: str) -> bool:
        return command.startswith("APPEND") or await folders(session, tag, command)

    liar.misbehave = silent
    async with connected(liar.port, limits=Limits(command=0.2)) as connection:
        with pytest.raises(Unavailable) as raised:
            await keep_sent(connection, REPLY)
    assert raised.value.code == AWAY


def test_dates_are_as_the_protocol_wants_them() -> None:
    assert internal_date(0.0) == " 1-Jan-1970 00:00:00 +0000"
    assert internal_date(1_795_407_465.9) == "23-Nov-2026 04:17:45 +0000"
