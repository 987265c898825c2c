"""Mail as it is found, and mailboxes on disk: a Maildir, an mbox file, a folder of `.eml` files or a single one.

They are read and never changed. A source is iterated for `RawMail`; what cannot be read comes as a `RawMail` with
`error`, not as an exception.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

from chittycan.errors import NotFound
from chittycan.integrations.email.limits import MAX_MESSAGE

Kind = Literal["maildir", "mbox", "folder", "eml"]

_READ_AT_MOST = MAX_MESSAGE + 1  # one byte more, so that `limits` sees and reports the excess


class Place(Struct, frozen=True):
    """Where an IMAP server keeps a mail, and who found it there: `nonce` of the process that looks after the account.

    Within one folder and `validity` (UIDVALIDITY) a `uid` never means another mail (RFC 3501, 2.3.1.1).
    """

    account: str
    folder: str
    validity: int
    uid: int
    nonce: str = ""

    @property
    def key(self) -> str:
        return f"{self.folder};{self.validity};{self.uid}"

    @classmethod
    def of(cls, account: str, key: str) -> "Place | None":
        """The place of a `key`; None where it is none."""
        folder, *numbers = key.rsplit(";", 2)
        if len(numbers) != 2 or not all(each.isascii() and each.isdecimal() for each in numbers):
            return None
        return cls(account, folder, int(numbers[0]), int(numbers[1]))


class RawMail(Struct, frozen=True):
    """The bytes of one mail and where they were found: `read_again(source, key)` finds them once more.

    `private`: its headers alone decided that only private models may see it. `defect`: what of it is not in `raw`.
    """

    source: str  # "maildir:/home/anna/Maildir"
    key: str  # unique within the source: a path, a byte offset in an mbox, or `Place.key`
    raw: bytes = b""
    error: str | None = None
    place: Place | None = None
    private: bool = False
    defect: str | None = None


class Source(Struct, frozen=True):
    """A mailbox that can be counted and read from the start, as often as one likes."""

    kind: Kind
    path: Path

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.path}"

    def answered(self) -> set[str]:
        """The `unique_name` of each mail in a Maildir that a mail program marked as answered (the flag R)."""
        if self.kind != "maildir":
            return set()
        try:
            names = [entry.name for entry in (self.path / "cur").iterdir()]
        except OSError:
            return set()
        return {unique_name(name) for name in names if "R" in name.partition(":2,")[2]}

    def __len__(self) -> int:
        """How many mails there are, for a progress bar."""
        return sum(1 for _ in self.keys())

    def __iter__(self) -> Iterator[RawMail]:
        if self.kind == "mbox":
            yield from _read_mbox(self)
        else:
            for key in self.keys():
                yield _read_file(self, key)

    def read(self, key: str) -> RawMail:
        """One mail, of any kind of mailbox but an mbox; with `error` where it is gone."""
        return _read_file(self, key)

    def keys(self) -> Iterable[str]:
        match self.kind:
            case "maildir":
                return _maildir_keys(self.path)
            case "folder":
                return sorted(str(path.relative_to(self.path)) for path in self.path.rglob("*") if _is_eml(path))
            case "mbox":
                return (str(offset) for offset, _ in _split(self.path, keep=False))
            case "eml":
                return [self.path.name]


def open_source(path: str | Path) -> Source:
    """The mailbox at `path`; its kind is found from what is there.

    Raises `NotFound` where there is nothing, or nothing that looks like mail.
    """
    place = Path(path).expanduser().absolute()
    if place.is_dir():
        maildir = (place / "cur").is_dir() or (place / "new").is_dir()
        return Source("maildir" if maildir else "folder", place)
    if not place.is_file():
        raise NotFound(
            f"no mailbox at {place}", param="source", fix="Name a Maildir, an mbox file, a folder of .eml or one .eml."
        )
    try:
        with place.open("rb") as file:
            start = file.read(5)
    except OSError as error:
        raise NotFound(f"{place} cannot be read: {error.strerror}", param="source", fix="Check its rights.") from error
    return Source("mbox" if start == b"From " else "eml", place)


def read_again(source: str, key: str) -> RawMail:
    """The mail that a source once gave under `key`, as it is now; with `error` where it is gone."""
    kind, _, path = source.partition(":")
    if kind == "imap":
        return RawMail(source, key, error="it is on a mail server; what was kept of it is here")
    if kind not in ("maildir", "mbox", "folder", "eml"):
        return RawMail(source, key, error=f"unknown kind of mailbox: {kind}")
    place = Source(kind, Path(path))  # type: ignore[arg-type]
    if kind != "mbox":
        return _read_file(place, key)
    return next((mail for mail in _read_mbox(place) if mail.key == key or mail.error), _gone(place, key))


def _gone(source: Source, key: str) -> RawMail:
    return RawMail(source.name, key, error="no longer there")


def _is_eml(path: Path) -> bool:
    return path.suffix.lower() == ".eml" and path.is_file()


def _maildir_keys(path: Path) -> list[str]:
    """Names of the mails; a leading dot is not a mail. See https://cr.yp.to/proto/maildir.html."""
    keys = []
    for folder in ("new", "cur"):
        try:
            keys += [f"{folder}/{entry.name}" for entry in (path / folder).iterdir() if not entry.name.startswith(".")]
        except OSError:
            continue
    return sorted(keys, key=lambda key: key.partition("/")[2])


def _maildir_file(path: Path, key: str) -> Path:
    """The file of `key` even after a mail program moved it from `new` to `cur` or changed its flags."""
    place = path / key
    if place.exists():
        return place
    unique = unique_name(key)
    return next((found for found in (path / "cur").glob("*") if unique_name(found.name) == unique), place)


def unique_name(key: str) -> str:
    """What of a mail's name in a Maildir stays the same while mail programs move it and flag it."""
    return Path(key).name.partition(":")[0]


def _read_file(source: Source, key: str) -> RawMail:
    if source.kind == "eml":
        place = source.path
    elif source.kind == "maildir":
        place = _maildir_file(source.path, key)
    else:
        place = source.path / key
    try:
        with place.open("rb") as file:
            return RawMail(source.name, key, file.read(_READ_AT_MOST))
    except FileNotFoundError:
        return _gone(source, key)
    except OSError as error:
        return RawMail(source.name, key, error=error.strerror or type(error).__name__)


def _read_mbox(source: Source) -> Iterator[RawMail]:
    try:
        for offset, raw in _split(source.path, keep=True):
            yield RawMail(source.name, str(offset), raw)
    except OSError as error:
        yield RawMail(source.name, "", error=error.strerror or type(error).__name__)


def _split(path: Path, *, keep: bool) -> Iterator[tuple[int, bytes]]:
    """(offset of the "From " line, bytes of the mail after it) for each mail of an mbox (RFC 4155).

    Only a "From " line at the start or after an empty line begins a mail; at most one mail is in memory.
    """
    offset, start, size = 0, -1, 0
    lines: list[bytes] = []
    after_blank = True
    with path.open("rb") as file:
        while line := file.readline(_READ_AT_MOST):
            if after_blank and line.startswith(b"From "):
                if start >= 0:
                    yield start, b"".join(lines)
                start, size, lines = offset, 0, []
            elif keep and size < _READ_AT_MOST:
                lines.append(line)
                size += len(line)
            after_blank = line in (b"\n", b"\r\n")
            offset += len(line)
    if start >= 0:
        yield start, b"".join(lines)
