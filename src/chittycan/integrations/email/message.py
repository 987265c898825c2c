"""A mail from its bytes: `parse` takes any bytes at all, and never raises.

What a part cannot give is left empty and named in `Mail.defects`; the caller keeps the bytes.
"""

import base64
import hashlib
import quopri
import re
from collections.abc import Callable, Iterator, Mapping
from email import message_from_bytes
from email.message import Message
from email.policy import Compat32
from typing import Any, TypeVar

from msgspec import Struct, field

from chittycan.integrations.documents import charsets, cms
from chittycan.integrations.documents.characters import visible_characters
from chittycan.integrations.documents.html import MAX_SOURCE, is_long, visible_text
from chittycan.integrations.email import calendar
from chittycan.integrations.email.bounce import Bounce, of_report
from chittycan.integrations.email.headers import (
    MAX_VALUE,
    Address,
    addresses,
    decode_bytes,
    decoded,
    message_ids,
    readable,
    timestamp,
)
from chittycan.integrations.email.limits import MAX_DEPTH, body_start, within_limits
from chittycan.integrations.email.links import mislead

MAX_TEXT = 200_000  # characters of visible text that are kept
MAX_HEADERS = 300  # different header names that are kept
MAX_HEADER = 2_000  # characters of each
MAX_PARAMETERS = 60  # of a Content-* header that are looked at

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_UNSAFE_NAME = re.compile(r"[/\\\x00-\x1f]+")
_MANY = re.compile(rf"(?:[^;]*;){{{MAX_PARAMETERS}}}")
_QUOTED_FROM = re.compile(rb"^>+From ", re.MULTILINE)
_IDENTITY = (b"message-id", b"from", b"to", b"date", b"subject")

_PAGES = ("text/html", "application/xhtml+xml")

# What nobody but the owner's mail program can open, and that a person has to be told of.
ENCRYPTED = "encrypted or sealed (S/MIME, PGP): its text was not read"
WINMAIL = "winmail.dat holds what was sent along; sorting did not look into it"
# Other kinds of text are text (RFC 2046, 4.1.4); these are files that happen to be text, or not for a reader at all.
_FILES = frozenset(
    f"text/{kind}" for kind in ("calendar", "csv", "css", "directory", "javascript", "rfc822-headers", "rtf", "vcard",
                                "x-amp-html", "x-vcard", "xml")
)  # fmt: skip
MAX_SIGNED = 5  # signatures within signatures
_SEALED = ("application/pkcs7-mime", "application/x-pkcs7-mime", "application/pgp-encrypted")
# Two versions of a mail say the same where most words of the plain one are in the other, addresses apart.
_WORD, _LINK = re.compile(r"[^\W\d_]{4,}"), re.compile(r"\S*(?:://|www\.|@)\S*")
ENOUGH_WORDS, SAME, OTHER = 10, 0.6, 0.1  # of the plain one; and the shares of them
_ARMOUR = "-----BEGIN PGP MESSAGE-----"
_REPORT = re.compile(
    r"multipart/report\b(?:.*?\breport-type[ \t]*=[ \t]*\"?([\w.-]{1,80}))?", re.IGNORECASE | re.DOTALL
)

T = TypeVar("T")


class _AsWritten(Compat32):
    """Gives header values as they came, up to a length: the library's own way loses undeclared 8-bit bytes."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        # The library takes a time that grows with the square of the parameters to find a boundary or a charset.
        many = _MANY.match(value) if name[:8].lower() == "content-" else None
        return name, value[: min(many.end() if many else MAX_VALUE, MAX_VALUE)]

    def header_fetch_parse(self, name: str, value: str) -> str:
        return value


_POLICY = _AsWritten()


class Attachment(Struct, frozen=True):
    """A part that is not the mail's own text. `size` is in bytes, decoded; `content(raw, it)` gives them."""

    name: str
    media_type: str
    size: int
    index: int  # place among the mail's parts


class Mail(Struct, kw_only=True):
    """A mail as far as it could be understood.

    `text` is what a person would see; `hidden_text` says that there was more, in it or in a page that is attached;
    `date` is Unix seconds.
    `headers` maps the lower-case name to the first (topmost) value as written, unfolded.
    """

    id: str  # ten characters, from `dedupe_key`
    dedupe_key: str  # hash of Message-ID and content: one sender's identifier alone could hide a mail
    message_id: str | None
    sender: Address  # From
    reply_to: tuple[Address, ...] = ()
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    subject: str = ""
    date: float | None = None
    text: str = ""
    hidden_text: bool = False
    misleading_link: bool = False  # it shows another address than it leads to
    attachments: tuple[Attachment, ...] = ()
    list_id: str | None = None
    auto_submitted: str | None = None
    precedence: str | None = None
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    size: int = 0  # bytes of the whole mail
    bounce: Bounce | None = None  # a mail server says that a mail did not arrive
    defects: tuple[str, ...] = ()

    @property
    def report(self) -> str | None:
        """Of a mail that a mail system wrote (RFC 6522), of what it tells: `delivery-status`, say; else None."""
        found = _REPORT.match(self.headers.get("content-type", ""))
        return (found[1] or "").lower() if found else None


def parse(raw: bytes) -> Mail:
    """The mail that `raw` holds. Never raises; time and depth are bounded by `limits`."""
    key = dedupe_key(raw)
    mail = Mail(id=short_id(key), dedupe_key=key, message_id=None, sender=Address(), size=len(raw))
    cut, defects = within_limits(raw)
    message = _message(cut, defects)
    try:
        _read_headers(mail, message)
        body = _Body(defects)
        mail.text = _tidy("\n\n".join(piece for piece in body.read(message, 0) if piece))
        mail.text = mail.text or _tidy(visible_characters(calendar.shown(body.invitation))[0])
        mail.attachments = tuple(body.attachments)
        if mail.report == "delivery-status":
            mail.bounce = _attempt(lambda: of_report(message), None)
        mail.hidden_text = body.hidden
        mail.misleading_link = body.misleading
    except Exception as error:  # every accessor is guarded; this is for the one that nobody thought of
        defects.append(f"unreadable: {type(error).__name__}")
    if not mail.sender.address:
        defects.append("no sender address")
    mail.defects = tuple(dict.fromkeys(defects))
    return mail


def content(raw: bytes, attachment: Attachment) -> bytes:
    """The decoded bytes of an attachment of the mail `raw`; empty when there is no such part. Never raises."""
    cut, _ = within_limits(raw)
    for index, part in enumerate(_parts(_message(cut, []))):
        if index == attachment.index:
            return _bytes(part)
    return b""


def dedupe_key(raw: bytes) -> str:
    """One value for one mail, however it was stored: line ends, mbox quoting and delivery headers do not count."""
    start = body_start(raw)
    digest = hashlib.sha256()
    head = re.sub(rb"\r?\n[ \t]+", b" ", raw[:start]).replace(b"\r", b"\n")
    lines = [line for line in head.split(b"\n") if line.partition(b":")[0].strip().lower() in _IDENTITY]
    for line in sorted(lines):
        digest.update(b" ".join(line.split()) + b"\n")
    body = raw[start:].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    digest.update(b"\n" + _QUOTED_FROM.sub(b"From ", body).rstrip())
    return digest.hexdigest()


def short_id(key: str) -> str:
    """Ten characters a person can type: 50 bits, so that a million mails share one in two thousand mailboxes."""
    return base64.b32encode(bytes.fromhex(key)[:10]).decode().lower()[:10]


def _message(raw: bytes, defects: list[str]) -> Message:
    message = _attempt(lambda: message_from_bytes(raw, policy=_POLICY), None)
    if message is None:
        defects.append("structure unreadable: only headers were read")
        message = _attempt(lambda: message_from_bytes(raw[: body_start(raw)], policy=_POLICY), Message())
    return message


def _read_headers(mail: Mail, message: Message) -> None:
    values: dict[str, list[Any]] = {}
    for name, value in message.raw_items():
        values.setdefault(readable(name).lower(), []).append(value)

    def first(name: str) -> str | None:
        return readable(values[name][0]) or None if name in values else None

    def people(name: str) -> tuple[Address, ...]:
        return addresses(name, values.get(name, [])[:5])

    senders = people("from") or people("sender")
    mail.sender = senders[0] if senders else Address()
    mail.reply_to, mail.to, mail.cc = people("reply-to"), people("to"), people("cc")
    mail.subject = visible_characters(decoded("subject", values["subject"][0]))[0] if "subject" in values else ""
    mail.date = timestamp(first("date") or "")
    mail.list_id, mail.auto_submitted, mail.precedence = first("list-id"), first("auto-submitted"), first("precedence")
    mail.message_id = next(iter(message_ids(first("message-id") or "")), first("message-id"))
    mail.in_reply_to = next(iter(message_ids(first("in-reply-to") or "")), None)
    mail.references = message_ids(first("references") or "")
    kept = list(values.items())[:MAX_HEADERS]
    mail.headers = {name: readable(found[0])[:MAX_HEADER] for name, found in kept}


class _Body:
    """The walk over the parts: text pieces in order, attachments beside them."""

    def __init__(self, defects: list[str]) -> None:
        self.attachments: list[Attachment] = []
        self.hidden = False
        self.misleading = False
        self.invitation = ""
        self._defects = defects
        self._index = -1
        self._room = MAX_SOURCE  # characters of HTML that are still read

    def read(self, part: Message, depth: int) -> list[str]:
        """The text that shows of `part` and the parts in it."""
        self._index += 1
        self._defects += [
            _CAMEL.sub(" ", type(defect).__name__.removesuffix("Defect")).lower() for defect in part.defects
        ]
        kind = _media_type(part)
        children = _children(part)
        if children and depth < MAX_DEPTH:
            if kind.startswith("message/"):
                return self._attached_message(part, children, depth)
            if kind == "multipart/alternative":
                return self._alternative(children, depth)
            return [piece for child in children for piece in self.read(child, depth + 1)]
        if kind.startswith("multipart/") and not children:
            kind = "text/plain"  # its boundary is missing: what it holds is shown as it stands
        name, turned = _name(part)
        self.hidden = self.hidden or turned
        attached = _attempt(part.get_content_disposition, None) == "attachment"
        shown = kind.startswith("text/") and (kind not in _FILES)
        if not shown or attached or (name and self._index > 0 and not _inline(part)):
            self._attach(part, kind, name)
            return self._signed(part, depth) if kind in _SEALED else []
        return [self._text(part, kind)]

    def _alternative(self, children: list[Message], depth: int) -> list[str]:
        """The plain version; the other, which a person sees, where that one is empty, a hint or something else."""
        versions = [(_media_type(child), "\n\n".join(self.read(child, depth + 1))) for child in children]
        shown = [(kind, text) for kind, text in versions if text.strip()]
        plain = next((text for kind, text in shown if kind == "text/plain"), "")
        rich = next((text for kind, text in reversed(shown) if kind != "text/plain"), "")
        if len(rich) > 3 * len(plain):
            return [rich]
        same = _share_of_words(plain, rich) if plain and rich else 1.0
        self.hidden = self.hidden or same < OTHER
        return [rich if same < SAME else plain or rich]

    def _attached_message(self, part: Message, children: list[Message], depth: int) -> list[str]:
        data = _bytes(part)
        inner = _message(data[: body_start(data)], [])
        title = _attempt(lambda: decoded("subject", inner.get("subject") or ""), "")
        size = len(data)
        self.attachments.append(Attachment(_safe(title)[0] or "message.eml", _media_type(part), size, self._index))
        self._index += sum(1 for child in children for _ in _parts(child, depth + 1))
        return []

    def _attach(self, part: Message, kind: str, name: str) -> None:
        if kind == "text/x-amp-html":
            return  # a version of the text, for one vendor's program
        data = _bytes(part)
        if kind == "application/ms-tnef" or name.lower() == "winmail.dat":
            self._defects.append(WINMAIL)
        if name or (data and not kind.startswith("multipart/")):
            self.attachments.append(Attachment(name or f"part-{self._index}", kind, len(data), self._index))
        if kind == "text/calendar" and not self.invitation:
            self.invitation = decode_bytes(data[: MAX_TEXT * 2], _attempt(part.get_content_charset, None))[0]
        if kind in _PAGES or name.lower().endswith((".html", ".htm", ".xhtml")):
            self._shown(decode_bytes(data, _attempt(part.get_content_charset, None))[0])

    def _signed(self, part: Message, depth: int) -> list[str]:
        """The text of a mail that is signed as a whole, so that it stands within the signature."""
        content = cms.signed_content(_bytes(part)) if depth < MAX_SIGNED else None
        if content is None:
            self._defects.append(ENCRYPTED)
            return []
        cut, defects = within_limits(content)
        inner = _Body(self._defects)
        self._defects += defects
        texts = inner.read(_message(cut, self._defects), depth + 1)
        if inner.attachments:
            names = ", ".join(each.name for each in inner.attachments[:5])
            self._defects.append(f"files within what was signed were not read: {names}")
        self.hidden, self.misleading = self.hidden or inner.hidden, self.misleading or inner.misleading
        return texts

    def _text(self, part: Message, kind: str) -> str:
        data, charset = _bytes(part), _attempt(part.get_content_charset, None)
        if charset is None and kind == "text/html":
            charset = charsets.of_page(data)
        text, clean = decode_bytes(data, charset)
        if not clean:
            self._defects.append(f"text not readable as {readable(charset or 'utf-8')[:40]}: windows-1252 was assumed")
        if kind == "text/html":
            return self._shown(text)
        if text.lstrip()[: len(_ARMOUR)] == _ARMOUR:
            self._defects.append(ENCRYPTED)
        text, hidden = visible_characters(text[: MAX_TEXT * 2])
        self.hidden = self.hidden or hidden
        return text

    def _shown(self, html: str) -> str:
        """What of the page shows. All pages of a mail together are read as far as one."""
        if len(html) > self._room or is_long(html):
            self._defects.append("more HTML than is read: the rest was not read")
        text, hidden = visible_text(html[: self._room])
        self.misleading = self.misleading or mislead(html[: self._room])
        self._room = max(0, self._room - len(html))
        self.hidden = self.hidden or hidden
        return text


def _parts(message: Message, depth: int = 0) -> Iterator[Message]:
    """All parts in the order in which `_Body` counts them."""
    yield message
    if depth < MAX_DEPTH:
        for child in _children(message):
            yield from _parts(child, depth + 1)


def _children(part: Message) -> list[Message]:
    payload = part.get_payload() if part.is_multipart() else None
    return [child for child in payload if isinstance(child, Message)] if isinstance(payload, list) else []


def _bytes(part: Message) -> bytes:
    if part.is_multipart():
        held = _attempt(lambda: b"".join(child.as_bytes() for child in _children(part)), b"")
        # RFC 2046, 5.2.1 forbids it for messages, and some programs do it: the parser took the code for text.
        decode = _DECODERS.get(readable(part.get("content-transfer-encoding") or "").lower())
        return _attempt(lambda: decode(held), held) if decode is not None else held
    data = _attempt(lambda: part.get_payload(decode=True), None)
    return data if isinstance(data, bytes) else b""


_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "base64": base64.b64decode,
    "quoted-printable": quopri.decodestring,
}


def _share_of_words(plain: str, rich: str) -> float:
    """How much of what `plain` says stands in `rich` too; all of it where it says too little to tell."""
    words = {word.lower() for word in _WORD.findall(_LINK.sub(" ", plain[:MAX_TEXT]))}
    others = {word.lower() for word in _WORD.findall(rich[:MAX_TEXT])}
    return len(words & others) / len(words) if len(words) >= ENOUGH_WORDS else 1.0


def _media_type(part: Message) -> str:
    return readable(_attempt(part.get_content_type, "text/plain"))[:100]


def _inline(part: Message) -> bool:
    return _attempt(part.get_content_disposition, None) == "inline"


def _name(part: Message) -> tuple[str, bool]:
    return _safe(decoded("subject", _attempt(part.get_filename, None) or ""))


def _safe(name: str) -> tuple[str, bool]:
    """A file name without a path and without characters that do not show; and whether these hid something."""
    shown, suspicious = visible_characters(_UNSAFE_NAME.sub("_", name))
    return shown.strip(". ")[:200], suspicious


def _tidy(text: str) -> str:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()[:MAX_TEXT]


def _attempt(read: Callable[[], T], otherwise: T) -> T:
    """What `read` gives, or `otherwise`: the standard library's accessors raise what they like on broken mail."""
    try:
        return read()
    except Exception:
        return otherwise
