"""winmail.dat, made by hand after MS-OXTNEF."""

from hypothesis import given
from hypothesis import strategies as st

from chittycan.integrations.documents import tnef
from chittycan.integrations.documents.chunks import place
from chittycan.integrations.documents.document import TNEF, sniff
from chittycan.integrations.documents.extract import extract

HEAD = TNEF + b"\x01\x00"


def attribute(number: int, content: bytes, level: int = 2) -> bytes:
    checksum = sum(content) % 0x10000
    return (
        bytes([level])
        + number.to_bytes(2, "little")
        + b"\x06\x00"
        + len(content).to_bytes(4, "little")
        + content
        + checksum.to_bytes(2, "little")
    )


def named(name: str) -> bytes:
    """MAPI properties: a number, then the long name in Unicode."""
    text = (name + "\x00").encode("utf-16-le")
    padded = text + bytes(-len(text) % 4)
    number = b"\x03\x00\x05\x37" + (1).to_bytes(4, "little")
    return (2).to_bytes(4, "little") + number + b"\x1f\x00\x07\x37" + b"\x01\x00\x00\x00" + len(text).to_bytes(
        4, "little"
    ) + padded  # fmt: skip


def file(title: str, content: bytes, name: str = "") -> bytes:
    more = attribute(0x9005, named(name)) if name else b""
    return (
        attribute(0x9002, bytes(14)) + attribute(0x8010, title.encode() + b"\x00") + attribute(0x800F, content) + more
    )


WINMAIL = (
    HEAD
    + attribute(0x800C, b"Dear Anna,\r\nplease sign.\x00", level=1)
    + file("LEASE~1.TXT", b"Rent: 900", "Lease agreement.txt")
    + file("note.txt", b"Thanks")
)


def test_its_text_and_its_files_are_read() -> None:
    assert sniff("winmail.dat", WINMAIL[:8192]) == "tnef"
    document = extract(WINMAIL, "winmail.dat")
    assert document.text == "Dear Anna,\nplease sign.\n\n# Lease agreement.txt\nRent: 900\n\n# note.txt\nThanks"
    assert place(document, "Rent: 900") == "Lease agreement.txt"
    assert document.defects == ()


def test_files_without_a_text_are_read() -> None:
    assert extract(HEAD + file("a.txt", b"Hello"), "x").text.endswith("# a.txt\nHello")


def test_an_empty_one_says_so() -> None:
    assert extract(HEAD, "winmail.dat").defects == ("the file holds no text",)


@given(st.binary(max_size=100), st.integers(0, len(WINMAIL)))
def test_any_bytes_will_do(noise: bytes, at: int) -> None:
    for data in (WINMAIL[:at], WINMAIL[:at] + noise, HEAD + attribute(0x9005, noise)):
        tnef.read(data, 100)
        list(tnef.files(data))
