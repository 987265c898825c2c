"""Which files a person means by naming files and folders: within bounds, and with what was left out said."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from chittycan.errors import NotFound

MOST_FILES = 1_000
MOST_ENTRIES = 100_000  # of folders that are looked at
MOST_DEPTH = 20


class Listing(Struct, kw_only=True):
    """The files, in the order of their paths; how many entries of folders were left out, and whether there are more."""

    files: list[Path]
    hidden: int = 0
    links: int = 0
    others: int = 0  # pipes, devices, folders that may not be read or are too deep
    more: bool = False

    @property
    def left_out(self) -> list[str]:
        """For a person: "2 hidden", "1 link"."""
        named = ((self.hidden, "hidden"), (self.links, "links"), (self.others, "that are no files or cannot be opened"))
        return [f"{count} {what}" for count, what in named if count]


def listed(paths: Iterable[Path], most: int = MOST_FILES) -> Listing:
    """The files that `paths` name, and those in the folders among them.

    A file that is named is taken, whatever it is. In a folder hidden entries and links are left out, so that nothing
    is read that the folder does not show or does not hold. Raises NotFound for a path that is not there.
    """
    found = Listing(files=[])
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise NotFound(f"{path} is not there", param="path")
        for file in _within(path, found) if path.is_dir() else [path]:
            if len(found.files) >= most:
                found.more = True
                return found
            if (real := file.resolve()) not in seen:
                seen.add(real)
                found.files.append(file)
    return found


def _within(folder: Path, found: Listing) -> Iterator[Path]:
    looked_at = 0
    waiting = [(folder, 0)]
    while waiting:
        place, depth = waiting.pop()
        try:
            with os.scandir(place) as entries:
                here = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            found.others += 1
            continue
        looked_at += len(here)
        if looked_at > MOST_ENTRIES:
            found.more = True
            return
        inner = []
        for entry in here:
            if entry.name.startswith("."):
                found.hidden += 1
            elif entry.is_symlink():
                found.links += 1
            elif entry.is_file():
                yield Path(entry.path)
            elif entry.is_dir() and depth < MOST_DEPTH:
                inner.append((Path(entry.path), depth + 1))
            else:
                found.others += 1
        waiting += reversed(inner)
