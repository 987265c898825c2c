"""The HTTP/1.1 server of the front doors: an asyncio protocol on httptools, one task per request.

A handler gets the whole request (of an upload its head, and the body as it comes) and answers through a `Responder`;
when the client leaves, the handler's task is cancelled at once. Limits come before handlers: size and time of headers
and of bodies.
Why not a library: docs/decisions/0004-own-server-protocol.md. Framing follows RFC 9112; the parsing is llhttp's.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus

import httptools

from chittycan.api.http_request import RepeatedHead, Request, learn
from chittycan.api.upload import Upload
from chittycan.errors import InvalidRequest, RequestTooLarge
from chittycan.outbox import Outbox

HEADER_BYTES = 64 << 10
HEADER_COUNT = 128
BODY_BYTES = 100 << 20  # a 50 MB image as base64, with room
PIPELINED = 16  # requests waiting on one connection before it is not read any further
REQUEST_SECONDS = 60.0  # for a whole request to arrive, from its first byte; of an upload, for its next bytes
IDLE_SECONDS = 75.0  # between requests; longer than the 60 s of common load balancers
LINGER_SECONDS = 10.0  # how long a refused client may go on sending before it has to read the answer
STALL_SECONDS = 120.0  # how long a client may leave unread what it asked for
SWEEP_SECONDS = 1.0
CUT_SECONDS = 2.0  # for answers that are cut at the end to be noted as such
LESSONS = 4  # heads learnt per connection: of a client whose heads always differ none can be used again
NEVER = float("inf")

Pairs = Iterable[tuple[bytes, bytes]]


class Lines(list[bytes]):
    """Headers as ready-made lines ("name: value\\r\\n"), each item one or several of them."""


Headers = Pairs | Lines
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
STATUS_LINES[499] = b"HTTP/1.1 499 Client Closed Request\r\n"
STATUS_LINES[529] = b"HTTP/1.1 529 Overloaded\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def _lines(headers: Pairs) -> list[bytes]:
    return [b"%b: %b\r\n" % header for header in headers]


class Responder:
    """The answer to one request: `whole`, or `start`, any number of `chunk`s and `end`."""

    __slots__ = ("_chunked", "_connection", "_request", "finished", "started")

    def __init__(self, connection: "Connection", request: Request) -> None:
        self._connection, self._request = connection, request
        self.started = self.finished = False
        self._chunked = True

    @property
    def port(self) -> int | None:
        """This side's port of the connection."""
        transport = self._connection.transport
        name = transport.get_extra_info("sockname") if transport is not None else None
        return int(name[1]) if isinstance(name, tuple) else None

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Head and body in one write."""
        head = self._head(status, headers) + b"content-length: %d\r\n\r\n" % len(body)
        self.started = True
        self._connection.write(head if self._request.method == "HEAD" else head + body)
        self._finish()

    def start(self, status: int, headers: Headers, *, length: bool = False) -> None:
        """The head of an answer that is sent in pieces; `length`: the headers name its length themselves."""
        self.started = True
        self._chunked = not length and self._request.chunks
        head = self._head(status, headers)
        self._connection.write(head + (b"transfer-encoding: chunked\r\n\r\n" if self._chunked else b"\r\n"))

    async def chunk(self, data: bytes) -> None:
        """Sends a piece; waits while the client reads too slowly."""
        if data and self._request.method != "HEAD":
            self._connection.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        if self._connection.paused:
            await self._connection.drained()

    def end(self) -> None:
        if self._chunked and self._request.method != "HEAD":
            self._connection.write(LAST_CHUNK)
        self._finish()

    def _head(self, status: int, headers: Headers) -> bytes:
        if self._request.upload is not None and not self._request.upload.complete:
            self._connection.refuse_rest(self._request)
        lines = [STATUS_LINES.get(status) or f"HTTP/1.1 {status} Status\r\n".encode()]
        lines += headers if isinstance(headers, Lines) else _lines(headers)
        if not self._request.keep_alive:
            lines.append(b"connection: close\r\n")
        return b"".join(lines)

    def _finish(self) -> None:
        self.finished = True
        self._connection.answered(self._request.keep_alive)


Handler = Callable[[Request, Responder], Awaitable[None]]


class Connection(asyncio.Protocol):
    """One client connection: requests are answered in the order in which they came."""

    __slots__ = (
        "_between", "_body", "_deaf", "_drain", "_head", "_head_size", "_in_head", "_lessons", "_most", "_parser",
        "_request", "_server", "_size", "_task", "_url", "_waiting", "busy", "client", "deadline", "paused",
        "transport",
    )  # fmt: skip

    def __init__(self, server: "HttpServer") -> None:
        self._server = server
        self.transport: asyncio.Transport | None = None
        self.client: tuple[str, int] | None = None
        self.deadline = NEVER
        self.paused = False
        self._drain: asyncio.Future[None] | None = None
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self.busy = False
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request(None)
        self._url = b""
        self._body: list[bytes] = []
        self._size = 0  # bytes of body
        self._most = BODY_BYTES  # that it may have
        self._head_size = 0
        self._in_head = False
        self._deaf = False  # what still comes is not read any more
        self._between = True  # the parser has seen the last request to its end, and nothing of the next
        self._head: RepeatedHead | None = None
        self._lessons = LESSONS

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        peer = transport.get_extra_info("peername")
        self.client = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None
        self._server.connections.add(self)
        self.deadline = self._server.loop.time() + REQUEST_SECONDS

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        between = self._between
        if between and self._head is not None and (request := self._head.read(data)) is not None:
            self._received(request)
            return
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.refuse(400, "This is not HTTP/1.1.")
        if between and self._between and self._lessons and not self._deaf:
            self._lessons -= 1
            self._head = learn(data, self._request)
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > HEADER_BYTES:
                self.refuse(431, "The headers are too large.")

    def _feed(self, data: bytes) -> None:
        while data and not self._deaf:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as wish:
                data = self._without_upgrade() + data[wish.args[0] :]
                self._parser = httptools.HttpRequestParser(self)
            else:
                return

    def _without_upgrade(self) -> bytes:
        """The head of a request that offers another protocol, without the offer, which may be ignored (RFC 9110 §7.8).

        Java's client offers HTTP/2 with every first request; the parser would take its body for the other protocol.
        """
        request = self._request
        headers = [header for header in request.headers.items() if header[0] not in (b"upgrade", b"connection")]
        return b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method.encode(), self._url, b"".join(_lines(headers)))

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        if self._server.closing and not self._server.connections:
            self._server.empty.set()
        self._waiting.clear()
        self.transport = None
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)
        if self._task is not None and self.busy:
            self._task.cancel()

    def pause_writing(self) -> None:
        self.paused = True
        self.deadline = self._server.loop.time() + STALL_SECONDS
        self._drain = self._server.loop.create_future()

    def resume_writing(self) -> None:
        self.paused = False
        self.deadline = NEVER if self.busy else self._server.loop.time() + IDLE_SECONDS
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)

    async def drained(self) -> None:
        if self._drain is not None:
            await self._drain

    # httptools

    def on_message_begin(self) -> None:
        self._request = Request(self.client)
        self._url, self._body, self._size, self._most = b"", [], 0, BODY_BYTES
        self._in_head, self._head_size = True, 0
        self._between = False
        if not self.busy:
            self.deadline = self._server.loop.time() + REQUEST_SECONDS

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        headers = self._request.headers
        if name in headers and name == b"host":
            self.refuse(400, "There is more than one Host header.")
        headers[name] = value
        if name[:9] == b"x-chitty-":
            self._request.chitty = True

    def on_headers_complete(self) -> None:
        request = self._request
        request.method = self._parser.get_method().decode("ascii")
        if self._parser.should_upgrade():
            if request.method == "CONNECT":
                self.refuse(400, "This is not a proxy.")
            return
        request.chunks = self._parser.get_http_version() != "1.0"
        request.keep_alive = request.chunks and self._parser.should_keep_alive()
        path, _, query = self._url.partition(b"?")
        request.raw_path, request.query = path, query
        request.path = path.decode("latin-1")
        self._in_head = False
        if len(request.headers) > HEADER_COUNT:
            self.refuse(431, "There are too many headers.")
        length = request.headers.get(b"content-length", b"0")
        if request.method == "POST" and path in self._server.uploads:
            self._most = self._server.uploads[path]
            request.upload = Upload(self._hold)
        if length.isdigit() and int(length) > self._most:
            self.refuse(413, f"The body is larger than {self._most >> 20} MB.")
        elif not self.busy and request.headers.get(b"expect", b"").lower() == b"100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.upload is not None and not self._deaf:
            self._received(request)
            self.deadline = self._server.loop.time() + REQUEST_SECONDS

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._most:
            self.refuse(413, "The body is too large.")
        upload = self._request.upload
        if upload is None:
            self._body.append(body)
        elif not self._deaf:
            self.deadline = self._server.loop.time() + REQUEST_SECONDS
            upload.feed(body)

    def on_message_complete(self) -> None:
        request = self._request
        if self._deaf or self.transport is None or self._parser.should_upgrade():
            return
        if request.upload is not None:
            self._between = True
            self.deadline = NEVER if self.busy else self.deadline
            request.upload.end()
            return
        body = self._body
        request.body = body[0] if len(body) == 1 else b"".join(body)
        self._between = True
        self._received(request)

    def _received(self, request: Request) -> None:
        if self.busy and self.transport is not None:
            self._waiting.append(request)
            if len(self._waiting) >= PIPELINED:
                self.transport.pause_reading()
            return
        self._serve(request)

    # answering

    def _serve(self, request: Request) -> None:
        self.busy = True
        self.deadline = NEVER
        self._task = self._server.loop.create_task(self._server.answer(request, Responder(self, request)))

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self._server.outbox.write(self.transport, data)

    @property
    def answering(self) -> "asyncio.Task[None] | None":
        """What answers the current request, if there is one."""
        return self._task if self.busy else None

    def answered(self, keep_alive: bool) -> None:
        """The current request has its whole answer: on with the next, or wait for it."""
        self.busy = False
        transport = self.transport
        if transport is None:
            return
        if not keep_alive or self._server.closing or (self._deaf and not self._waiting):
            if self._deaf:
                self._linger()
                return
            self.deadline = self._server.loop.time() + STALL_SECONDS
            self._deaf = True
            self._server.outbox.flush()
            transport.close()
        elif self._waiting:
            request = self._waiting.popleft()
            transport.resume_reading()
            self._serve(request)
        elif not self.paused:
            self.deadline = self._server.loop.time() + IDLE_SECONDS

    def refuse(self, status: int, reason: str) -> None:
        """Answers what never became a request, and closes; where answers are under way, closes after those."""
        if self._deaf or self.transport is None:
            return
        self._deaf = True
        upload = self._request.upload
        if upload is not None:
            upload.fail(RequestTooLarge(reason) if status == 413 else InvalidRequest(reason))
        if self.busy:
            return
        body = b'{"error":{"message":"%b","type":"invalid_request_error","param":null,"code":null}}' % reason.encode()
        head = STATUS_LINES[status] + b"content-type: application/json\r\nconnection: close\r\n"
        self.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        self._linger()

    def refuse_rest(self, request: Request) -> None:
        """An upload is answered before its end: what still comes of it is passed over, and nothing is read after it."""
        request.keep_alive = False
        self._deaf = True
        self._hold(False)

    def _hold(self, back: bool) -> None:
        """Whoever takes an upload is slower than the client: it must wait."""
        if self.transport is None or self.transport.is_closing():
            return
        if back:
            self.deadline = NEVER
        elif not self._between:
            self.deadline = self._server.loop.time() + REQUEST_SECONDS
        (self.transport.pause_reading if back else self.transport.resume_reading)()

    def _linger(self) -> None:
        """Says no more, and passes over what still comes: closing at once would reset the connection, and take the
        answer away from a client that is still sending (RFC 9112 §9.6)."""
        if self.transport is not None and self.transport.can_write_eof():
            self._server.outbox.flush()
            self.transport.write_eof()
            self.deadline = self._server.loop.time() + LINGER_SECONDS

    def abort(self) -> None:
        """A handler failed after it had begun to answer: the client must see a cut, not an end."""
        if self.transport is not None:
            self.transport.abort()


class HttpServer:
    """Listens until `close`. `handler` must answer every request; what it raises is a bug and cuts the connection.

    A handler with `uploads` (path → bytes at most) gets the bodies that are POSTed there as they come.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.uploads: Mapping[bytes, int] = getattr(handler, "uploads", {})
        self._servers: list[asyncio.Server] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self.connections: set[Connection] = set()
        self.closing = False
        self.empty = asyncio.Event()  # set when the last connection of a closing server is gone
        self.loop = asyncio.get_running_loop()
        self.outbox = Outbox(self.loop)

    async def listen(self, listener: socket.socket) -> None:
        self._servers.append(await self.loop.create_server(lambda: Connection(self), sock=listener, backlog=2048))
        self._sweep()

    async def answer(self, request: Request, responder: Responder) -> None:
        connection = responder._connection
        try:
            if connection.paused:  # a client that asks on and on and reads nothing must not fill the memory
                await connection.drained()
            await self._handler(request, responder)
        except asyncio.CancelledError:
            pass  # the client left, or the server ends
        finally:
            if not responder.finished:
                connection.abort()

    async def close(self, grace: float) -> None:
        """Accepts nothing more, lets answers in flight finish for `grace` seconds, then cuts."""
        self.closing = True
        for server in self._servers:
            server.close()
        self.outbox.flush()
        for connection in list(self.connections):
            if not connection.busy and connection.transport is not None:
                connection.transport.close()
        if self.connections:
            await asyncio.wait((self.loop.create_task(self.empty.wait()),), timeout=grace)
        self.outbox.flush()
        cut = [each for connection in self.connections if (each := connection.answering) is not None]
        for connection in list(self.connections):
            connection.abort()
        if cut:  # what they came to is still to be noted
            await asyncio.wait(cut, timeout=CUT_SECONDS)
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _sweep(self) -> None:
        """Ends connections that are idle, or whose request takes too long to arrive."""
        now = self.loop.time()
        for connection in list(self.connections):
            transport = connection.transport
            if connection.deadline < now and transport is not None:
                # What nobody reads would keep a closing connection for ever.
                (transport.abort if connection.paused or transport.is_closing() else transport.close)()
        self._sweeper = self.loop.call_later(SWEEP_SECONDS, self._sweep)
