"""The one HTTP/1.1 client of the hot path: a small pool of `providers.connection`s.

It sends one request and hands the response's bytes on as they arrive. It knows nothing of models or dialects, and
raises nothing but `TransportError`s. Why not a library: docs/decisions/0003-own-transport.md.
"""

import asyncio
import base64
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from functools import cached_property
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from chittycan.outbox import Outbox
from chittycan.providers.connection import ConnectFailed, Connection, ConnectionCut, TimedOut, Watch

MAX_IDLE_PER_HOST = 64
KEPT_STARTS = 1024  # request lines kept per origin: in some dialects a caller's model name is part of the path
IDLE_SECONDS = 55.0  # below the common 60 s of servers and balancers


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
    if parts.scheme != "http" or not parts.hostname or parts.port == 0:  # an unreadable port raises ValueError
        raise ConnectFailed(f"only http:// proxies can be used, not {parts.scheme}://{parts.hostname or ''}")
    return parts


class Response:
    """A response whose body is read as it comes. Must be closed; closing early drops the connection."""

    __slots__ = ("_closed", "_connection", "_header_list", "_origin", "_pool", "on_close", "status")

    def __init__(self, connection: Connection, origin: Origin, pool: "Transport") -> None:
        self._connection, self._origin, self._pool = connection, origin, pool
        self.status = connection.status
        self._header_list = connection.header_list
        self._closed = False
        self.on_close: Callable[[], None] | None = None

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
        if self.on_close is not None:
            self.on_close()


def _nearer(one: float | None, other: float | None) -> float | None:
    return one if other is None else other if one is None else min(one, other)


class Transport:
    """The pool. One per process; `close()` drops every idle connection."""

    def __init__(self) -> None:
        self._origins: dict[tuple[str, str | None, str | None], Origin] = {}
        self._watch = Watch()

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        # Asking for it costs a system call (before Python 3.12).
        return asyncio.get_running_loop()

    @cached_property
    def _outbox(self) -> Outbox:
        return Outbox(self._loop)

    def _line(self) -> Connection:
        return Connection(self._loop, self._watch, self._outbox)

    def now(self) -> float:
        """The loop's time, in which deadlines are given."""
        return self._loop.time()

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
        loop = self._loop
        head = self._head(origin, method, path, headers, len(body))
        pooled = connection = self._pooled(origin, loop.time())
        while True:
            if connection is None:
                if deadline is not None:
                    connect_timeout = min(connect_timeout, max(0.0, deadline - loop.time()))
                connection = await self._connect(origin, loop, connect_timeout)
            connection.write(head, body)
            try:
                while not connection.responded():
                    await connection.news(deadline)
            except BaseException as error:
                connection.abort()
                if connection is not pooled or not connection.fresh or not isinstance(error, ConnectionCut):
                    raise
                connection = None
            else:
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
        origin.idle.append((self._loop.time(), connection))

    async def _connect(self, origin: Origin, loop: asyncio.AbstractEventLoop, timeout: float) -> Connection:
        try:
            async with asyncio.timeout(timeout):
                if origin.proxy is not None and not origin.via_proxy:
                    return await self._tunnel(origin, loop)
                host = (origin.proxy.hostname or "") if origin.proxy is not None else origin.host
                port = (origin.proxy.port or 80) if origin.proxy is not None else origin.port
                _, connection = await loop.create_connection(
                    self._line,
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
        raw, tunnel = await loop.create_connection(self._line, proxy.hostname or "", proxy.port or 80)
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        target = f"{host}:{origin.port}"
        tunnel.write(f"CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n{_proxy_authorization(proxy)}\r\n".encode(), b"")
        connection = self._line()
        try:
            while not tunnel.responded():
                await tunnel.news(None)
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
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    token = base64.b64encode(pair.encode()).decode()
    return f"proxy-authorization: Basic {token}\r\n"
