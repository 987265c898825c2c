"""What is signed with S/MIME or as a `.p7m` file: the content within (CMS, RFC 5652, §5). Signatures are not checked.

Only as much of BER is read as leads there; whatever does not fit is no signed content.
"""

import base64
import re
from collections.abc import Iterator

from msgspec import Struct

MAX_DEPTH = 30
MAX_ELEMENTS = 500_000  # programs write pieces of a kilobyte and more
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_OCTETS, _OCTETS_IN_PIECES = 0x04, 0x24
_ARMOUR = re.compile(rb"\s*-----BEGIN (?:PKCS7|CMS|PKCS #7 SIGNED DATA)-----([A-Za-z0-9+/=\s]++)-----END")


class _Element(Struct, frozen=True):
    tag: int
    start: int  # of what it holds
    end: int
    after: int


class _NoBerError(Exception):
    pass


def signed_content(data: bytes) -> bytes | None:
    """What was signed; None where the data is not signed, or the content stands elsewhere. Never raises."""
    try:
        if armoured := _ARMOUR.match(data):
            data = base64.b64decode(armoured[1])
        if _SIGNED_DATA not in data[:32]:
            return None
        ber = _Ber(data)
        _, explicit = ber.children(ber.element(0))
        (signed,) = ber.children(explicit)
        _, _, holder, *_ = ber.children(signed)  # version, digests, content; certificates and signatures
        _, *held = ber.children(holder)
        content = next(ber.children(held[0])) if held else None
        return b"".join(ber.octets(content)) if content is not None else None
    except (_NoBerError, IndexError, ValueError, StopIteration):
        return None


class _Ber:
    """Basic Encoding Rules (X.690), of which a limited number of elements is read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MAX_ELEMENTS

    def octets(self, element: _Element, depth: int = 0) -> Iterator[bytes]:
        if element.tag == _OCTETS:
            yield self._data[element.start : element.end]
        elif element.tag == _OCTETS_IN_PIECES and depth < MAX_DEPTH:
            for each in self.children(element):
                yield from self.octets(each, depth + 1)
        else:
            raise _NoBerError

    def children(self, element: _Element) -> Iterator[_Element]:
        at = element.start
        while at < element.end:
            child = self.element(at)
            yield child
            at = child.after

    def element(self, at: int, depth: int = 0) -> _Element:
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise _NoBerError
        tag, length, start = self._data[at], self._data[at + 1], at + 2
        if length == 0x80:  # until two zero bytes
            end = start
            while self._data[end : end + 2] != b"\x00\x00":
                end = self.element(end, depth + 1).after
            return _Element(tag, start, end, end + 2)
        if length > 0x80:
            count = length & 0x7F
            length, start = int.from_bytes(self._data[start : start + count], "big"), start + count
        if start + length > len(self._data):
            raise _NoBerError
        return _Element(tag, start, start + length, start + length)
