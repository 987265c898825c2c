"""What of a mailbox on this machine was not done yet, as far as this process knows: a poll reads only that.

A Maildir gives a mail a name for good, whatever its flags; another file is known by name, size and time. What stands
in an mbox is known by its bytes: programs write the whole file anew when they delete from it. Its last mail is left
until the file has not changed for a moment: it may still be written.
"""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

from chittycan.errors import Unavailable
from chittycan.integrations.email.sources import RawMail, Source

GONE = "mailbox_unreadable"  # the error's code
SETTLED = 5.0  # seconds since an mbox changed, after which its last mail is whole


class Unread:
    """Iterated, it gives the mails that are not done; `done(key)` says that one is."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._done: set[object] = set()
        self._given: dict[str, object] = {}
        self._file: object = None  # the mbox, when all of it was done

    def __iter__(self) -> Iterator[RawMail]:
        """Raises Unavailable (GONE)."""
        self._given.clear()
        yield from self._of_mbox() if self._source.kind == "mbox" else self._of_files()

    def done(self, key: str) -> None:
        if key in self._given:
            self._done.add(self._given[key])

    def _of_files(self) -> Iterator[RawMail]:
        check_readable(self._source)
        for key in self._source.keys():  # noqa: SIM118 (no mapping)
            known = _identity(self._source, key)
            if known is not None and known not in self._done:
                self._given[key] = known
                yield self._source.read(key)

    def _of_mbox(self) -> Iterator[RawMail]:
        now = _stat(self._source.path)
        if now is None:
            raise Unavailable(f"{self._source.path} cannot be read", fix="Check that it is there.", code=GONE)
        if now == self._file:
            return
        whole, held = True, None
        for raw in self._source:
            if raw.error is not None:
                raise Unavailable(f"{self._source.path} cannot be read: {raw.error}", code=GONE)
            if held is not None:
                yield held
            held = self._new(raw)
            whole = whole and held is None
        if held is not None and time.time() - now[2] / 1e9 > SETTLED:
            yield held
        if whole:
            self._file = now

    def _new(self, raw: RawMail) -> RawMail | None:
        """None where it is done."""
        known = hashlib.sha256(raw.raw).digest()
        if known in self._done:
            return None
        self._given[raw.key] = known
        return raw


def check_readable(source: Source) -> None:
    """An empty mailbox is told from one that is not there. Raises Unavailable (GONE)."""
    places = {"maildir": [source.path / "new", source.path / "cur"], "folder": [source.path], "eml": [source.path]}
    for place in places.get(source.kind, []):
        try:
            next(place.iterdir(), None) if place.is_dir() else place.stat()
        except OSError as error:
            problem = f"{place} cannot be read: {error.strerror}"
            raise Unavailable(problem, fix="Check that it is there, and its rights.", code=GONE) from None


def _identity(source: Source, key: str) -> object:
    """None where it is gone meanwhile."""
    if source.kind == "maildir":
        return Path(key).name.partition(":")[0]
    return _stat(source.path if source.kind == "eml" else source.path / key)


def _stat(path: Path) -> tuple[str, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_size, found.st_mtime_ns
