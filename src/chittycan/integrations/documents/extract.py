"""`extract`: the text of any file, read by a child process that a hostile file cannot make dangerous."""

import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from chittycan.errors import NotFound
from chittycan.integrations.documents import cms
from chittycan.integrations.documents.document import IMAGES, Document, Kind, sniff

MAX_FILE = 50 * 2**20  # bytes
MAX_CHARS = 1_000_000  # characters of text; more than any model reads
MAX_OUTPUT = 32 * 2**20  # bytes that the child may answer: the text, what stands where in it, and room
WALL_SECONDS = 30.0

_PIECE = 64 * 1024  # bytes, what a pipe holds

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
            if (size := source.stat().st_size) > MAX_FILE:
                return _too_large(size)
            if not source.is_file() and not source.is_dir():
                raise NotFound(f"{source} is no file", param="file")  # a pipe would never end
            with source.open("rb") as file:
                data = file.read(MAX_FILE + 1)
        except OSError as error:
            raise NotFound(f"{source} cannot be read: {error.strerror or error}", param="file") from error
    else:
        data = source
    if len(data) > MAX_FILE:
        return _too_large(len(data))
    if (signed := cms.signed_content(data)) is not None:
        data, name = signed, (name or "").removesuffix(".p7m")
    kind = sniff(name or "", data[:8192])
    if kind == "unknown" or kind in IMAGES:
        return Document(kind=kind, defects=(_no_text(kind, name or "", data),))
    return _read_in_child(kind, data, max_chars)


def _read_in_child(kind: Kind, data: bytes, max_chars: int) -> Document:
    command = [sys.executable, "-m", "chittycan.integrations.documents.reader", kind, str(max_chars)]
    # It gets none of our keys: what it reads is a stranger's.
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    with subprocess.Popen(  # noqa: S603 -- our own interpreter and a kind of our own
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
        bufsize=0, start_new_session=True,
    ) as child:  # fmt: skip
        try:
            answer = _exchange(child, data)
        except _EndedError as reason:
            return Document(kind=kind, defects=(str(reason),))
        finally:
            _end(child)
    try:
        return msgspec.json.decode(answer, type=Document)
    except msgspec.MsgspecError:
        return Document(kind=kind, defects=(_death(child.returncode),))


class _EndedError(Exception):
    """The child is not waited for any longer; the message is for a person."""


def _exchange(child: "subprocess.Popen[bytes]", data: bytes) -> bytes:
    """What the child answers to the file, which it may take as slowly as it likes. Raises _EndedError."""
    assert child.stdin is not None
    assert child.stdout is not None
    until = time.monotonic() + WALL_SECONDS
    left, answer = memoryview(data), bytearray()
    os.set_blocking(child.stdin.fileno(), False)
    with selectors.DefaultSelector() as pipes:
        pipes.register(child.stdin, selectors.EVENT_WRITE)
        pipes.register(child.stdout, selectors.EVENT_READ)
        while pipes.get_map():
            if (patience := until - time.monotonic()) <= 0:
                raise _EndedError(f"reading the file took longer than {WALL_SECONDS:.0f} s")
            for key, _ in pipes.select(patience):
                if key.fileobj is child.stdin:
                    left = _put(child.stdin.fileno(), left)
                    if not left:
                        pipes.unregister(child.stdin)
                        child.stdin.close()
                    continue
                piece = os.read(child.stdout.fileno(), _PIECE)
                answer += piece
                if len(answer) > MAX_OUTPUT:
                    raise _EndedError("the file made its reader say more than a document can hold")
                if not piece:
                    pipes.unregister(child.stdout)
        return _after_closing(child, until, bytes(answer))


def _put(pipe: int, data: memoryview) -> memoryview:
    """What is left of `data` when the pipe is full; nothing where nobody reads it any more."""
    try:
        return data[os.write(pipe, data[:_PIECE]) :]
    except BlockingIOError:
        return data
    except BrokenPipeError:
        return data[:0]


def _after_closing(child: "subprocess.Popen[bytes]", until: float, answer: bytes) -> bytes:
    """Its answer, once it has ended: a child may close its output and go on. Raises _EndedError."""
    try:
        child.wait(max(0.1, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise _EndedError(f"reading the file took longer than {WALL_SECONDS:.0f} s") from None
    return answer


def _end(child: "subprocess.Popen[bytes]") -> None:
    """A child that has not ended, and what it may have started, which is all in a process group of its own."""
    if child.returncode is not None:
        return  # its number may by now be somebody else's
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # nothing of it is left


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
    if name.lower().endswith(".msg"):
        return "the file is a mail as Outlook saves it; save it as .eml, or forward it as an attachment"
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        return "the file is an old or protected Office file; save it as .docx or .xlsx without a password, or as PDF"
    ending = Path(name).suffix
    return f"files of this kind{f' ({ending})' if ending else ''} cannot be read as text"
