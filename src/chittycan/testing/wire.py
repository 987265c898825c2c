"""The HTTP/1.1 of a scripted upstream: requests in, answers out, byte by byte, and when the client left.

No framework, because a framework would tidy up the very faults that are to be shown.
"""

import asyncio
import gzip
import json
import socket
import struct
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from chittycan.testing.scenarios import Scenario
from chittycan.testing.voices import Event, Json


@dataclass
class Recorded:
    """One request as it arrived, and what became of it. Moments are `time.monotonic()` seconds.

    `closed_at` is set only when the client left before the answer was complete; `tokens` counts the content
    events that were written.
    """

    method: str
    path: str  # without the query
    query: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    json: Json = field(default_factory=dict)
    model: str = ""
    dialect: str = ""
    scenario: str = ""
    at: float = field(default_factory=time.monotonic)
    tokens: int = 0
    answered_at: float | None = None
    closed_at: float | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    async def ended(self) -> None:
        """Until the answer is complete or the client is gone."""
        await self.over.wait()

    @property
    def key(self) -> str:
        """The credential that came with it, whatever header carried it."""
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        return bearer or self.headers.get("x-api-key") or self.headers.get("x-goog-api-key") or ""


class Connection(asyncio.StreamReaderProtocol):
    """A stream protocol that also tells at once when the peer has left."""

    def __init__(self, serve: Callable[["Connection"], Coroutine[Any, Any, None]]) -> None:
        self.gone = asyncio.Event()
        self.reader = asyncio.StreamReader(limit=1 << 26)
        self.writer: asyncio.StreamWriter
        self._serve = serve
        super().__init__(self.reader, self._connected)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        # asyncio logs a cancelled connection as an error; being closed from here is none.
        with suppress(asyncio.CancelledError):
            await self._serve(self)

    def eof_received(self) -> bool | None:
        self.gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        super().connection_lost(exc)

    async def request(self) -> Recorded | None:
        """The next request, or None when the peer has closed."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
            headers = dict(_header(line) for line in head.decode("latin-1").split("\r\n")[1:] if line)
            if headers.get("expect", "").lower() == "100-continue":
                self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await self._body(headers)
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            return None
        path, _, query = target.partition("?")
        return Recorded(method, path, query, headers, body)

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return await self.reader.readexactly(int(headers.get("content-length", 0)))
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readuntil(b"\r\n")
        return body

    def head(self, status: int, headers: list[tuple[str, str]]) -> None:
        phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Overloaded"
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers), "", ""]
        self.writer.write("\r\n".join(lines).encode("latin-1"))

    async def full(self, status: int, kind: str, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """A whole answer with its length."""
        self.head(status, [("content-type", kind), ("content-length", str(len(body))), *headers])
        self.writer.write(body)
        await self.writer.drain()

    async def chunk(self, data: bytes) -> None:
        """One HTTP chunk; an empty one ends the body."""
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await self.writer.drain()

    def close(self) -> None:
        """What was written still arrives; then the end."""
        self.writer.close()

    def reset(self) -> None:
        """The peer sees ECONNRESET (SO_LINGER of zero seconds)."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


class EventStream:
    """Writes events as one scenario wants them framed."""

    def __init__(self, connection: Connection, scenario: Scenario) -> None:
        self._connection = connection
        self._scenario = scenario

    def start(self) -> None:
        headers = [("content-type", "text/event-stream"), ("cache-control", "no-cache"), *self._scenario.headers]
        if self._scenario.gzip:
            headers.append(("content-encoding", "gzip"))
        self._connection.head(200, [*headers, ("transfer-encoding", "chunked")])

    async def send(self, events: list[Event]) -> None:
        data = b"".join(self._frame(event) for event in events)
        if not data:
            return
        if self._scenario.gzip:
            # Members of a gzip file may follow each other (RFC 1952 §2.2), so each write is complete in itself.
            await self._connection.chunk(gzip.compress(data))
        elif self._scenario.split:
            for at in range(len(data)):
                await self._connection.chunk(data[at : at + 1])
        else:
            await self._connection.chunk(data)

    async def end(self) -> None:
        await self._connection.chunk(b"")

    def _frame(self, event: Event) -> bytes:
        newline, space = self._scenario.newline, self._scenario.space
        data = event.data if isinstance(event.data, str) else dump(event.data)
        lines = [f"event:{space}{event.name}"] if event.name else []
        lines.append(f"data:{space}{data}")
        if self._scenario.comments:
            lines.insert(0, f": keepalive{newline}")
        return (newline.join(lines) + newline * 2).encode()


def dump(body: Json) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
