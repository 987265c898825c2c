"""What a mail may cost before anything parses it: a mail beyond a limit is cut there, and says so.

The standard library's parser recurses once per nested part and keeps every part, so that a mail of a few
hundred kilobytes could take a minute or the stack. A cut mail is still a mail: parsers take a missing end
boundary in their stride.
"""

import re
from itertools import chain

MAX_MESSAGE = 50 * 1024 * 1024  # bytes
MAX_HEADERS = 256 * 1024  # bytes of the mail's own header block
MAX_PARTS = 1000
MAX_DEPTH = 50
TOO_MANY = f"more than {MAX_PARTS} parts: the rest was not read"

_BLANK_LINE = re.compile(rb"\r?\n\r?\n|\r\r")
# A part that holds parts, with its folded lines; or a line that could be a boundary.
_MARKS = re.compile(
    rb"^content-type[ \t]*:[ \t]*(?P<holder>multipart|message)/(?P<rest>[^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*)"
    rb"|^--(?P<line>[^\r\n]{1,200})",
    re.IGNORECASE | re.MULTILINE,
)
_BOUNDARY = re.compile(rb"""boundary[ \t]*\*?=[ \t]*(?:"([^"\r\n]*)"|([^\s;"]+))""", re.IGNORECASE)


# What programs write before the first header when they save a mail: a byte order mark, blank lines.
_BEFORE = re.compile(
    rb"(?:\xef\xbb\xbf)?[\r\n]{0,20}(?=(?:from|to|subject|date|received|return-path|delivered-to|message-id|mime-version"
    rb"|content-type|reply-to|dkim-signature|x-[a-z-]{1,60}):)",
    re.IGNORECASE,
)


def body_start(raw: bytes) -> int:
    """Where the body begins; the length of `raw` when it is all header."""
    if raw[:1] in (b"\n", b"\r"):
        return 0
    blank = _BLANK_LINE.search(raw)
    return blank.end() if blank else len(raw)


def within_limits(raw: bytes) -> tuple[bytes, list[str]]:
    """`raw` cut to the limits of this module, and a defect for each limit it passed."""
    defects = []
    if (before := _BEFORE.match(raw)) and before.end():
        raw = raw[before.end() :]
    if len(raw) > MAX_MESSAGE:
        raw = raw[:MAX_MESSAGE]
        defects.append(f"message larger than {MAX_MESSAGE // 1024 // 1024} MiB: the rest was not read")
    start = body_start(raw)
    if start > MAX_HEADERS:
        last_line = raw.rfind(b"\n", 0, MAX_HEADERS) + 1
        raw = raw[: last_line or MAX_HEADERS] + b"\n" + raw[start:]
        defects.append(f"headers larger than {MAX_HEADERS // 1024} KiB: the rest was not read")
    end, defect = _end_of_structure(raw)
    if defect:
        raw = raw[:end]
        defects.append(defect)
    return raw, defects


def _end_of_structure(raw: bytes) -> tuple[int, str | None]:
    """Where the mail has too many parts or too deep ones, and which it was."""
    open_parts: list[bytes | None] = []  # the boundary of each open container; None for an attached message
    parts = 0
    blocks = len(raw)  # from here on each blank line begins a part, as the blocks of a delivery report are parts
    for mark in chain(_MARKS.finditer(raw), [None]):
        for blank in _BLANK_LINE.finditer(raw, blocks, mark.start() if mark else len(raw)):
            parts += 1
            if parts > MAX_PARTS:
                return blank.start(), TOO_MANY
        blocks = len(raw)
        if mark is None:
            break
        if mark["holder"]:
            if mark["rest"][:15].lower() == b"delivery-status":
                blocks = mark.end()
            found = _BOUNDARY.search(mark["rest"]) if mark["holder"].lower() == b"multipart" else None
            open_parts.append((found[1] or found[2] or b"")[:200] if found else None)
            if len(open_parts) > MAX_DEPTH:
                return mark.start(), f"parts nested more than {MAX_DEPTH} deep: the rest was not read"
            continue
        line = mark["line"].rstrip()
        closing = line.endswith(b"--") and line[:-2] in open_parts
        boundary = line[:-2] if closing else line
        if boundary not in open_parts:
            continue
        while open_parts[-1] != boundary:
            open_parts.pop()
        if closing:
            open_parts.pop()
            continue
        parts += 1
        if parts > MAX_PARTS:
            return mark.start(), TOO_MANY
    return len(raw), None
