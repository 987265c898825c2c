"""The HTTP server on real sockets, spoken to byte by byte."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chittycan.api import http
from chittycan.api.http import Handler, HttpServer, Responder
from chittycan.api.http_request import Request

BOTH_LOOPS = True
GET = b"GET /%b HTTP/1.1\r\nHost: localhost\r\n\r\n"
TEXT = [(b"content-type", b"text/plain")]


async def echo(request: Request, responder: Responder) -> None:
    responder.whole(200, TEXT, b"%b %b %b" % (request.method.encode(), request.raw_path, request.body))


class Client:
    """One connection to the server; `answer` reads one whole answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[bytes, bytes]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines[1:-2])
        return int(lines[0].split(b" ")[1]), headers

    async def answer(self) -> tuple[int, bytes]:
        status, headers = await self.head()
        if b"content-length" in headers:
            return status, await self.reader.readexactly(int(headers[b"content-length"]))
        if headers.get(b"transfer-encoding") != b"chunked":
            return status, await self.reader.read()
        return status, b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)

    async def closed(self) -> None:
        """Until the server has hung up; fails where it sends anything else first."""
        try:
            assert await self.reader.read() == b""
        except ConnectionError:
            pass

    def leave(self) -> None:
        self.writer.transport.abort()


class Site:
    def __init__(self, server: HttpServer, port: int) -> None:
        self.server, self.port = server, port
        self._clients: list[Client] = []

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(client)
        return client

    async def ask(self, data: bytes) -> tuple[int, bytes]:
        client = await self.connect()
        await client.send(data)
        return await client.answer()


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Site]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = HttpServer(handler)
    await server.listen(listener)
    site = Site(server, listener.getsockname()[1])
    try:
        yield site
    finally:
        for client in site._clients:
            client.leave()
        await server.close(0)


# Requests


async def _until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_a_request_is_read_whole() -> None:
    seen: list[Request] = []

    async def look(request: Request, responder: Responder) -> None:
        seen.append(request)
        responder.whole(204, [], b"")

    async with serving(look) as site:
        await site.ask(
            b"POST /a%20b/c?x=1&y HTTP/1.1\r\nHost: localhost\r\nX-Chitty-Kind: triage\r\nx-Twice: 1\r\nX-TWICE: 2\r\n"
            b"Content-Length: 4\r\n\r\nbody"
        )
    (request,) = seen
    assert (request.method, request.path, request.raw_path, request.query) == (
        "POST",
        "/a%20b/c",
        b"/a%20b/c",
        b"x=1&y",
    )
    assert request.headers[b"x-chitty-kind"] == b"triage"
    assert request.headers[b"x-twice"] == b"2"
    assert request.chitty
    assert request.body == b"body"
    assert request.client is not None
    assert request.client[0] == "127.0.0.1"


async def test_one_connection_serves_many_requests() -> None:
    async with serving(echo) as site:
        client = await site.connect()
        for number in range(3):
            await client.send(GET % b"%d" % number)
            assert await client.answer() == (200, b"GET /%d " % number)
        assert len(site.server.connections) == 1


async def test_equal_heads_with_other_bodies_are_other_requests() -> None:
    post = b"POST /p?q HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
    async with serving(echo) as site:
        client = await site.connect()
        for body in (b"one", b"two", b"seven", b"", b"x" * 70_000, b"last"):
            await client.send(post % (len(body), body))
            assert await client.answer() == (200, b"POST /p " + body)
        await client.send(post % (3, b"one") + post % (3, b"two"))
        assert await client.answer() == (200, b"POST /p one")
        assert await client.answer() == (200, b"POST /p two")
        await client.send(post[:-2] % 5 + b"he")
        await client.send(b"llo")
        assert await client.answer() == (200, b"POST /p hello")
        await client.send(post % (3, b"one"))
        assert await client.answer() == (200, b"POST /p one")


async def test_a_request_may_arrive_byte_by_byte() -> None:
    async with serving(echo) as site:
        client = await site.connect()
        for byte in b"POST /slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello":
            await client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await client.answer() == (200, b"POST /slow hello")


async def test_a_chunked_body_is_put_together() -> None:
    async with serving(echo) as site:
        assert await site.ask(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n1;x=y\r\n \r\n5\r\nworld\r\n0\r\nX-Trailer: 1\r\n\r\n"
        ) == (200, b"POST / hello world")


async def test_a_large_body_is_put_together() -> None:
    body = bytes(range(256)) * 8192
    async with serving(echo) as site:
        client = await site.connect()
        sending = asyncio.create_task(
            client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        )
        assert await client.answer() == (200, b"POST / " + body)
        await sending


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    slow = asyncio.Event()

    async def first_is_slow(request: Request, responder: Responder) -> None:
        if request.path == "/0":
            await slow.wait()
        await echo(request, responder)

    async with serving(first_is_slow) as site:
        client = await site.connect()
        await client.send(b"".join(GET % b"%d" % number for number in range(40)))
        slow.set()
        for number in range(40):
            assert await client.answer() == (200, b"GET /%d " % number)


async def test_a_client_that_asks_on_and_on_is_not_read_while_it_waits() -> None:
    held = asyncio.Event()
    served = 0

    async def hold(request: Request, responder: Responder) -> None:
        nonlocal served
        await held.wait()
        served += 1
        await echo(request, responder)

    async with serving(hold) as site:
        client = await site.connect()
        flood = asyncio.create_task(client.send((GET % b"x") * 200_000))
        await _until(lambda: bool(site.server.connections))
        (connection,) = site.server.connections
        for _ in range(200):
            await asyncio.sleep(0)
        assert not flood.done(), "the rest waits in the client's and the system's buffers"
        assert len(connection._waiting) < 20_000
        held.set()
        for _ in range(1000):
            assert await client.answer() == (200, b"GET /x ")
        flood.cancel()


async def test_expect_100_continue_is_answered_before_the_body() -> None:
    async with serving(echo) as site:
        client = await site.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await client.head() == (100, {})
        await client.send(b"ok")
        assert await client.answer() == (200, b"POST / ok")


async def test_a_continue_never_gets_into_another_answer() -> None:
    go = asyncio.Event()

    async def two_pieces(request: Request, responder: Responder) -> None:
        responder.start(200, TEXT)
        await responder.chunk(b"one")
        await go.wait()
        await responder.chunk(b"two")
        responder.end()

    async with serving(two_pieces) as site:
        client = await site.connect()
        await client.send(GET % b"")
        assert (await client.head())[0] == 200
        chunks = client.chunks()
        assert await anext(chunks) == b"one"
        await client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        (connection,) = site.server.connections
        await _until(lambda: connection._request.method == "POST")
        go.set()
        assert [chunk async for chunk in chunks] == [b"two"]
        await client.send(b"ok")
        assert await client.answer() == (200, b"onetwo")


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
async def test_a_wish_for_another_protocol_is_ignored(upgrade: bytes) -> None:
    async with serving(echo) as site:
        client = await site.connect()
        wish = (
            b"POST /%b HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: %b\r\nContent-Length: 2\r\n\r\nok"
        )
        await client.send(wish % (b"1", upgrade) + wish % (b"2", upgrade) + GET % b"3")
        assert await client.answer() == (200, b"POST /1 ok")
        assert await client.answer() == (200, b"POST /2 ok")
        assert await client.answer() == (200, b"GET /3 ")


# Answers


async def test_head_has_the_headers_and_no_body() -> None:
    async def stream(request: Request, responder: Responder) -> None:
        if request.path == "/whole":
            responder.whole(200, TEXT, b"hello")
            return
        responder.start(200, TEXT)
        await responder.chunk(b"hello")
        responder.end()

    async with serving(stream) as site:
        client = await site.connect()
        await client.send(b"HEAD /whole HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        status, headers = await client.head()
        assert (status, headers[b"content-length"]) == (200, b"5")
        status, headers = await client.head()
        assert (status, headers[b"transfer-encoding"]) == (200, b"chunked")
        await client.send(GET % b"whole")
        assert await client.answer() == (200, b"hello")


async def test_an_answer_in_pieces_comes_in_pieces() -> None:
    steps = [asyncio.Event() for _ in range(3)]

    async def pieces(request: Request, responder: Responder) -> None:
        responder.start(200, TEXT)
        for number, step in enumerate(steps):
            await step.wait()
            await responder.chunk(b"%d" % number)
        await responder.chunk(b"")
        responder.end()

    async with serving(pieces) as site:
        client = await site.connect()
        await client.send(GET % b"" + GET % b"again")
        assert (await client.head())[0] == 200
        chunks = client.chunks()
        for number, step in enumerate(steps):
            step.set()
            assert await anext(chunks) == b"%d" % number
        assert [chunk async for chunk in chunks] == []
        assert await client.answer() == (200, b"012")


async def test_an_answer_whose_length_is_known_is_not_chunked() -> None:
    async def known(request: Request, responder: Responder) -> None:
        responder.start(200, [*TEXT, (b"content-length", b"4")], length=True)
        await responder.chunk(b"ab")
        await responder.chunk(b"cd")
        responder.end()

    async with serving(known) as site:
        client = await site.connect()
        await client.send(2 * (GET % b""))
        assert await client.answer() == (200, b"abcd")
        assert await client.answer() == (200, b"abcd")


async def stream_hello(request: Request, responder: Responder) -> None:
    responder.start(200, TEXT)
    await responder.chunk(b"hello")
    responder.end()


@pytest.mark.parametrize("handler", [echo, stream_hello])
async def test_connection_close_is_kept_and_said(handler: Handler) -> None:
    async with serving(handler) as site:
        client = await site.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" + GET % b"ignored")
        status, headers = await client.head()
        assert (status, headers[b"connection"]) == (200, b"close")
        rest = await client.reader.read()
        assert rest == (b"GET / " if handler is echo else b"5\r\nhello\r\n0\r\n\r\n"), "its end can be told from a cut"


@pytest.mark.parametrize("wish", [b"", b"Connection: keep-alive\r\n"])
async def test_http_1_0_gets_plain_bytes_and_a_close(wish: bytes) -> None:
    async with serving(stream_hello) as site:
        client = await site.connect()
        await client.send(b"GET / HTTP/1.0\r\n%b\r\n" % wish)
        status, headers = await client.head()
        assert status == 200
        assert b"transfer-encoding" not in headers
        assert headers[b"connection"] == b"close"
        assert await client.reader.read() == b"hello"


async def test_a_slow_client_holds_the_handler_back() -> None:
    sent = 0
    piece = bytes(1 << 20)

    async def endless(request: Request, responder: Responder) -> None:
        nonlocal sent
        responder.start(200, TEXT)
        while sent < 64:
            sent += 1
            await responder.chunk(piece)
        responder.end()

    async with serving(endless) as site:
        client = await site.connect()
        await client.send(GET % b"")
        await client.head()
        await _until(lambda: any(connection.paused for connection in site.server.connections))
        assert sent < 64
        size = 0
        async for chunk in client.chunks():
            size += len(chunk)
        assert size == 64 << 20


async def test_answers_that_nobody_reads_hold_the_next_request_back() -> None:
    served = 0

    async def large(request: Request, responder: Responder) -> None:
        nonlocal served
        served += 1
        responder.whole(200, TEXT, bytes(4 << 20))

    async with serving(large) as site:
        client = await site.connect()
        await client.send(10 * (GET % b""))
        await _until(lambda: any(connection.paused for connection in site.server.connections))
        for _ in range(100):
            await asyncio.sleep(0)
        assert served < 10
        for _ in range(10):
            assert len((await client.answer())[1]) == 4 << 20


# Limits and refusals


async def _refused(site: Site, *pieces: bytes) -> int:
    client = await site.connect()
    for piece in pieces:
        try:
            await client.send(piece)
        except ConnectionError:
            break
    status, body = await client.answer()
    assert b'"error"' in body
    await client.closed()
    return status


async def _unreachable(request: Request, responder: Responder) -> None:
    raise AssertionError("refused requests reach no handler")


@pytest.mark.parametrize(
    ("status", "pieces"),
    [
        (400, [b"nonsense\r\n\r\n"]),
        (400, [b"CONNECT example.test:443 HTTP/1.1\r\nHost: example.test:443\r\n\r\n"]),
        (400, [b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"]),
        (400, [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"]),
        (400, [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"]),
        (400, [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"]),
        (400, [b"GET / HTTP/1.1\r\nHost: a\r\nX:\x00\r\n\r\n"]),
        (400, [b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"]),
        (400, [b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"]),
        (431, [b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + b"\r\n"]),
        (431, [b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (70 << 10)]),
        (431, [b"GET /" + b"x" * (70 << 10)]),
        (413, [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % ((100 << 20) + 1)]),
        (413, [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999\r\nExpect: 100-continue\r\n\r\n"]),
    ],
)
async def test_what_is_too_much_or_not_http_is_refused(status: int, pieces: list[bytes]) -> None:
    async with serving(_unreachable) as site:
        assert await _refused(site, *pieces) == status


async def test_a_chunked_body_has_its_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_BYTES", 100_000)
    async with serving(_unreachable) as site:
        chunk = b"8000\r\n" + bytes(0x8000) + b"\r\n"
        begin = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert await _refused(site, begin, chunk, chunk, chunk, chunk) == 413


async def test_an_answer_under_way_is_finished_before_a_refusal_closes() -> None:
    go = asyncio.Event()

    async def slow(request: Request, responder: Responder) -> None:
        await go.wait()
        await echo(request, responder)

    async with serving(slow) as site:
        client = await site.connect()
        await client.send(GET % b"1" + GET % b"2" + b"\x00garbage\r\n\r\n" + GET % b"3")
        go.set()
        assert await client.answer() == (200, b"GET /1 ")
        assert await client.answer() == (200, b"GET /2 ")
        await client.closed()


async def test_a_request_that_never_ends_and_an_idle_connection_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "SWEEP_SECONDS", 0.01)
    for name in ("REQUEST_SECONDS", "IDLE_SECONDS"):
        monkeypatch.setattr(http, name, 0.0)
    async with serving(echo) as site:
        half = await site.connect()
        await half.send(b"GET / HTTP/1.1\r\nHost: ")
        await half.closed()
        idle = await site.connect()
        await idle.send(GET % b"")
        assert await idle.answer() == (200, b"GET / ")
        await idle.closed()


async def test_a_client_that_never_reads_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(http, "STALL_SECONDS", 0.0)
    ended = asyncio.Event()

    async def endless(request: Request, responder: Responder) -> None:
        responder.start(200, TEXT)
        try:
            while True:
                await responder.chunk(bytes(1 << 20))
        finally:
            ended.set()

    async with serving(endless) as site:
        client = await site.connect()
        await client.send(GET % b"")
        await ended.wait()


# Leaving and ending


async def test_a_client_that_leaves_cancels_the_handler() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def waiting(request: Request, responder: Responder) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serving(waiting) as site:
        client = await site.connect()
        await client.send(GET % b"1" + GET % b"2")
        await begun.wait()
        begun.clear()
        client.leave()
        await cancelled.wait()
        await _until(lambda: not site.server.connections)
        assert not begun.is_set(), "what it had asked for beyond that is forgotten"


@pytest.mark.parametrize("when", ["before", "during"])
async def test_a_handler_that_breaks_cuts_the_connection(when: str) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # asyncio would log it: a bug should be seen

    async def broken(request: Request, responder: Responder) -> None:
        if when == "during":
            responder.start(200, TEXT)
            await responder.chunk(b"half")
        raise RuntimeError("a bug")

    async with serving(broken) as site:
        client = await site.connect()
        await client.send(GET % b"")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.answer()
        again = await site.connect()
        await again.send(GET % b"")
        await again.writer.drain()


async def test_a_graceful_end_waits_for_the_answer_in_flight() -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(request: Request, responder: Responder) -> None:
        responder.start(200, TEXT)
        await responder.chunk(b"begun ")
        begun.set()
        await go.wait()
        await responder.chunk(b"ended")
        responder.end()

    async with serving(slow) as site:
        idle, busy = await site.connect(), await site.connect()
        await busy.send(GET % b"")
        await begun.wait()
        closing = asyncio.create_task(site.server.close(60))
        await idle.closed()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", site.port)
        assert not closing.done()
        go.set()
        assert await busy.answer() == (200, b"begun ended")
        await busy.closed()
        await closing


async def test_an_end_without_grace_cuts() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def waiting(request: Request, responder: Responder) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serving(waiting) as site:
        client = await site.connect()
        await client.send(GET % b"")
        await begun.wait()
        await site.server.close(0)
        await cancelled.wait()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.answer()


# Properties

fragments = st.sampled_from([
    b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\n", b"Host: localhost\r\n", b"Content-Length: 5\r\n", b"\r\n", b"hello",
    b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"Expect: 100-continue\r\n",
    b"Upgrade: h2c\r\n", b"Connection: upgrade\r\n", b"Connection: close\r\n", b"CONNECT x:1 HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n", b"\x16\x03\x01",
])  # fmt: skip


@given(st.lists(st.binary(max_size=40) | fragments, max_size=14))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_bytes_whatever_stop_the_server(pieces: list[bytes]) -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    async with serving(echo) as site:
        client = await site.connect()
        try:
            for piece in pieces:
                await client.send(piece)
            client.writer.write_eof()
            await client.reader.read()
        except ConnectionError:
            pass
        assert await site.ask(GET % b"still-here") == (200, b"GET /still-here ")
    assert not faults
