"""Folders as servers list them, well and badly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.errors import Unavailable
from chittycan.integrations.email.imap import AWAY, Limits
from chittycan.integrations.email.imap_folders import (
    MOST_ASKED,
    MOST_FOLDERS,
    Folder,
    answered,
    folders,
    used_for,
    with_message_id,
)
from chittycan.integrations.email.imap_wire import folder_name, readable_folder
from mail_servers import ARCHIVE, SENT, Dovecot, Liar, Misbehaviour, Session, connected

BOTH_LOOPS = True


def answering(word: str, *lines: str, state: str = "OK") -> Misbehaviour:
    async def misbehave(session: Session, tag: str, command: str) -> bool:
        if word not in command:
            return False
        session.say(*lines, f"{tag} {state} done")
        return True

    return misbehave


async def test_a_real_server_says_what_its_folders_are_for(dovecot_server: Dovecot) -> None:
    dovecot_server.deliver("lists", "1", b"\r\n", folder="Clients.B&APw-cher")
    async with connected(dovecot_server.port, user="lists") as connection:
        found = await folders(connection)
    by_name = {each.name: each for each in found}
    assert (by_name[SENT].use, by_name[ARCHIVE].use, by_name["INBOX"].use) == ("sent", "archive", None)
    assert by_name["Clients/Bücher"].last == "Bücher"
    assert (used_for("sent", found), used_for("archive", found), used_for("junk", found)) == (SENT, ARCHIVE, None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('* LIST (\\HasNoChildren) "/" INBOX', [Folder("INBOX", "/")]),
        ('* LIST () NIL "Sent"', [Folder("Sent", None)]),
        ('* LIST () "." {4}\r\nSent', [Folder("Sent", ".")]),
        ('* LIST () "/" "Broken &name"', [Folder("Broken &name", "/")]),
        ('* LIST () "/" "&!!!-"', [Folder("&!!!-", "/")]),
        ('* LIST (\\NonExistent) "/" Gone', []),
        ('* LIST () "/" ""', []),
        ('* LIST () "/" NIL', []),
        ('* LIST () "/" (INBOX)', []),
        ("* LIST", []),
        ("* LIST INBOX", []),
    ],
)
async def test_odd_lines_are_read_or_passed_over(liar: Liar, line: str, expected: list[Folder]) -> None:
    liar.misbehave = answering("LIST", line)
    async with connected(liar.port) as connection:
        assert await folders(connection) == expected


async def test_folders_without_end_are_cut_and_a_line_without_end_is_left(liar: Liar) -> None:
    liar.misbehave = answering("LIST", *(f'* LIST () "/" f{number}' for number in range(MOST_FOLDERS + 50)))
    async with connected(liar.port) as connection:
        assert len(await folders(connection)) == MOST_FOLDERS
    liar.misbehave = answering("LIST", '* LIST () "/" {99999999999}')
    async with connected(liar.port) as connection:
        with pytest.raises(Unavailable) as caught:
            await folders(connection)
    assert caught.value.code == AWAY


async def test_a_server_that_lists_nothing_is_said(liar: Liar) -> None:
    liar.misbehave = answering("LIST", state="NO")
    async with connected(liar.port) as connection:
        with pytest.raises(Unavailable, match="lists no folders"):
            await folders(connection)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("* SEARCH 1 2", [1]), ("* SEARCH 2", []), ("* SEARCH 9", []), ("* SEARCH", []), ("* SEARCH 0 -1 x NIL", []),
        ("* SEARCH 99999999999999999999 1", [1]), ("* 1 EXISTS", []),
    ],
)  # fmt: skip
async def test_what_a_search_finds_is_looked_at(liar: Liar, found: str, expected: list[int]) -> None:
    liar.mails = {1: b"Message-ID: <a@b>\r\n\r\n", 2: b"Message-ID: <aa@b>\r\n\r\n"}
    liar.misbehave = answering("SEARCH", found)
    async with connected(liar.port) as connection:
        await connection.examine("INBOX")
        assert await with_message_id(connection, "<a@b>") == expected


async def test_a_search_without_end_is_left(liar: Liar) -> None:
    async def endless(session: Session, _tag: str, command: str) -> bool:
        if "SEARCH" in command:
            session.writer.write(b"* SEARCH" + b" 1" * 100_000)
        return "SEARCH" in command

    liar.misbehave = endless
    async with connected(liar.port, limits=Limits(command=1)) as connection:
        with pytest.raises(Unavailable) as caught:
            await with_message_id(connection, '<a"b\\c@d>')
    assert caught.value.code == AWAY
    assert liar.said[-1] == 'UID SEARCH HEADER Message-ID "<a\\"b\\\\c@d>"'


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_names_are_read_as_they_are_written(name: str) -> None:
    written = folder_name(name)[1:-1].replace(b'\\"', b'"').replace(b"\\\\", b"\\")
    assert readable_folder(written) == name


@given(st.binary())
def test_no_name_breaks_the_reader(name: bytes) -> None:
    readable_folder(name)


async def test_however_many_mails_are_asked_after_no_command_is_too_long(liar: Liar) -> None:
    """A server gives away numbers that nobody asked for, too."""
    liar.misbehave = answering("SEARCH", "* SEARCH 1 501 7000")
    async with connected(liar.port) as connection:
        assert await answered(connection, range(1, MOST_ASKED + 102)) == {1, 501}
    asked = [each for each in liar.said if "SEARCH" in each]
    assert len(asked) == 2
    assert max(map(len, asked)) < 8_000  # RFC 7162, 4: what a server takes at least
