"""Labels as keywords, folders by their names; what a server does is tried in tests/agents/test_mail_acts.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.errors import Unavailable
from chittycan.integrations.email.imap import NO_FOLDER, NOT_DONE
from chittycan.integrations.email.imap_change import LONGEST_KEYWORD, NeverDone, folder_called, keyword, move
from chittycan.integrations.email.imap_folders import Folder
from chittycan.integrations.email.imap_wire import folder_name, quoted
from mail_servers import Liar, Session, connected

BOTH_LOOPS = True


@pytest.mark.parametrize(
    ("label", "word"),
    [
        ("Court", "Court"), ("Müller & Co", "Muller_&_Co"), ('a"b\\c(d){e}%*[f]', "a_b_c_d_e_f"), ("$Junk", "$Junk"),
        ("\\Seen", "Seen"), ("one\r\nA1 LOGOUT", "one_A1_LOGOUT"), ("x" * 99, "x" * 60),
    ],
)  # fmt: skip
def test_a_label_becomes_a_keyword(label: str, word: str) -> None:
    assert keyword(label) == word


@given(st.text())
def test_whatever_a_label_is_no_command_can_be_made_of_it(label: str) -> None:
    try:
        word = keyword(label)
    except NeverDone:
        assert not any(each.isascii() and each.isalnum() for each in label)
        return
    assert 0 < len(word) <= LONGEST_KEYWORD
    # An atom (RFC 3501, 9), and no system flag.
    assert all("!" <= each <= "~" and each not in '(){%*"\\]' for each in word)


def test_a_folder_is_found_by_the_name_that_people_use() -> None:
    known = [Folder("INBOX", "."), Folder("INBOX.Clients.Bell", "."), Folder("Old/Mail", "."), Folder("Court", ".")]
    assert folder_called("INBOX.Clients.Bell", known) == "INBOX.Clients.Bell"
    assert folder_called("INBOX/Clients/Bell", known) == "INBOX.Clients.Bell"
    assert folder_called("clients/bell", known) == "INBOX.Clients.Bell"
    assert folder_called("court", known) == "Court"
    assert folder_called("Old/Mail", known) == "Old/Mail"
    assert folder_called("flat", [Folder("Flat", None)]) == "Flat"


@pytest.mark.parametrize("name", ["Bell", "Clients.Bell", "", "INBOX/"])
def test_a_folder_that_is_not_there_is_not_made_up(name: str) -> None:
    with pytest.raises(Unavailable, match="there is no folder") as caught:
        folder_called(name, [Folder("INBOX", "."), Folder("INBOX.Clients.Bell", ".")])
    assert caught.value.code == NO_FOLDER


def test_of_two_that_could_be_meant_neither_is_taken() -> None:
    with pytest.raises(Unavailable):
        folder_called("court", [Folder("Court", "/"), Folder("COURT", "/")])


@given(st.text(max_size=20))
def test_a_folders_name_is_one_word_of_a_command(name: str) -> None:
    try:
        word = folder_name(name)
    except ValueError:
        return
    assert word[:1] == word[-1:] == b'"'
    assert quoted(word[1:-1].decode().replace('\\"', '"').replace("\\\\", "\\")) == word


@pytest.mark.parametrize(
    "told",
    ["COPYUID 9 1 5", "COPYUID 9 1,2 5,6", "COPYUID 9 3 5", "COPYUID", "COPYUID 0 1 0", "COPYUID x y z"],
)
async def test_where_a_mail_went_is_believed_where_it_is_said_plainly(liar: Liar, told: str) -> None:
    async def moves(session: Session, tag: str, command: str) -> bool:
        if "MOVE" not in command:
            return False
        session.say(f"* OK [{told}] moved", "* 1 EXPUNGE", f"{tag} OK done")
        return True

    liar.capabilities, liar.misbehave = "IMAP4rev1 MOVE", moves
    async with connected(liar.port) as connection:
        place = await move(connection, 1, "Court")
    expected = ("Court", 9, 5) if told == "COPYUID 9 1 5" else None
    assert expected == (place and (place.folder, place.validity, place.uid))


@pytest.mark.parametrize("step", ["COPY", "STORE", "EXPUNGE"])
async def test_a_step_that_fails_is_the_last(liar: Liar, step: str) -> None:
    async def refuses(session: Session, tag: str, command: str) -> bool:
        if step not in command:
            return False
        session.say(f"{tag} NO not today")
        return True

    liar.capabilities, liar.misbehave = "IMAP4rev1 UIDPLUS", refuses
    async with connected(liar.port) as connection:
        liar.said.clear()
        with pytest.raises(Unavailable, match="not today") as caught:
            await move(connection, 1, "Court")
    assert caught.value.code == NOT_DONE
    steps = ["COPY", "STORE", "EXPUNGE"]
    assert [each.split()[1] for each in liar.said] == steps[: steps.index(step) + 1]
    assert all(each.split()[2] == "1" for each in liar.said)
