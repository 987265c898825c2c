"""One HTTP/1.1 connection to a provider: an asyncio protocol on httptools, one exchange at a time.

Foreign errors become three of our own here: `ConnectFailed`, `ConnectionCut` and `TimedOut`.
"""

import asyncio
import zlib

import httptools

from chittycan.outbox import Outbox

TICK_SECONDS = 0.02
HIGH_WATER = 1 << 20  # bytes waiting unread at which the socket is paused
LARGEST_INFLATED = 64 << 20  # bytes that one read may unpack to
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # zlib tells them apart by their header


class TransportError(Exception):
    """Base of the three: nothing else leaves this module for a network reason."""


class ConnectFailed(TransportError):
    """No connection: refused, unreachable, DNS, TLS. Nothing was sent."""


class ConnectionCut(TransportError):
    """The connection ended before the response did, or what came was not HTTP."""


class TimedOut(TransportError):
    """Nothing came before the deadline. `stage`: connect, response or read."""

    def __init__(self, stage: str) -> None:
        super().__init__(stage)
        self.stage = stage


class Watch:
    """The deadlines of all waiting connections, looked at together: a timer per wait would cost more than the rest.

    A deadline passes up to `TICK_SECONDS` late.
    """

    def __init__(self) -> None:
        self._waiting: set[Connection] = set()
        self._ticking = False

    def begin(self, connection: "Connection", loop: asyncio.AbstractEventLoop) -> None:
        self._waiting.add(connection)
        if not self._ticking:
            self._ticking = True
            loop.call_later(TICK_SECONDS, self._tick, loop)

    def end(self, connection: "Connection") -> None:
        self._waiting.discard(connection)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in [each for each in self._waiting if each.deadline <= now]:
            connection.expire()
        self._ticking = bool(self._waiting)
        if self._ticking:
            loop.call_later(TICK_SECONDS, self._tick, loop)


class Connection(asyncio.Protocol):
    """One connection, one exchange at a time."""

    __slots__ = (
        "_chunks", "_decoder", "_error", "_loop", "_outbox", "_parser", "_paused", "_size", "_stage", "_waiter",
        "_watch", "complete", "deadline", "fresh", "header_list", "keep_alive", "status", "transport",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, watch: Watch, outbox: Outbox) -> None:
        self._loop, self._watch, self._outbox = loop, watch, outbox
        self.deadline = 0.0  # of the present wait, loop time
        self._parser = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: TransportError | None = None
        self.keep_alive = False
        self._reset()
        self.complete = True  # nothing is expected before the first request

    def _reset(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self._paused = False
        self._decoder: zlib._Decompress | None = None
        self._stage = "response"
        self.status = 0
        self.header_list: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.fresh = True  # nothing received yet in this exchange

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self.complete:  # nobody asked: never to be taken for the answer to the next request
            self.abort()
            return
        self.fresh = False
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.keep_alive = False
            if not self.complete:
                self._fail(ConnectionCut("the answer is not HTTP"))
        self._wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.keep_alive = False
        if self.complete:
            return
        if self.status and exc is None and self._ends_with_connection():
            self.complete = True
            self._wake()
        else:
            self._fail(ConnectionCut("the connection was closed before the answer was complete"))

    def _ends_with_connection(self) -> bool:
        """Without a length and without chunks, the end of the connection is the end of the body (RFC 9112 §6.3)."""
        return not any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self.header_list)

    # httptools callbacks

    def on_message_begin(self) -> None:
        if self.complete:
            raise ValueError("bytes after the end of the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.header_list.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self.header_list.clear()
            return
        self.status = status
        self.keep_alive = self._parser.should_keep_alive()
        for name, value in self.header_list:
            if name.lower() == b"content-encoding" and value.lower() in (b"gzip", b"x-gzip", b"deflate"):
                self._decoder = zlib.decompressobj(GZIP_OR_ZLIB)

    def on_body(self, body: bytes) -> None:
        if self._decoder is not None:
            try:
                body = self._inflate(body)
            except zlib.error:
                self._fail(ConnectionCut("the compressed answer is broken or a bomb"))
                return
            if not body:
                return
        self._chunks.append(body)
        self._size += len(body)
        if self._size > HIGH_WATER and not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()

    def _inflate(self, data: bytes) -> bytes:
        """Raises zlib.error. The members of a gzip body follow each other (RFC 1952 §2.2)."""
        pieces, left = [], LARGEST_INFLATED
        while data and self._decoder is not None:
            if self._decoder.eof:
                self._decoder = zlib.decompressobj(GZIP_OR_ZLIB)
            piece = self._decoder.decompress(data, left)
            left -= len(piece)
            if left <= 0:
                raise zlib.error("a bomb")
            pieces.append(piece)
            data = self._decoder.unused_data
        return b"".join(pieces)

    def on_message_complete(self) -> None:
        if self.status:
            self.complete = True

    # the exchange

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is None or not (self._chunks or self.complete or self.status or self._error):
            return
        self._waiter = None
        self._watch.end(self)
        if not waiter.done():
            waiter.set_result(None)

    def _fail(self, error: TransportError) -> None:
        if self._error is None:
            self._error = error
        self._wake()

    def expire(self) -> None:
        """The present wait has taken too long."""
        self._fail(TimedOut(self._stage))

    def news(self, deadline: float | None) -> "asyncio.Future[None]":
        """Done when something has come or gone wrong; a plain future, since the hot path waits for it directly."""
        self._waiter = waiter = self._loop.create_future()
        if deadline is not None:
            self.deadline = deadline
            self._watch.begin(self, self._loop)
        return waiter

    def write(self, head: bytes, body: bytes) -> None:
        self._reset()
        if self.transport is None or self.transport.is_closing():
            self._error = ConnectionCut("closed")
            return
        if len(body) < 65536:
            self._outbox.write(self.transport, head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)

    def responded(self) -> bool:
        """Status and headers have come. Raises ConnectionCut or TimedOut."""
        if self._error is not None and not self.status:
            raise self._error
        return self.status != 0

    async def read(self, deadline: float | None) -> bytes:
        """The bytes that have come since the last read; b"" at the end. Raises ConnectionCut or TimedOut."""
        self._stage = "read"
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self.complete:
                return b""
            await self.news(deadline)
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._size = 0
        if self._paused and self.transport is not None:
            self._paused = False
            self.transport.resume_reading()
        return data

    def drained(self) -> bool:
        """The whole answer has come and has been read."""
        return self.complete and not self._chunks

    def now(self) -> float:
        return self._loop.time()

    def reusable(self) -> bool:
        return (
            self.drained()
            and self.keep_alive
            and self._error is None
            and self.transport is not None
            and not self.transport.is_closing()
        )

    def abort(self) -> None:
        self.complete = True
        self.keep_alive = False
        self._fail(ConnectionCut("the connection was dropped here"))
        if self.transport is not None:
            self.transport.abort()
