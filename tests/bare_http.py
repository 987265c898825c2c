"""Bare HTTP for tests: what no client library would send or answer, and when exactly what comes back."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass
class Got:
    """One HTTP answer, read to its end. `complete`: it ended as HTTP says it must."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool = True

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> list[str]:
        """The data of each server-sent event."""
        found = []
        for block in self.body.decode().split("\n\n"):
            lines = [line[5:].strip() for line in block.split("\n") if line.startswith("data:")]
            if lines:
                found.append("\n".join(lines))
        return found

    @property
    def events(self) -> list[Any]:
        return [json.loads(data) for data in self.data if data != "[DONE]"]


class Wire:
    """A bare connection to a port: what no client library would send, and when exactly what comes back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> "Wire":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 26))

    def send(self, method: str, path: str, body: bytes | Json | None = None, headers: Mapping[str, str] = {}) -> None:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"host": "127.0.0.1"}
        if body is not None:
            lines |= {"content-length": str(len(data)), "content-type": "application/json"}
        lines |= headers
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + data)

    async def head(self) -> Got:
        raw = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in raw[1:] if line)}
        return Got(int(raw[0].split(" ")[1]), headers, b"")

    async def chunk(self) -> bytes:
        """The next HTTP chunk; b"" is the end. Raises IncompleteReadError where the connection is cut."""
        size = int((await self.reader.readuntil(b"\r\n")).strip(), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def read(self, *, without_body: bool = False) -> Got:
        got = await self.head()
        if without_body:
            return got
        try:
            if "content-length" in got.headers:
                got.body = await self.reader.readexactly(int(got.headers["content-length"]))
            elif "transfer-encoding" in got.headers:
                while chunk := await self.chunk():
                    got.body += chunk
            else:
                got.body = await self.reader.read()
        except asyncio.IncompleteReadError as cut:
            got.complete = False
            got.body += cut.partial
        return got

    def pause(self) -> None:
        """Read nothing more, until `resume`."""
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]

    def resume(self) -> None:
        self.writer.transport.resume_reading()  # type: ignore[attr-defined]

    def close_one_side(self) -> None:
        """Send nothing more, as some clients that leave do."""
        self.writer.write_eof()

    def close(self) -> None:
        self.writer.close()


async def fetch(
    port: int, method: str, path: str, body: bytes | Json | None = None, headers: Mapping[str, str] = {}
) -> Got:
    wire = await Wire.connect(port)
    try:
        wire.send(method, path, body, headers)
        return await wire.read(without_body=method == "HEAD")
    finally:
        wire.close()


@asynccontextmanager
async def speaking(*pieces: bytes | float | list[bytes], ends: bool = True) -> AsyncIterator[str]:
    """The root URL of a provider that answers every request with exactly these bytes, with pauses in between.

    What a list holds may change from request to request. It then closes the connection, unless `ends` is false.
    """
    open_connections: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_connections.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            for piece in pieces:
                if not isinstance(piece, float):
                    writer.write(piece if isinstance(piece, bytes) else b"".join(piece))
                    await writer.drain()
                else:
                    await asyncio.sleep(piece)
            if not ends:
                await reader.read()
        writer.close()
        open_connections.discard(task)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in open_connections:
            task.cancel()


SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def spoken_chunk(delta: Json, finish: str | None = None, **more: Any) -> bytes:
    """One chunk of OpenAI's chat dialect."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "chatcmpl-spoken", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return f"data: {json.dumps(body | more)}\n\n".encode()
