"""`extract`: the text of any file, read by a child process that a hostile file cannot make dangerous."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from chittycan.errors import NotFound
from chittycan.integrations.documents.document import Document, Kind, sniff

MAX_FILE = 50 * 2**20  # bytes
MAX_CHARS = 1_000_000  # characters of text; more than any model reads
WALL_SECONDS = 30.0

_PASSED_ON = ("PATH", "PYTHONPATH", "PYTHONHOME", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")


def extract(source: Path | bytes, name: str | None = None, max_chars: int = MAX_CHARS) -> Document:
    """The text of a file, given by its path or its bytes; `name` is what it is called (its ending may tell the kind).

    Takes a tenth of a second and more, up to `WALL_SECONDS`: call it in a thread from asynchronous code.
    A file that cannot be read (damaged, locked, a picture, a bomb) gives a `Document` that says so in
    `defects`. Raises `NotFound` for a path that is no readable file.
    """
    if isinstance(source, Path):
        name = name or source.name
        try:
            if source.stat().st_size > MAX_FILE:
                return _too_large(source.stat().st_size)
            data = source.read_bytes()
        except OSError as error:
            raise NotFound(f"{source} cannot be read: {error.strerror or error}", param="file") from error
    else:
        data = source
    if len(data) > MAX_FILE:
        return _too_large(len(data))
    kind = sniff(name or "", data[:8192])
    if kind not in ("pdf", "docx", "xlsx", "html", "text"):
        return Document(kind=kind, defects=(_no_text(kind, name or "", data),))
    return _read_in_child(kind, data, max_chars)


def _read_in_child(kind: Kind, data: bytes, max_chars: int) -> Document:
    command = [sys.executable, "-m", "chittycan.integrations.documents.reader", kind, str(max_chars)]
    # It gets none of our keys: what it reads is a stranger's.
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    try:
        done = subprocess.run(  # noqa: S603 -- our own interpreter and a kind of our own
            command, input=data, capture_output=True, env=environment, timeout=WALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Document(kind=kind, defects=(f"reading the file took longer than {WALL_SECONDS:.0f} s",))
    try:
        return msgspec.json.decode(done.stdout, type=Document)
    except msgspec.MsgspecError:
        return Document(kind=kind, defects=(_death(done.returncode),))


def _death(status: int) -> str:
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return "reading the file took more processor time or memory than it may"
    return "the file made its reader fail"


def _too_large(size: int) -> Document:
    limit = f"{MAX_FILE // 2**20} MiB"
    return Document(kind="unknown", defects=(f"the file is too large ({size / 2**20:,.0f} MiB; {limit} at most)",))


def _no_text(kind: Kind, name: str, data: bytes) -> str:
    if kind != "unknown":
        return "the file is an image"
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        return "the file is an old or protected Office file; save it as .docx or .xlsx without a password, or as PDF"
    ending = Path(name).suffix
    return f"files of this kind{f' ({ending})' if ending else ''} cannot be read as text"
