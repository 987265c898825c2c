"""Files that a prompt names: found, and made into the parts of a message."""

import base64
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from chittycan.chat import File, Image, Part, Text
from chittycan.errors import InvalidRequest, NotFound, RequestTooLarge
from chittycan.integrations.documents import pdf
from chittycan.integrations.documents.document import IMAGES, MEDIA_TYPES, Document, sniff
from chittycan.integrations.documents.extract import MAX_FILE, extract

MAX_FILES = 20
MAX_WORDS = 8  # how many words an unquoted name may have
SCANNED_CHARS = 50_000  # how much of a prompt is searched

_QUOTED = re.compile(r"""(?<!\w)(?:"([^"\n]{1,300})"|'([^'\n]{1,300})'|`([^`\n]{1,300})`|“([^”\n]{1,300})”)""")
_WORD = re.compile(r"(?:\\ |\S)+")
_OPENING, _CLOSING = "([{<\"'`“‘«@", ")]}>\"'`”’»,;:!?."
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,9}$")


def named_files(prompt: str, folder: Path, is_file: Callable[[Path], bool] | None = None) -> list[Path]:
    """The files that a prompt names and that exist, in the order of their first mention.

    A name counts when it is quoted, is a path (`./notes`, `~/a.txt`, `docs/b.pdf`) or has an ending
    (`contract.pdf`, also with spaces: `my contract.pdf`). A bare word never does, nor a bare hidden file
    (`.env`): nothing leaves the machine by accident.
    """
    exists = is_file or _is_file
    prompt = prompt[:SCANNED_CHARS]
    found: dict[Path, int] = {}
    taken: list[tuple[int, int]] = []
    for match in _QUOTED.finditer(prompt):
        path = _path(next(filter(None, match.groups())).strip(), folder)
        if exists(path):
            found.setdefault(path, match.start())
            taken.append(match.span())
    words = [(match.start(), match.end()) for match in _WORD.finditer(prompt)]
    last_taken = -1
    for index, (start, end) in enumerate(words):
        if any(start < till and since < end for since, till in taken):
            last_taken = index
            continue
        for first, name in _readings(prompt, words, index, last_taken + 1):
            path = _path(name, folder)
            if exists(path):
                found.setdefault(path, words[first][0])
                last_taken = index
                break
    return sorted(found, key=lambda path: found[path])[:MAX_FILES]


def attach(prompt: str, folder: Path, *, pdf_as: Literal["text", "data"] = "text") -> list[Part]:
    """The prompt, and each file that it names: images as images, all else as text that every model can read.

    `pdf_as="data"` sends PDFs as they are, for models that look at pages; a scanned PDF is always sent so.
    Reads files in child processes: call it in a thread from asynchronous code. Raises `InvalidRequest` that
    names the file which cannot be read, `RequestTooLarge` where one is too large.
    """
    return [Text(prompt), *(part(path, pdf_as=pdf_as) for path in named_files(prompt, folder))]


def part(path: Path, *, pdf_as: Literal["text", "data"] = "text") -> Part:
    """One file as a part of a message; as `attach`."""
    return part_of(bytes_of(path), path.name, pdf_as=pdf_as)


def bytes_of(path: Path) -> bytes:
    """All of a file. Raises NotFound, and RequestTooLarge where it is larger than anything that is read here."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise RequestTooLarge(f"{path.name} is larger than {MAX_FILE // 2**20} MiB", param=path.name)
        return path.read_bytes()
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror or error}", param=path.name) from error


def part_of(data: bytes, name: str, *, pdf_as: Literal["text", "data"] = "text") -> Part:
    """A file of these bytes as a part of a message; as `attach`."""
    kind = sniff(name, data[:8192])
    if kind in IMAGES:
        return Image(data=base64.b64encode(data).decode("ascii"), media_type=IMAGES[kind])
    document = None if kind == "pdf" and pdf_as == "data" else extract(data, name)
    if document is None or (kind == "pdf" and pdf.SCANNED in document.defects):
        return File(name=name, media_type=MEDIA_TYPES["pdf"], data=base64.b64encode(data).decode("ascii"))
    if not document.text.strip():
        why = "; ".join(document.defects)
        raise InvalidRequest(f"{name} cannot be attached: {why}", param=name, fix="leave it out, or send text")
    return File(name=name, media_type=document.media_type, text=document.text + _missing(document))


def _missing(document: Document) -> str:
    """What a reader of the text must know: a contract of which the second page is a picture is half a contract."""
    left_out = [*document.defects, *(["the rest, which is too long"] if document.truncated else [])]
    return f"\n\n[Not in this text: {'; '.join(left_out)}]" if left_out else ""


def _readings(prompt: str, words: list[tuple[int, int]], index: int, earliest: int) -> Iterator[tuple[int, str]]:
    """What the word at `index` may end as a name: with the words before it, the longest first, to alone."""
    end = words[index][1]
    own = prompt[words[index][0] : end].strip(_OPENING + _CLOSING).removesuffix("'s")
    alone_is_path = "/" in own or own.startswith("~")
    if "://" in own or not (alone_is_path or _ENDING.search(own)):
        return
    for first in range(max(earliest, index - MAX_WORDS + 1), index + 1):
        name = prompt[words[first][0] : end].lstrip(_OPENING).rstrip(_CLOSING).removesuffix("'s")
        if "\n" in name or (name.startswith(".") and not name.startswith(("./", "../"))):
            continue
        yield first, name.replace("\\ ", " ")


def _path(name: str, folder: Path) -> Path:
    if name.startswith("~/"):
        return Path.home() / name[2:]
    return folder / name


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False  # a name that no file can have
