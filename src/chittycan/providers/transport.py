"""The one HTTP/1.1 client of the hot path: a small connection pool on asyncio protocols and httptools.

It sends one request and hands the response's bytes on as they arrive. It knows nothing of models or dialects.
Foreign errors become three of its own, in one place: `ConnectFailed`, `ConnectionCut` and `TimedOut`.
Why not a library: docs/decisions/0003-own-transport.md.
"""

import asyncio
import base64
import ssl
import zlib
from collections import deque
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import httptools

TICK_SECONDS = 0.02
HIGH_WATER = 1 << 20  # bytes waiting unread at which the socket is paused
MAX_IDLE_PER_HOST = 64
LARGEST_INFLATED = 64 << 20  # bytes that one read may unpack to
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # zlib tells them apart by their header
KEPT_STARTS = 1024  # request lines kept per origin: in some dialects a caller's model name is part of the path
IDLE_SECONDS = 55.0  # below the common 60 s of servers and balancers


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


class Origin:
    """Where requests go: one scheme, host and port, with the way there (proxy, certificates)."""

    __slots__ = ("base_path", "host", "host_header", "idle", "port", "proxy", "ssl", "starts", "via_proxy")

    def __init__(self, url: str, http_proxy: str | None = None, ca_file: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConnectFailed(f"not an http(s) address: {url}")
        secure = parts.scheme == "https"
        self.host, self.port = parts.hostname, parts.port or (443 if secure else 80)
        self.base_path = parts.path.rstrip("/")
        self.host_header = parts.netloc.rpartition("@")[2]
        self.ssl = ssl.create_default_context(cafile=ca_file) if secure else None
        self.proxy = _proxy_for(parts, http_proxy)
        self.via_proxy = self.proxy is not None and not secure
        self.idle: deque[tuple[float, Connection]] = deque()
        self.starts: dict[tuple[str, str], bytes] = {}  # request line and Host, by method and path


def _proxy_for(parts: SplitResult, configured: str | None) -> SplitResult | None:
    """The configured proxy, else the environment's (HTTPS_PROXY, NO_PROXY…); never for loopback."""
    host = parts.hostname or ""
    if configured:
        return _proxy(configured)
    if host in ("localhost", "127.0.0.1", "::1") or proxy_bypass(host):
        return None
    found = getproxies_environment().get(parts.scheme)
    return _proxy(found) if found else None


def _proxy(address: str) -> SplitResult:
    parts = urlsplit(address if "://" in address else f"http://{address}")
    if parts.scheme != "http" or not parts.hostname:
        raise ConnectFailed(f"only http:// proxies can be used, not {parts.scheme}://{parts.hostname or ''}")
    return parts


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
        "_chunks", "_decoder", "_error", "_loop", "_parser", "_paused", "_size", "_stage", "_waiter", "_watch",
        "complete", "deadline", "fresh", "header_list", "keep_alive", "status", "transport",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, watch: Watch) -> None:
        self._loop, self._watch = loop, watch
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
        if waiter is not None and not waiter.done() and (self._chunks or self.complete or self.status):
            waiter.set_result(None)

    def _fail(self, error: TransportError) -> None:
        if self._error is None:
            self._error = error
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def expire(self) -> None:
        """The present wait has taken too long."""
        self._fail(TimedOut(self._stage))

    async def _wait(self, deadline: float | None) -> None:
        self._waiter = self._loop.create_future()
        if deadline is not None:
            self.deadline = deadline
            self._watch.begin(self, self._loop)
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._watch.end(self)

    def write(self, head: bytes, body: bytes) -> None:
        self._reset()
        if self.transport is None or self.transport.is_closing():
            self._error = ConnectionCut("closed")
            return
        if len(body) < 65536:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)

    async def response(self, deadline: float | None) -> None:
        """Waits for the status and headers; raises ConnectionCut or TimedOut."""
        while not self.status and self._error is None:
            await self._wait(deadline)
        if self._error is not None and not self.status:
            raise self._error

    async def read(self, deadline: float | None) -> bytes:
        """The bytes that have come since the last read; b"" at the end. Raises ConnectionCut or TimedOut."""
        self._stage = "read"
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self.complete:
                return b""
            await self._wait(deadline)
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
        if self.transport is not None:
            self.transport.abort()


class Response:
    """A response whose body is read as it comes. Must be closed; closing early drops the connection."""

    __slots__ = ("_closed", "_connection", "_header_list", "_origin", "_pool", "status")

    def __init__(self, connection: Connection, origin: Origin, pool: "Transport") -> None:
        self._connection, self._origin, self._pool = connection, origin, pool
        self.status = connection.status
        self._header_list = connection.header_list
        self._closed = False

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; of repeated headers the last counts."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._header_list}

    async def read(self, deadline: float | None = None) -> bytes:
        """Bytes as they come, b"" at the end. `deadline` in loop time. Raises ConnectionCut or TimedOut."""
        return await self._connection.read(deadline)

    async def body(
        self,
        deadline: float | None = None,
        limit: int = 256 << 20,
        *,
        first: float | None = None,
        idle: float | None = None,
    ) -> bytes:
        """The rest of the body at once; a body beyond `limit` bytes counts as cut.

        `first` (loop time) is the deadline of its first bytes where that is nearer, `idle` the seconds between two
        reads.
        """
        connection = self._connection
        data = await connection.read(_nearer(deadline, first))
        chunks, size = [data], len(data)
        while data and size <= limit and not connection.drained():
            pause = None if idle is None else connection.now() + idle
            data = await connection.read(_nearer(deadline, pause))
            chunks.append(data)
            size += len(data)
        if size > limit:
            raise ConnectionCut("the answer is too large")
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def close(self) -> None:
        """Closing twice is closing once: the connection may serve another request by then."""
        if self._closed:
            return
        self._closed = True
        connection = self._connection
        if connection.reusable():
            self._pool.put_back(self._origin, connection)
        elif connection.transport is not None:
            connection.abort()


def _nearer(one: float | None, other: float | None) -> float | None:
    return one if other is None else other if one is None else min(one, other)


class Transport:
    """The pool. One per process; `close()` drops every idle connection."""

    def __init__(self) -> None:
        self._origins: dict[tuple[str, str | None, str | None], Origin] = {}
        self._watch = Watch()

    def origin(self, endpoint: str, http_proxy: str | None = None, ca_file: str | None = None) -> Origin:
        """The pooled origin of a provider's endpoint. Raises ConnectFailed where the address or CA file is unusable."""
        key = (endpoint, http_proxy, ca_file)
        origin = self._origins.get(key)
        if origin is None:
            try:
                origin = self._origins[key] = Origin(endpoint, http_proxy, ca_file)
            except (OSError, ValueError) as error:
                raise ConnectFailed(f"{endpoint}: {error}") from error
        return origin

    async def send(
        self,
        origin: Origin,
        method: str,
        path: str,
        headers: bytes,
        body: bytes,
        *,
        connect_timeout: float,
        deadline: float | None,
    ) -> Response:
        """Sends one request and waits for the response's headers.

        `headers` are complete header lines ("name: value\\r\\n"…) without Host and Content-Length; `deadline`
        is loop time. A pooled connection that turns out to be closed is replaced once, unseen.
        """
        loop = asyncio.get_running_loop()
        head = self._head(origin, method, path, headers, len(body))
        connection = self._pooled(origin, loop.time())
        if connection is not None:
            try:
                return await self._exchange(connection, origin, head, body, deadline)
            except ConnectionCut:
                if not connection.fresh:
                    raise
        if deadline is not None:
            connect_timeout = min(connect_timeout, max(0.0, deadline - loop.time()))
        connection = await self._connect(origin, loop, connect_timeout)
        return await self._exchange(connection, origin, head, body, deadline)

    async def _exchange(
        self, connection: Connection, origin: Origin, head: bytes, body: bytes, deadline: float | None
    ) -> Response:
        connection.write(head, body)
        try:
            await connection.response(deadline)
        except BaseException:
            connection.abort()
            raise
        return Response(connection, origin, self)

    @staticmethod
    def _head(origin: Origin, method: str, path: str, headers: bytes, length: int) -> bytes:
        start = origin.starts.get((method, path))
        if start is None:
            if len(origin.starts) >= KEPT_STARTS:
                origin.starts.clear()
            start = origin.starts[method, path] = _start(origin, method, path)
        return b"%bcontent-length: %d\r\n%b\r\n" % (start, length, headers)

    def _pooled(self, origin: Origin, now: float) -> Connection | None:
        while origin.idle:
            since, connection = origin.idle.pop()
            if connection.reusable() and now - since < IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    def put_back(self, origin: Origin, connection: Connection) -> None:
        if len(origin.idle) >= MAX_IDLE_PER_HOST:
            _, oldest = origin.idle.popleft()
            oldest.abort()
        origin.idle.append((asyncio.get_running_loop().time(), connection))

    async def _connect(self, origin: Origin, loop: asyncio.AbstractEventLoop, timeout: float) -> Connection:
        try:
            async with asyncio.timeout(timeout):
                if origin.proxy is not None and not origin.via_proxy:
                    return await self._tunnel(origin, loop)
                host = (origin.proxy.hostname or "") if origin.proxy is not None else origin.host
                port = (origin.proxy.port or 80) if origin.proxy is not None else origin.port
                _, connection = await loop.create_connection(
                    lambda: Connection(loop, self._watch),
                    host,
                    port,
                    ssl=origin.ssl,
                    server_hostname=origin.host if origin.ssl else None,
                )
                return connection
        except TimeoutError as error:
            raise TimedOut("connect") from error
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ConnectFailed(f"{origin.host_header}: {error}") from error

    async def _tunnel(self, origin: Origin, loop: asyncio.AbstractEventLoop) -> Connection:
        """CONNECT through the proxy, then TLS inside (RFC 9110 §9.3.6)."""
        proxy = origin.proxy
        assert proxy is not None
        raw, tunnel = await loop.create_connection(
            lambda: Connection(loop, self._watch), proxy.hostname or "", proxy.port or 80
        )
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        target = f"{host}:{origin.port}"
        tunnel.write(f"CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n{_proxy_authorization(proxy)}\r\n".encode(), b"")
        connection = Connection(loop, self._watch)
        try:
            await tunnel.response(None)
            if tunnel.status != 200:
                raise ConnectFailed(f"the proxy {proxy.hostname} answered {tunnel.status}")
            secured = await loop.start_tls(raw, connection, origin.ssl, server_hostname=origin.host)  # type: ignore[arg-type]
            if secured is None:
                raise ConnectFailed("TLS through the proxy failed")
        except ConnectionCut as error:
            raise ConnectFailed(f"the proxy {proxy.hostname} closed the connection") from error
        except BaseException:
            tunnel.abort()
            raise
        connection.connection_made(secured)
        return connection

    def close(self) -> None:
        for origin in self._origins.values():
            while origin.idle:
                origin.idle.pop()[1].abort()


def _start(origin: Origin, method: str, path: str) -> bytes:
    target = f"{origin.base_path}{path}"
    if origin.via_proxy:
        target = f"http://{origin.host_header}{target}"
    line = f"{method} {target} HTTP/1.1\r\nhost: {origin.host_header}\r\n"
    if origin.via_proxy and origin.proxy is not None:
        line += _proxy_authorization(origin.proxy)
    return line.encode("latin-1")


def _proxy_authorization(proxy: SplitResult) -> str:
    if not proxy.username:
        return ""
    token = base64.b64encode(f"{proxy.username}:{proxy.password or ''}".encode()).decode()
    return f"proxy-authorization: Basic {token}\r\n"
