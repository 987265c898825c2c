"""What a server says, as bytes: read in any pieces, and left where it is none."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.integrations.email.imap_wire import (
    LARGEST_LITERAL,
    LONGEST_LINE,
    Continue,
    Data,
    Garbled,
    Reader,
    Response,
    Status,
    fetched,
    folder_name,
    number,
    quoted,
)

SPOKEN = (
    b"* OK [CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN] Dovecot (Debian) ready.\r\n"
    b"* 12 EXISTS\r\n"
    b"* FLAGS (\\Answered \\Flagged)\r\n"
    b'* 3 FETCH (UID 17 RFC822.SIZE 44 BODY[HEADER]<0> {12}\r\nSubject: (\r\n X (\\Seen) ENVELOPE ("a\\"b" NIL))\r\n'
    b"+ idling\r\n"
    b"a1 NO [AUTHENTICATIONFAILED] Wrong (password)\r\n"
)


def read(data: bytes) -> list[Response]:
    reader = Reader()
    reader.feed(data)
    return list(iter(reader.next, None))


def test_what_servers_say_is_understood() -> None:
    ready, exists, flags, mail, plus, refused = read(SPOKEN)
    assert ready == Status("*", "OK", "CAPABILITY", "IMAP4rev1 IDLE AUTH=PLAIN", "Dovecot (Debian) ready.")
    assert exists == Data("EXISTS", 12)
    assert flags == Data("FLAGS", None, (["\\Answered", "\\Flagged"],))
    assert isinstance(mail, Data)
    told = fetched(mail)
    assert (told["UID"], told["RFC822.SIZE"], told["BODY[HEADER]"]) == ("17", "44", b"Subject: (\r\n")
    assert told["ENVELOPE"] == [b'a"b', None]
    assert plus == Continue(b"idling")
    assert refused == Status("a1", "NO", "AUTHENTICATIONFAILED", "", "Wrong (password)")


@given(st.lists(st.integers(1, len(SPOKEN) - 1), max_size=20))
def test_it_does_not_matter_in_which_pieces_it_comes(cuts: list[int]) -> None:
    reader, found = Reader(), []
    places = [0, *sorted(set(cuts)), len(SPOKEN)]
    for start, end in pairwise(places):
        reader.feed(SPOKEN[start:end])
        found += list(iter(reader.next, None))
    assert found == read(SPOKEN)
    assert len(reader) == 0


@given(st.binary(max_size=400) | st.text('*+()[]{}<>"\\ \r\n0123456789aFETCHOK', max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        for each in read(data):
            if isinstance(each, Data):
                fetched(each)
    except Garbled:
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"* 1 FETCH (BODY[] {99999999999}\r\n",
        f"* 1 FETCH (BODY[] {{{LARGEST_LITERAL + 1}}}\r\n".encode(),
        b"* LIST " + b"a" * (LONGEST_LINE + 2),
        b"* LIST " + b"a" * (LONGEST_LINE + 2) + b"\r\n",
        b"* X " + b"(" * 50 + b")" * 50 + b"\r\n",
        b"* X " + b"a " * 20_000 + b"\r\n",
        b"* X " + b"{1}\r\na " * 300_000,
        b"* X (\r\n",
        b"* X )\r\n",
        b'* X "abc\r\n',
        b"hello\r\n",
        b"\r\n",
    ],
    ids=["huge literal", "large literal", "endless line", "long line", "depth", "words", "endless response",
         "open list", "closed list", "open string", "no response", "empty line"],
)  # fmt: skip
def test_what_is_no_imap_or_has_no_end_is_refused(data: bytes) -> None:
    with pytest.raises(Garbled):
        read(data)


def test_nothing_is_allocated_for_a_size_that_was_only_claimed() -> None:
    reader = Reader()
    reader.feed(f"* 1 FETCH (BODY[] {{{LARGEST_LITERAL}}}\r\nshort".encode())
    assert reader.next() is None
    assert len(reader) < 100


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_a_quoted_string_comes_back_as_it_was(text: str) -> None:
    (response,) = read(b"* X " + quoted(text) + b"\r\n")
    assert response == Data("X", None, (text.encode(),))


@pytest.mark.parametrize("text", ["a\r\nb", "a\0", "é"])
def test_no_command_can_be_slipped_into_a_string(text: str) -> None:
    with pytest.raises(ValueError, match="ASCII"):
        quoted(text)


@pytest.mark.parametrize(
    ("name", "encoded"),
    [("INBOX", b'"INBOX"'), ("Entwürfe", b'"Entw&APw-rfe"'), ("A&B", b'"A&-B"'), ("~peter/mail/台北/日本語",
      b'"~peter/mail/&U,BTFw-/&ZeVnLIqe-"')],
)  # fmt: skip
def test_names_of_folders(name: str, encoded: bytes) -> None:
    assert folder_name(name) == encoded


def test_numbers_are_numbers() -> None:
    assert [number(each) for each in ("12", b"12", "-1", "1" * 19, None, "²")] == [12, 12, None, None, None, None]
