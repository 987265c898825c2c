"""The pool of connections on real sockets: reuse, replacement, proxies, TLS, and what a provider sees of it."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chittycan.providers import transport as module
from chittycan.providers.connection import ConnectFailed, ConnectionCut, TimedOut
from chittycan.providers.transport import Response, Transport

BOTH_LOOPS = True
TLS = Path(__file__).resolve().parents[1] / "data" / "tls"
OK = b"HTTP/1.1 200 OK\r\nX-Kind: Plain\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """What one connection looks like from the provider's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader, self.writer, self.number = reader, writer, number
        self.heads: list[bytes] = []
        self.gone = asyncio.Event()

    async def request(self) -> bytes:
        """The next request's head; its body is read too. Raises IncompleteReadError when the client has left."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        length = int(dict(line.split(b": ") for line in head.split(b"\r\n")[1:-2])[b"content-length"])
        self.body = await self.reader.readexactly(length)
        return head

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def left(self) -> None:
        """Until the client has hung up."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass
        self.gone.set()


Serve = Callable[[Peer], Awaitable[None]]


class Provider:
    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.url = ""
        self.port = 0

    @property
    def heads(self) -> list[list[bytes]]:
        """The heads of the requests on each connection, connections in order."""
        return [peer.heads for peer in self.peers]


@asynccontextmanager
async def provider(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    """A loopback server that does with each connection what `serve` says, then closes it."""
    found = Provider()
    tasks: set[asyncio.Task[Any]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        peer = Peer(reader, writer, len(found.peers))
        found.peers.append(peer)
        try:
            await serve(peer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort() if tls else writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    found.port = server.sockets[0].getsockname()[1]
    found.url = f"http://127.0.0.1:{found.port}/v1"
    try:
        yield found
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def always_ok(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.send(OK)


async def never(peer: Peer) -> None:
    await peer.request()
    await peer.left()


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = Transport()
    yield transport
    transport.close()


async def ask(
    transport: Transport, url: str, body: bytes = b"{}", *, deadline: float | None = None, **origin: Any
) -> Response:
    return await transport.send(
        transport.origin(url, **origin), "POST", "/chat", b"accept: */*\r\n", body,
        connect_timeout=10.0, deadline=deadline,
    )  # fmt: skip


async def answer(transport: Transport, url: str, **more: Any) -> bytes:
    response = await ask(transport, url, **more)
    body = await response.body()
    response.close()
    return body


# One request


async def test_a_request_arrives_as_it_was_meant(transport: Transport) -> None:
    async with provider(always_ok) as up:
        response = await ask(transport, up.url, b"x" * 100_000)
        assert response.status == 200
        assert response.headers["x-kind"] == "Plain"
        assert await response.body() == b"ok"
        assert up.heads == [[
            b"POST /v1/chat HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-length: 100000\r\naccept: */*\r\n\r\n" % up.port
        ]]  # fmt: skip
        assert up.peers[0].body == b"x" * 100_000


async def test_nobody_there(transport: Transport, free_port: int) -> None:
    with pytest.raises(ConnectFailed):
        await ask(transport, f"http://127.0.0.1:{free_port}")


@pytest.mark.parametrize("url", ["ftp://example.test", "example.test", "http://", "http://x:port", ""])
async def test_what_is_no_address_says_so(transport: Transport, url: str) -> None:
    with pytest.raises(ConnectFailed):
        transport.origin(url)


async def test_a_hostname_that_cannot_exist(transport: Transport) -> None:
    with pytest.raises(ConnectFailed):
        await ask(transport, f"http://{'x' * 70}.invalid")


# Reuse


async def test_a_connection_serves_one_request_after_another(transport: Transport) -> None:
    async with provider(always_ok) as up:
        for _ in range(5):
            assert await answer(transport, up.url) == b"ok"
        assert [len(heads) for heads in up.heads] == [5]


async def test_requests_at_once_have_a_connection_each(transport: Transport) -> None:
    async with provider(always_ok) as up:
        assert await asyncio.gather(*(answer(transport, up.url) for _ in range(4))) == [b"ok"] * 4
        assert len(up.peers) == 4
        assert await asyncio.gather(*(answer(transport, up.url) for _ in range(4))) == [b"ok"] * 4
        assert len(up.peers) == 4


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced(transport: Transport) -> None:
    async def one_answer_each(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()  # closed at the very moment at which it is used again

    async with provider(one_answer_each) as up:
        for _ in range(3):
            assert await answer(transport, up.url) == b"ok"
        assert [len(heads) for heads in up.heads] == [2, 2, 1]


async def test_a_new_connection_that_is_cut_is_not_tried_again(transport: Transport) -> None:
    async def hang_up(peer: Peer) -> None:
        await peer.request()

    async with provider(hang_up) as up:
        with pytest.raises(ConnectionCut):
            await ask(transport, up.url)
        assert len(up.peers) == 1, "the provider may have done the work: whether to ask again is not decided here"


async def test_an_answer_that_had_begun_on_a_kept_connection_is_not_asked_for_again(transport: Transport) -> None:
    async def half_an_answer(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()
        await peer.send(OK[:20])

    async with provider(half_an_answer) as up:
        assert await answer(transport, up.url) == b"ok"
        with pytest.raises(ConnectionCut):
            await ask(transport, up.url)
        assert len(up.peers) == 1


async def test_a_connection_that_is_idle_for_long_is_not_trusted(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", -1.0)
    async with provider(always_ok) as up:
        for _ in range(2):
            assert await answer(transport, up.url) == b"ok"
        assert len(up.peers) == 2


async def test_closing_the_pool_hangs_up(transport: Transport) -> None:
    async def ok_then_watch(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.left()

    async with provider(ok_then_watch) as up:
        assert await answer(transport, up.url) == b"ok"
        transport.close()
        await up.peers[0].gone.wait()


# Leaving


async def test_closing_early_hangs_up(transport: Transport) -> None:
    async def begin(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst")
        await peer.left()

    async with provider(begin) as up:
        response = await ask(transport, up.url)
        assert await response.read() == b"first"
        response.close()
        await up.peers[0].gone.wait()


async def test_cancelling_before_the_answer_hangs_up(transport: Transport) -> None:
    async with provider(never) as up:
        asking = asyncio.create_task(ask(transport, up.url))
        while not up.peers or not up.peers[0].heads:  # noqa: ASYNC110 (nothing else tells)
            await asyncio.sleep(0)
        asking.cancel()
        await up.peers[0].gone.wait()


async def test_whoever_wants_to_know_is_told_once_that_a_response_is_closed(transport: Transport) -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.left()

    told: list[str] = []
    async with provider(once) as up:
        response = await ask(transport, up.url)
        response.on_close = lambda: told.append("closed")
        await response.body()
        assert told == []
        response.close()
        response.close()
    assert told == ["closed"]


async def test_closing_twice_does_not_cut_whoever_has_the_connection_by_then(transport: Transport) -> None:
    go_on = asyncio.Event()

    async def slow_second(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()
        await peer.send(OK[:-1])
        await go_on.wait()
        await peer.send(OK[-1:])
        await peer.left()

    async with provider(slow_second) as up:
        first = await ask(transport, up.url)
        assert await first.body() == b"ok"
        first.close()
        second = await ask(transport, up.url)
        first.close()
        go_on.set()
        assert await second.body() == b"ok"
        assert len(up.peers) == 1


# Deadlines


async def test_a_silent_server_times_out(transport: Transport) -> None:
    async with provider(never) as up:
        with pytest.raises(TimedOut) as raised:
            await ask(transport, up.url, deadline=asyncio.get_running_loop().time() + 0.05)
        assert raised.value.stage == "response"
        await up.peers[0].gone.wait()


async def test_a_server_that_stops_in_the_body_times_out(transport: Transport) -> None:
    async def begin(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst")
        await peer.left()

    async with provider(begin) as up:
        now = asyncio.get_running_loop().time()
        waits: list[dict[str, Any]] = [{"deadline": now}, {"idle": 0.0}, {"deadline": now, "idle": 60.0}]
        for wait in waits:
            response = await ask(transport, up.url)
            with pytest.raises(TimedOut) as raised:
                await response.body(**wait)
            assert raised.value.stage == "read"
            response.close()


async def test_the_first_bytes_of_a_body_have_a_deadline_of_their_own(transport: Transport) -> None:
    async def headers_only(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        await peer.left()

    async with provider(headers_only) as up:
        response = await ask(transport, up.url)
        with pytest.raises(TimedOut):
            await response.body(first=asyncio.get_running_loop().time())
        response.close()


async def test_the_way_there_counts_against_the_deadline(transport: Transport) -> None:
    async def no_handshake(peer: Peer) -> None:
        await peer.left()

    async with provider(no_handshake) as up:
        origin = transport.origin(f"https://localhost:{up.port}")
        deadline = asyncio.get_running_loop().time() + 0.05
        async with asyncio.timeout(30):
            with pytest.raises(TimedOut) as raised:
                await transport.send(origin, "POST", "/", b"", b"", connect_timeout=3600.0, deadline=deadline)
        assert raised.value.stage == "connect"


async def test_a_body_beyond_its_limit_is_refused(transport: Transport) -> None:
    async def large(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + bytes(3_000_000))

    async with provider(large) as up:
        for limit in (10, 2_000_000):
            response = await ask(transport, up.url)
            with pytest.raises(ConnectionCut):
                await response.body(limit=limit)
            response.close()
        response = await ask(transport, up.url)
        assert len(await response.body(limit=3_000_000)) == 3_000_000


async def test_every_byte_reaches_a_reader_that_takes_its_time(transport: Transport) -> None:
    total = 8 << 20

    async def large(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        for _ in range(8):
            await peer.send(bytes(1 << 20))

    async with provider(large) as up:
        response = await ask(transport, up.url)
        size = 0
        while piece := await response.read():
            size += len(piece)
            assert len(piece) <= (1 << 20) + (1 << 18), "what waits unread is bounded"
            for _ in range(50):
                await asyncio.sleep(0)
        assert size == total


# Proxies


async def test_plain_http_goes_through_a_proxy_with_the_whole_address(transport: Transport) -> None:
    async with provider(always_ok) as proxy:
        for _ in range(2):
            assert await answer(
                transport, "http://models.test/v1", http_proxy=f"http://me:p%40ss@127.0.0.1:{proxy.port}"
            ) == b"ok"  # fmt: skip
        token = base64.b64encode(b"me:p@ss")
        assert proxy.heads == [2 * [
            b"POST http://models.test/v1/chat HTTP/1.1\r\nhost: models.test\r\nproxy-authorization: Basic %b\r\n"
            b"content-length: 2\r\naccept: */*\r\n\r\n" % token
        ]]  # fmt: skip


async def test_the_environments_proxy_is_used_except_for_this_machine(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "inside.test")
    async with provider(always_ok) as proxy, provider(always_ok) as up:
        monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.port}")
        assert await answer(transport, "http://models.test") == b"ok"
        assert await answer(transport, up.url) == b"ok"
        assert (len(proxy.peers), len(up.peers)) == (1, 1)
        assert transport.origin("http://inside.test").proxy is None


@pytest.mark.parametrize("proxy", ["https://proxy.test:3128", "socks5://proxy.test", "http://", "http://x:port"])
async def test_a_proxy_that_cannot_be_used_says_so(transport: Transport, proxy: str) -> None:
    with pytest.raises(ConnectFailed):
        transport.origin("http://models.test", http_proxy=proxy)


def _server_tls() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(TLS / "server.pem", TLS / "server.key")
    return context


def _tunnel_to(port: int, opening: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> Serve:
    async def serve(peer: Peer) -> None:
        peer.heads.append(await peer.reader.readuntil(b"\r\n\r\n"))
        await peer.send(opening)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pipe(peer.reader, writer))
                group.create_task(_pipe(reader, peer.writer))
        finally:
            writer.close()

    return serve


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def test_https_goes_through_a_tunnel(transport: Transport) -> None:
    async with provider(always_ok, _server_tls()) as up, provider(_tunnel_to(up.port)) as proxy:
        for _ in range(2):
            assert await answer(
                transport, f"https://localhost:{up.port}/v1", ca_file=str(TLS / "ca.pem"),
                http_proxy=f"http://me:secret@127.0.0.1:{proxy.port}",
            ) == b"ok"  # fmt: skip
        token = base64.b64encode(b"me:secret")
        assert proxy.heads == [[
            b"CONNECT localhost:%d HTTP/1.1\r\nhost: localhost:%d\r\nproxy-authorization: Basic %b\r\n\r\n"
            % (up.port, up.port, token)
        ]]  # fmt: skip
        assert len(up.heads[0]) == 2, "the tunnel is kept"
        assert b"secret" not in b"".join(up.heads[0])


@pytest.mark.parametrize("opening", [b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n", b"", b"nonsense\r\n\r\n"])
async def test_a_proxy_that_refuses_is_a_failed_connection(transport: Transport, opening: bytes) -> None:
    async def refuse(peer: Peer) -> None:
        peer.heads.append(await peer.reader.readuntil(b"\r\n\r\n"))
        await peer.send(opening)

    async with provider(refuse) as proxy:
        with pytest.raises(ConnectFailed):
            await ask(transport, "https://models.test", http_proxy=f"http://127.0.0.1:{proxy.port}")


async def test_a_proxy_that_never_answers_is_left(transport: Transport) -> None:
    async def silent(peer: Peer) -> None:
        peer.heads.append(await peer.reader.readuntil(b"\r\n\r\n"))
        await peer.left()

    async with provider(silent) as proxy:
        with pytest.raises(TimedOut):
            await transport.send(
                transport.origin("https://models.test", f"http://127.0.0.1:{proxy.port}"), "POST", "/", b"", b"",
                connect_timeout=0.05, deadline=None,
            )  # fmt: skip
        await proxy.peers[0].gone.wait()


# TLS


async def test_a_certificate_of_the_configured_authority_is_accepted(transport: Transport) -> None:
    async with provider(always_ok, _server_tls()) as up:
        for _ in range(2):
            assert await answer(transport, f"https://localhost:{up.port}", ca_file=str(TLS / "ca.pem")) == b"ok"
        assert len(up.peers) == 1


async def test_an_unknown_authority_is_refused(transport: Transport) -> None:
    async with provider(always_ok, _server_tls()) as up:
        with pytest.raises(ConnectFailed):
            await ask(transport, f"https://localhost:{up.port}")


async def test_a_certificate_for_another_name_is_refused(transport: Transport) -> None:
    async with provider(always_ok, _server_tls()) as up:
        with pytest.raises(ConnectFailed):
            await ask(transport, f"https://127.0.0.1:{up.port}", ca_file=str(TLS / "ca.pem"))


async def test_a_missing_authority_file_says_so(transport: Transport) -> None:
    with pytest.raises(ConnectFailed, match="No such file"):
        transport.origin("https://localhost", ca_file="/nowhere/ca.pem")
