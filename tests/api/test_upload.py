"""Bodies that are handed on as they come, on real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from chittycan.api import http
from chittycan.api.http import HttpServer, Responder
from chittycan.api.http_request import Request
from chittycan.api.upload import HIGH_BYTES
from chittycan.errors import ChittyError, InvalidRequest, RequestTooLarge

BOTH_LOOPS = True
MOST = 64 << 20
TEXT = [(b"content-type", b"text/plain")]

Take = Callable[[Request, Responder], Awaitable[None]]


class App:
    def __init__(self, take: Take) -> None:
        self.uploads, self._take = {b"/up": MOST}, take

    async def __call__(self, request: Request, responder: Responder) -> None:
        await self._take(request, responder)


@asynccontextmanager
async def served(take: Take) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    server = HttpServer(App(take))
    listener = socket.create_server(("127.0.0.1", 0))
    await server.listen(listener)
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    yield reader, writer
    writer.close()
    await server.close(0)


async def count(request: Request, responder: Responder) -> None:
    """Says how many bytes came, and in how many parts."""
    if request.upload is None:
        responder.whole(200, TEXT, b"whole %d" % len(request.body))
        return
    parts = [len(part) async for part in request.upload]
    responder.whole(200, TEXT, b"%d in %s" % (sum(parts), b"many" if len(parts) > 1 else b"one"))


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return int(head.split(b" ")[1]), await reader.readexactly(length)


def head(length: int | None, path: bytes = b"/up") -> bytes:
    how = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
    return b"POST %b HTTP/1.1\r\nhost: localhost\r\n%b\r\n\r\n" % (path, how)


async def test_an_upload_comes_in_parts_and_the_connection_is_used_again() -> None:
    async with served(count) as (reader, writer):
        for _ in range(2):
            writer.write(head(5 << 20) + b"x" * (5 << 20))
            assert await answer(reader) == (200, b"%d in many" % (5 << 20))
        writer.write(head(3) + b"abc" + head(2, b"/other") + b"de" + head(0))
        assert await answer(reader) == (200, b"3 in one")
        assert await answer(reader) == (200, b"whole 2")
        assert await answer(reader) == (200, b"0 in one")


async def test_a_chunked_upload_comes_too() -> None:
    async with served(count) as (reader, writer):
        writer.write(head(None) + b"5\r\nhello\r\n" + b"6\r\n world\r\n" + b"0\r\n\r\n")
        assert (await answer(reader))[1].startswith(b"11 in")


async def test_the_client_is_held_back_while_nobody_takes_what_it_sends() -> None:
    async def slow(request: Request, responder: Responder) -> None:
        upload = request.upload
        assert upload is not None
        while not upload.held:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)  # for more to come, if it did
        assert upload._size <= HIGH_BYTES + (1 << 20)
        await count(request, responder)

    async with served(slow) as (reader, writer):
        size = 32 << 20
        writer.write(head(size) + b"x" * size)
        assert (await answer(reader))[1].startswith(b"%d in" % size)


async def test_an_upload_that_is_refused_early_gets_its_answer() -> None:
    async def refuse(_: Request, responder: Responder) -> None:
        responder.whole(401, TEXT, b"no")

    async with served(refuse) as (reader, writer):
        writer.write(head(20 << 20) + b"x" * (20 << 20))
        assert await answer(reader) == (401, b"no")
        assert await reader.read() == b""


@pytest.mark.parametrize(
    ("sent", "kind", "status"),
    [
        (head(None) + b"%x\r\n" % (MOST + 1) + b"x" * (MOST + 1), RequestTooLarge, 413),
        (head(None) + b"5\r\nhello\r\nnonsense\r\n", InvalidRequest, 400),
    ],
    ids=["too large", "no HTTP"],
)
async def test_whoever_takes_an_upload_is_told_that_the_rest_will_not_come(
    sent: bytes, kind: type[ChittyError], status: int
) -> None:
    async def take(request: Request, responder: Responder) -> None:
        assert request.upload is not None
        try:
            async for _ in request.upload:
                pass
        except kind:
            responder.whole(status, TEXT, b"refused")

    async with served(take) as (reader, writer):
        writer.write(sent)
        assert await answer(reader) == (status, b"refused")


async def test_an_upload_known_to_be_too_large_is_refused_before_anyone_takes_it() -> None:
    async with served(count) as (reader, writer):
        writer.write(head(MOST + 1))
        status, body = await answer(reader)
        assert status == 413
        assert b"64 MB" in body


async def test_a_client_that_leaves_ends_the_taking() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def take(request: Request, _: Responder) -> None:
        assert request.upload is not None
        began.set()
        try:
            async for _part in request.upload:
                pass
        finally:
            ended.set()

    async with served(take) as (_, writer):
        writer.write(head(100) + b"x" * 10)
        await began.wait()
        writer.transport.abort()
        async with asyncio.timeout(5):
            await ended.wait()


async def test_a_client_that_sends_nothing_more_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_SECONDS", 0.05)
    monkeypatch.setattr(http, "SWEEP_SECONDS", 0.01)
    async with served(count) as (reader, writer):
        writer.write(head(100) + b"x" * 10)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
