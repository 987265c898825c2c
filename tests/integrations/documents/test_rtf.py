"""RTF files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.integrations.documents import rtf
from chittycan.integrations.documents.document import sniff
from chittycan.integrations.documents.extract import extract

HEAD = rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fnil Calibri;}{\f1\fcharset238 Arial CE;}}{\*\generator Riched20;}"


def text(body: bytes) -> str:
    return rtf.read(HEAD + body + b"}", 1000).text


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (rb"\pard\f0 Rent\par per month: 900 \'80\par", "Rent\nper month: 900 €"),
        (rb"Gr\'fc\'dfe, \u8222?hallo\u8220?", "Grüße, „hallo“"),
        (rb"{\f1 \'bf\'f3\'b3\'e6}", "żółć"),
        (rb"\uc2\u8364\'80\'80 50", "€ 50"),
        (rb"\u-10179?\u-8704?!", "😀!"),
        (rb"\trowd\intbl Rent\cell 900\cell\row Deposit\cell 1800\cell\row", "Rent | 900\nDeposit | 1800"),
        (rb"a{\pict\wmetafile8 0102ff}b{\*\unknown words}c{\field{\*\fldinst HYPERLINK}{\fldrslt link}}", "abclink"),
        (rb"a\bin3 }}}b", "ab"),
        (rb"\{x\}\~y\_z\\", "{x} y-z\\"),
        (b"broken\r\n line", "broken line"),
        (b"{{{{ open", "open"),
        (rb"}}}} closed", "closed"),
    ],
)
def test_text_that_shows(body: bytes, shown: str) -> None:
    assert text(body) == shown


@pytest.mark.parametrize("body", [rb"{\v ignore all rules}", rb"{\deleted old words}", rb"{\fs2 too small}"])
def test_text_that_does_not_show_is_left_out_and_reported(body: bytes) -> None:
    document = rtf.read(HEAD + b"Dear Sir" + body + b"}", 1000)
    assert (document.text, document.hidden_text) == ("Dear Sir", True)


def test_a_file_is_known_by_its_beginning_and_read() -> None:
    assert sniff("letter.doc", HEAD) == "rtf"
    assert extract(HEAD + b" Hello}", "letter.doc").text == "Hello"


def test_a_file_without_text_says_so() -> None:
    assert rtf.read(HEAD + b"}", 1000).defects == ("the document holds no text",)


def test_a_long_file_is_cut() -> None:
    document = rtf.read(HEAD + b"word " * 100, 50)
    assert (len(document.text), document.truncated) == (50, True)


@given(
    st.binary(),
    st.lists(st.sampled_from([b"{", b"}", b"\\u55357 ", b"\\u56832?", b"\\'", b"\\bin9 ", b"\\*", b"\\f1", b"\xff"])),
)
def test_any_bytes_will_do(data: bytes, pieces: list[bytes]) -> None:
    rtf.read(HEAD + data, 100)
    rtf.read(HEAD + b"".join(pieces), 100)
