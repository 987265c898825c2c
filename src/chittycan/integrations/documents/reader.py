"""The child process that reads files of strangers: `python -m chittycan.integrations.documents.reader KIND CHARS`.

Takes the file on standard input and writes a `Document` as JSON. It limits its own memory, processor time
and files before it looks at a byte, so that a hostile file can at worst end this process.
"""

import resource
import sys
from collections.abc import Callable, Iterator
from functools import partial

import msgspec

from chittycan.integrations.documents import (
    charsets,
    docx,
    enclosed,
    html,
    mail,
    odf,
    pdf,
    plain,
    pptx,
    rtf,
    tnef,
    xlsx,
)
from chittycan.integrations.documents.characters import visible_characters
from chittycan.integrations.documents.document import Document, Kind

MEMORY = 1 << 30  # bytes of address space
CPU_SECONDS = 20
MAX_SECTIONS = 20_000  # headings and pages that are told apart
TOO_MUCH_MEMORY = "the file needs more memory than it may take"


def main(kind: str, max_chars: int) -> int:
    _limit(resource.RLIMIT_AS, MEMORY)
    _limit(resource.RLIMIT_CPU, CPU_SECONDS)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    document = _read_what_fits(msgspec.convert(kind, Kind), sys.stdin.buffer.read(), max_chars)
    sys.stdout.buffer.write(msgspec.json.encode(document))
    return 0


def _read_what_fits(kind: Kind, data: bytes, max_chars: int, depth: int = 0) -> Document:
    try:
        return read(kind, data, max_chars, depth)
    except MemoryError:
        return Document(kind=kind, defects=(TOO_MUCH_MEMORY,))


def read(kind: Kind, data: bytes, max_chars: int, depth: int = 0) -> Document:
    """The document that `data` is, in this very process and without limits but those of its reader."""
    found = _READERS[kind](data, max_chars)
    if kind in _FILES and depth < enclosed.MAX_DEPTH:
        inner = partial(_read_what_fits, depth=depth + 1)
        found = enclosed.with_files(found, "mail", _FILES[kind](data), max_chars, inner)
    # JSON cannot carry lone surrogates, which broken files hold.
    clean = found.text.encode("utf-8", "replace").decode()  # one "?" for each, so that sections stay in place
    defects = found.defects or (() if clean.strip() else ("the file holds no text",))
    return msgspec.structs.replace(found, text=clean, defects=defects, sections=found.sections[:MAX_SECTIONS])


def read_html(data: bytes, max_chars: int) -> Document:
    source, defects = plain.decode(data, charsets.of_page(data))
    text, hidden = html.visible_text(source)
    truncated = len(text) > max_chars or html.is_long(source)
    return Document(
        kind="html",
        text=text[:max_chars],
        title=html.title(source),
        truncated=truncated,
        defects=defects if text else (*defects, "the page shows no text"),
        hidden_text=hidden,
    )


def read_text(data: bytes, max_chars: int) -> Document:
    source, defects = plain.decode(data)
    text, hidden = visible_characters(source)
    if not text.strip():
        defects = (*defects, "the file is empty")
    return Document(
        kind="text", text=text[:max_chars], truncated=len(text) > max_chars, defects=defects, hidden_text=hidden
    )


_READERS: dict[Kind, Callable[[bytes, int], Document]] = {
    "pdf": pdf.read,
    "docx": docx.read,
    "xlsx": xlsx.read,
    "pptx": pptx.read,
    "odt": partial(odf.read, "odt"),
    "ods": partial(odf.read, "ods"),
    "odp": partial(odf.read, "odp"),
    "rtf": rtf.read,
    "html": read_html,
    "mail": mail.read,
    "tnef": tnef.read,
    "text": read_text,
}
_FILES: dict[Kind, Callable[[bytes], Iterator[tuple[str, bytes]]]] = {"mail": mail.files, "tnef": tnef.files}


def _limit(what: int, amount: int) -> None:
    _, hard = resource.getrlimit(what)
    ceiling = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
    try:
        resource.setrlimit(what, (ceiling, ceiling))
    except (OSError, ValueError):
        pass  # macOS knows no limit of address space; the others and the clock outside still hold


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
