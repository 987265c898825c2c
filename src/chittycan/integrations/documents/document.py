"""What a file says: the value that every reader makes, and how a file's kind is told from its beginning."""

import re
from typing import Literal

from msgspec import Struct

Kind = Literal[
    "pdf", "docx", "xlsx", "pptx", "odt", "ods", "odp", "rtf", "html", "mail", "tnef", "text",
    "png", "jpeg", "gif", "webp", "unknown",
]  # fmt: skip

IMAGES: dict[str, str] = {"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}
TNEF = b"\x78\x9f\x3e\x22"  # how `winmail.dat` begins (MS-OXTNEF)
MEDIA_TYPES: dict[str, str] = {
    **IMAGES,
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "rtf": "application/rtf",
    "html": "text/html",
    "mail": "message/rfc822",
    "tnef": "application/ms-tnef",
    "text": "text/plain",
}


# Header lines, and among them two that every mail has and other texts do not.
_LINE = rb"[!-9;-~]{1,80}:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n"
_MAIL = re.compile(
    rb"(?=(?:" + _LINE + rb"){0,200}?From:)(?=(?:" + _LINE + rb"){0,200}?(?:Message-ID|Received|MIME-Version):)",
    re.IGNORECASE,
)


class Section(Struct, frozen=True):
    """A part of a document that a person can be sent to: `ref` ("page 3"), from character `start` of the text on."""

    ref: str
    start: int


class Document(Struct, frozen=True, kw_only=True):
    """A file's text, as a person would read it.

    `defects` says, for a person, what could not be read or was left out; `truncated` that the text goes on;
    `hidden_text` that the file held text which does not show. A file that cannot be read has no text and at
    least one defect. `sections`: pages, headings or rows, in the order of the text.
    """

    kind: Kind
    text: str = ""
    title: str | None = None
    pages: int | None = None
    truncated: bool = False
    defects: tuple[str, ...] = ()
    hidden_text: bool = False
    sections: tuple[Section, ...] = ()

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES.get(self.kind, "application/octet-stream")


def sniff(name: str, head: bytes) -> Kind:
    """The kind of a file from its first bytes (some hundred at least), and from its name where they do not tell.

    The signatures are those of the formats' own specifications; a PDF's may come after up to 1,024 bytes
    of something else, as its readers allow.
    """
    ending = name.lower().rpartition(".")[2]
    if b"%PDF-" in head[:1029]:
        return "pdf"
    if head.startswith(TNEF):
        return "tnef"
    if head.startswith(b"PK\x03\x04"):
        return _archive(ending, head)
    if (image := _image(head)) is not None:
        return image
    if not _looks_like_text(head):
        return "unknown"
    if head.lstrip()[:5] == b"{\\rtf":
        return "rtf"
    if ending in ("html", "htm", "xhtml") or head.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower().startswith(
        (b"<!doctype html", b"<html")
    ):
        return "html"
    return "mail" if ending == "eml" or _MAIL.match(head) else "text"


# The endings of Office files, the folder that each has in its archive, and what OpenDocument calls itself at its start.
_OFFICE: dict[Kind, tuple[tuple[str, ...], bytes]] = {
    "docx": (("docx", "docm", "dotx", "dotm"), b"word/"),
    "xlsx": (("xlsx", "xlsm", "xltx", "xltm"), b"xl/"),
    "pptx": (("pptx", "pptm", "ppsx", "potx"), b"ppt/"),
}
_OPEN = re.compile(rb"mimetypeapplication/vnd\.oasis\.opendocument\.(text|spreadsheet|presentation)")
_OPEN_KINDS: dict[bytes, Kind] = {b"text": "odt", b"spreadsheet": "ods", b"presentation": "odp"}


def _archive(ending: str, head: bytes) -> Kind:
    if found := _OPEN.search(head, 0, 200):
        return _OPEN_KINDS[found[1]]
    by_ending: list[Kind] = [kind for kind, (endings, _) in _OFFICE.items() if ending in endings]
    by_folder: list[Kind] = [kind for kind, (_, folder) in _OFFICE.items() if folder in head]
    return (by_ending or by_folder or ["unknown"])[0]


def _image(head: bytes) -> Kind | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    return None


def _looks_like_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True  # UTF-16, which is full of zero bytes
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head)
    return b"\x00" not in head and controls * 20 <= len(head)
