"""Server-sent events: bytes of a stream in, whole events out, and back.

Framing follows the event stream format of the WHATWG HTML standard (§9.2.6 "Interpreting an event stream"),
with two leniencies that real providers need: an event that the end of the stream left without its blank line is
still delivered, and nothing received is ever dropped, so that a stream can be forwarded unchanged.
"""

import re

from msgspec import Struct

LIMIT = 16 * 1024 * 1024  # bytes of one event; no provider sends a tenth of this, inline images included
BOM = b"\xef\xbb\xbf"
LF, CR = 10, 13  # as numbers: looking for a number in bytes is five times faster than for a one-byte string

# Atomic groups, so that the two halves of one CR LF are never taken for a blank line.
_BLANK = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(r"\r\n|\n|\r")


class Event(Struct, gc=False):
    """One event. `raw` is what was received for it, byte for byte, with the blank line that ends it.

    `comment` marks a block without any `data` line (comments, `retry:`, stray blank lines): it proves that the
    provider is alive and is never parsed.
    """

    event: str  # "" when unnamed
    data: str
    raw: bytes
    comment: bool = False


class Splitter:
    """Cuts a stream into events, wherever the network cut it into reads. One instance per stream."""

    def __init__(self) -> None:
        self._held: list[bytes] = []  # reads that hold no end of an event yet
        self._size = 0
        self._tail = b""  # last two bytes held: a blank line may straddle two reads
        self._fresh = True  # nothing parsed yet, so a byte order mark may lead

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. ValueError when one event is larger than `LIMIT`."""
        window = self._tail + data
        if window.find(b"\n\n") >= 0:
            returns = CR in window
        else:
            returns = CR in window and _BLANK.search(window) is not None
            if not returns:
                self._hold(data, window)
                return []
        if self._held:
            self._held.append(data)
            data = b"".join(self._held)
            self._held.clear()
            returns = returns or CR in data
        if not returns:
            return self._split(data, b"\n\n")
        if data.count(b"\r\n") == data.count(b"\r") == data.count(b"\n"):
            return self._split(data, b"\r\n\r\n")
        return self._split_mixed(data)

    def block(self, data: bytes) -> bytes | None:
        """The events that `data` completes as one uncut block, for a reader that needs no single events.

        None where only `feed` can tell; then nothing has changed and `feed` must be given the same data.
        """
        if CR in data or self._size + len(data) > LIMIT or (self._fresh and data[:1] == BOM[:1]):
            return None
        whole = b"".join((*self._held, data)) if self._held else data
        end = whole.rfind(b"\n\n") + 2
        if end < 2 or (self._held and CR in whole):
            return None
        self._held.clear()
        self._keep(whole[end:])
        self._fresh = False
        return whole[:end]

    def cut(self, block: bytes) -> list[Event]:
        """The single events of what `block` returned."""
        return self._events(block.split(b"\n\n")[:-1], b"\n\n")

    def close(self) -> list[Event]:
        """What the end of the stream left over, as a complete event; the caller judges whether it can be read."""
        rest = b"".join(self._held)
        self._held.clear()
        self._tail, self._size = b"", 0
        if not rest.strip(b"\r\n"):
            return []
        event = self._parse(rest, rest)
        event.raw = rest.rstrip(b"\r\n") + b"\n\n"
        return [event]

    def _hold(self, data: bytes, window: bytes) -> None:
        self._size += len(data)
        if self._size > LIMIT:
            raise ValueError(f"an event of the stream is larger than {LIMIT} bytes")
        self._held.append(data)
        self._tail = window[-2:]

    def _keep(self, rest: bytes) -> None:
        self._tail, self._size = b"", 0
        if rest:
            self._hold(rest, rest)

    def _split(self, data: bytes, end: bytes) -> list[Event]:
        """The common case: one kind of line end throughout. `end` is the blank line."""
        blocks = data.split(end)
        self._keep(blocks.pop())
        if len(data) > LIMIT:
            _check(blocks)
        return self._events(blocks, end)

    def _events(self, blocks: list[bytes], end: bytes) -> list[Event]:
        events = []
        for block in blocks:
            if block[:6] == b"data: " and LF not in block:
                events.append(Event("", block[6:].decode("utf-8", "replace"), block + end))
                continue
            head, _, body = block.partition(end[: len(end) // 2] + b"data: ")
            if body and head[:7] == b"event: " and LF not in head and LF not in body:
                name = head[7:].decode("utf-8", "replace")
                events.append(Event(name, body.decode("utf-8", "replace"), block + end))
            else:
                events.append(self._parse(block, block + end))
        self._fresh = False
        return events

    def _split_mixed(self, data: bytes) -> list[Event]:
        events, start = [], 0
        for blank in _BLANK.finditer(data):
            block = data[start : blank.start()]
            if len(block) > LIMIT:
                _check([block])
            events.append(self._parse(block, data[start : blank.end()]))
            start = blank.end()
        self._keep(data[start:])
        return events

    def _parse(self, block: bytes, raw: bytes) -> Event:
        if self._fresh:
            self._fresh = False
            block = block.removeprefix(BOM)
        name, lines = "", []
        for line in _LINE_END.split(block.decode("utf-8", "replace")):
            key, _, value = line.partition(":")
            if key == "data":
                lines.append(value.removeprefix(" "))
            elif key == "event":
                name = value.removeprefix(" ")
        return Event(name, "\n".join(lines), raw, not lines)


def _check(blocks: list[bytes]) -> None:
    if any(len(block) > LIMIT for block in blocks):
        raise ValueError(f"an event of the stream is larger than {LIMIT} bytes")


def encode(data: bytes, event: str | None = None) -> bytes:
    """One event on the wire; `data` may have several lines."""
    if LF in data or CR in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    if event is None:
        return b"data: " + data + b"\n\n"
    return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"
