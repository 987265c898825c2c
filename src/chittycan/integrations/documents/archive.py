"""Office files are archives of XML (ECMA-376): what is the same for all of them, and what none of them may do.

Every limit holds against what the archive really holds, not against what it says of itself.
"""

import lzma
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from xml.parsers import expat

from chittycan.integrations.documents.characters import visible_characters
from chittycan.integrations.documents.document import Document, Kind

MAX_PARTS = 5_000  # files in the archive
MAX_PART = 40 * 2**20  # bytes of one part, unpacked; a book of 1,000 pages has a tenth of it
MAX_RATIO = 200  # how far a part above 1 MiB may be packed; prose packs 20-fold at most

# What the library raises for archives that are broken or locked.
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, OSError, ValueError,
)  # fmt: skip


class RefusedError(Exception):
    """The file is not what it should be; the message is for a person."""


def opened(kind: Kind, data: bytes, read: Callable[[zipfile.ZipFile], Document]) -> Document:
    """What `read` makes of the archive. A file that is broken or a trap has a defect and no text."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            if len(archive.namelist()) > MAX_PARTS:
                raise RefusedError(f"the archive holds {len(archive.namelist())} files")
            return read(archive)
    except RefusedError as error:
        return Document(kind=kind, defects=(str(error),))
    except _DAMAGED as error:
        return Document(kind=kind, defects=(f"the file is damaged or protected ({type(error).__name__})",))
    except expat.ExpatError as error:
        return Document(kind=kind, defects=(f"the file's XML is damaged (line {error.lineno})",))


def unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    """One part. Raises RefusedError where it unpacks to more than a document needs."""
    info = archive.getinfo(name)
    packed = max(1, info.compress_size)
    if info.file_size > MAX_PART or (info.file_size > 2**20 and info.file_size / packed > MAX_RATIO):
        raise RefusedError(
            f"the file unpacks to {info.file_size / 2**20:,.0f} MiB from {packed / 2**20:.1f} MiB, as archive bombs do"
        )
    with archive.open(info) as part:
        content = part.read(MAX_PART + 1)
    if len(content) > MAX_PART:
        raise RefusedError("the file unpacks to more than it says, as archive bombs do")
    return content


def parse(xml: bytes, handler: "Handler") -> None:
    """Hands `handler` what is in the XML."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.characters
    # OPC (ECMA-376 part 2, 8.2.5) forbids document type declarations: nothing but attacks has them.
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.Parse(xml, True)


def _refuse_doctype(*_: object) -> None:
    raise RefusedError("the file declares XML entities, which no Office file does (as entity bombs do)")


class Handler:
    """What `parse` tells; whoever wants to hear some of it overrides that. Names are "namespace tag"."""

    def start(self, name: str, attributes: dict[str, str]) -> None: ...

    def end(self, name: str) -> None: ...

    def characters(self, text: str) -> None: ...


def attribute(attributes: dict[str, str], name: str, default: str = "") -> str:
    """The value of an attribute, whatever its namespace is."""
    return next((value for key, value in attributes.items() if key.rpartition(" ")[2] == name), default)


class Links(Handler):
    """What the relationships of a part (OPC, ECMA-376 part 2) lead to within the file, by their ids."""

    def __init__(self) -> None:
        self.targets: dict[str, str] = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name.endswith(" Relationship") and attributes.get("TargetMode") != "External":
            self.targets[attributes.get("Id", "")] = attributes.get("Target", "")


class _Title(Handler):
    def __init__(self) -> None:
        self.value = ""
        self._inside = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._inside = name == "http://purl.org/dc/elements/1.1/ title"

    def end(self, name: str) -> None:
        self._inside = False

    def characters(self, text: str) -> None:
        if self._inside and len(self.value) < 500:
            self.value += text


def title(archive: zipfile.ZipFile, properties: str = "docProps/core.xml") -> str | None:
    """The title that the file's properties name."""
    if properties not in archive.namelist():
        return None
    found = _Title()
    try:
        parse(unpacked(archive, properties), found)
    except (RefusedError, expat.ExpatError):
        return None
    return " ".join(visible_characters(found.value)[0].split())[:500] or None
