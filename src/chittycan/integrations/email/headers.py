"""Header values as a person reads them; every function takes any bytes that a mail may hold and none raises.

Order of trust: the standard library's modern parser, its old one, then the text as it stands.
"""

import re
from collections.abc import Iterable
from datetime import UTC
from email.header import decode_header, make_header
from email.policy import default as policy
from email.utils import getaddresses, parsedate_to_datetime

from msgspec import Struct

from chittycan.integrations.documents import charsets

MAX_VALUE = 16 * 1024  # characters of one header that are looked at
MAX_ADDRESSES = 500
# The modern parser takes a time that grows with the square of what it is given, or worse: a header of 16 KiB, half a
# minute. Longer lists go through the old one, address by address.
MAX_MODERN = 1_000  # characters
MAX_ADDRESS = 500

_FOLD = re.compile(r"[\r\n]+[ \t]*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,400}>")
_LISTED = re.compile(r'(?:"[^"]*"|[^",])+')
_ENCODED = re.compile(r"=\?([^?*\s]{1,40})(?=[?*])")  # the charset of an encoded word (RFC 2047)
_ADDRESS = re.compile(r"[^\s<>\"'(),:;\[\]]+@[^\s<>\"'(),:;\[\]]+")


class Address(Struct, frozen=True):
    """A mailbox: the name that shows, and `local@domain` as written (empty where there is none)."""

    name: str = ""
    address: str = ""

    @property
    def domain(self) -> str:
        """What follows the @, in lower case; empty where the address is none."""
        local, _, domain = self.address.rpartition("@")
        return domain.lower() if local else ""

    def __str__(self) -> str:
        return f"{self.name} <{self.address}>" if self.name else self.address


def decode_bytes(data: bytes, charset: str | None = None) -> tuple[str, bool]:
    """Text from bytes by the declared charset, then UTF-8, then Windows-1252; and whether it was all clean."""
    known = charsets.codec(charset) if charset else None
    candidates = [known, "utf-8"]
    for candidate in reversed(candidates) if known and charsets.may_be_utf8(known, data) else candidates:
        try:
            if candidate:
                return data.decode(candidate), True
        except Exception:  # noqa: S112 (ValueError, and codecs' own)
            continue
    return data.decode("windows-1252", "replace"), False


def readable(value: object) -> str:
    """`value` on one line, with undeclared 8-bit bytes read by the charset chain."""
    text = _FOLD.sub(" ", str(value)[:MAX_VALUE])
    if not text.isascii():
        try:  # the parser smuggles bytes outside ASCII through as lone surrogates
            data = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            data = text.encode("utf-8", "replace")
        text = decode_bytes(data)[0]
    return _CONTROL.sub("", text).strip()


def decoded(name: str, value: object) -> str:
    """An unstructured header (Subject, a file name) with its encoded words decoded."""
    text = readable(value)
    if "=?" not in text:
        return text
    text = _ENCODED.sub(lambda word: f"=?{charsets.codec(word[1]) or word[1]}", text)
    try:
        return readable(policy.header_factory(name, text))
    except Exception:
        return _old_decoded(text)


def _old_decoded(text: str) -> str:
    try:
        return readable(make_header(decode_header(text)))
    except Exception:
        return text


def addresses(name: str, values: Iterable[object]) -> tuple[Address, ...]:
    """The mailboxes of an address header; an unreadable header gives those that can be picked out of its text."""
    texts = [readable(value) for value in values]
    found: list[Address] = []
    if sum(map(len, texts)) <= MAX_MODERN:
        for text in texts:
            found += _addresses(name, text)
    else:
        for listed in _LISTED.findall(", ".join(texts)[:MAX_VALUE])[:MAX_ADDRESSES]:
            found += _old_addresses(listed[:MAX_ADDRESS])
    return tuple(found[:MAX_ADDRESSES])


def _addresses(name: str, text: str) -> list[Address]:
    try:
        parsed = policy.header_factory(name, text).addresses
        found = [Address(readable(entry.display_name), readable(entry.addr_spec)) for entry in parsed]
    except Exception:  # RecursionError on "((((", IndexError and AttributeError on other broken lists
        found = []
    if not any(entry.address.count("@") == 1 for entry in found):
        found = _old_addresses(text) or found
    return [entry for entry in found if entry.name or entry.address.strip("<>")]


def _old_addresses(text: str) -> list[Address]:
    try:
        pairs = getaddresses([text])
    except Exception:
        pairs = []
    if not any("@" in address for _, address in pairs):
        pairs = [("", match) for match in _ADDRESS.findall(text)]
    return [Address(decoded("subject", shown), address) for shown, address in pairs if "@" in address]


def message_ids(value: object) -> tuple[str, ...]:
    """The identifiers of Message-ID, In-Reply-To or References, with their angle brackets, at most 100."""
    return tuple(dict.fromkeys(_MESSAGE_ID.findall(readable(value))))[-100:]


def timestamp(value: object) -> float | None:
    """A Date header as Unix seconds; a date without a zone counts as UTC."""
    try:
        moment = parsedate_to_datetime(readable(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except Exception:
        return None
