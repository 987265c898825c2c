"""Signed content, without the check of the signature."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.integrations.documents.cms import signed_content
from chittycan.integrations.documents.extract import extract
from chittycan.integrations.email.message import ENCRYPTED, parse

SIGNED = bytes.fromhex("06092a864886f70d010702")
DATA = bytes.fromhex("06092a864886f70d010701")


def tlv(tag: int, *parts: bytes, open_end: bool = False) -> bytes:
    content = b"".join(parts)
    if open_end:
        return bytes([tag, 0x80]) + content + b"\x00\x00"
    length = len(content)
    return bytes([tag]) + (bytes([length]) if length < 128 else b"\x82" + length.to_bytes(2, "big")) + content


def signed(content: bytes, open_end: bool = False) -> bytes:
    octets = (
        tlv(0x24, *(tlv(0x04, content[at : at + 10]) for at in range(0, len(content), 10)), open_end=True)
        if open_end
        else tlv(0x04, content)
    )
    held = tlv(0x30, DATA, tlv(0xA0, octets, open_end=open_end), open_end=open_end)
    data = tlv(0x30, tlv(0x02, b"\x01"), tlv(0x31), held, tlv(0x31), open_end=open_end)
    return tlv(0x30, SIGNED, tlv(0xA0, data, open_end=open_end), open_end=open_end)


def test_the_content_is_found_however_its_length_is_told() -> None:
    for content in (b"Hello", b"Hello " * 40):
        assert signed_content(signed(content)) == content
        assert signed_content(signed(content, open_end=True)) == content
    armoured = b"-----BEGIN PKCS7-----\n" + base64.encodebytes(signed(b"Hello")) + b"-----END PKCS7-----\n"
    assert signed_content(armoured) == b"Hello"


def test_what_is_sealed_or_holds_no_content_is_none() -> None:
    assert signed_content(signed(b"Hello").replace(SIGNED, SIGNED[:-1] + b"\x03")) is None
    assert signed_content(b"Hello") is None
    bare = tlv(0x30, tlv(0x02, b"\x01"), tlv(0x31), tlv(0x30, DATA), tlv(0x31))
    assert signed_content(tlv(0x30, SIGNED, tlv(0xA0, bare))) is None


def test_content_in_endless_pieces_is_given_up() -> None:
    pieces = tlv(0x24, b"\x04\x00" * 600_000, open_end=True)
    held = tlv(0x30, DATA, tlv(0xA0, pieces, open_end=True), open_end=True)
    data = tlv(0x30, tlv(0x02, b"\x01"), tlv(0x31), held, open_end=True)
    assert signed_content(tlv(0x30, SIGNED, tlv(0xA0, data, open_end=True), open_end=True)) is None


@given(st.binary(max_size=60), st.booleans(), st.integers(0, 80))
def test_any_bytes_will_do(noise: bytes, open_end: bool, at: int) -> None:
    whole = signed(b"Hello Anna", open_end)
    signed_content(whole[:at])
    signed_content(whole[:at] + noise)
    signed_content(tlv(0x30, SIGNED, noise))
    signed_content(b"0\x80" + SIGNED + b"0\x80" * at * 100)


def test_a_signed_file_is_read_as_what_was_signed() -> None:
    document = extract(signed(b"<html><p>Rent: 900</p></html>"), "lease.html.p7m")
    assert (document.kind, document.text) == ("html", "Rent: 900")


def test_a_mail_that_is_signed_as_a_whole_shows_its_text() -> None:
    inner = b"Content-Type: text/plain; charset=utf-8\r\n\r\nDear Anna, the lease is signed."
    head = b"From: a@b.example\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\n"
    raw = head + b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(signed(inner))
    mail = parse(raw)
    assert mail.text == "Dear Anna, the lease is signed."
    assert ENCRYPTED not in mail.defects
    assert [each.name for each in mail.attachments] == ["smime.p7m"]


@pytest.mark.parametrize("inside", [b"MIIA=B", b"=", b"A", b"\n" * 5_000_000, b"A" * 5_000_000])
@pytest.mark.parametrize("end", [b"-----END CMS-----", b"!"])
def test_armour_that_holds_nothing_is_no_signed_content(inside: bytes, end: bytes) -> None:
    assert signed_content(b"-----BEGIN CMS-----\n" + inside + end) is None
