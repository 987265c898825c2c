"""An ASGI application behind our own HTTP server."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chittycan.api.asgi import Application, Asgi
from chittycan.api.http import HttpServer

BOTH_LOOPS = True
START = {"type": "http.response.start", "status": 201, "headers": [(b"content-type", b"text/plain")]}


class Site:
    def __init__(self, server: HttpServer, port: int) -> None:
        self.server, self.port = server, port

    async def ask(self, request: bytes) -> bytes:
        """What comes back until the server hangs up."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        try:
            return await reader.read()
        finally:
            writer.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async def not_set(*_: Any) -> None: ...

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = HttpServer(not_set)
    await server.listen(listener)
    yield Site(server, listener.getsockname()[1])
    await server.close(0)


def serve(site: Site, application: Application) -> None:
    site.server._handler = Asgi(application)


ASK = (
    b"POST /api/v1/a%%20b/%%E4%%BA%%AC?x=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b"
)


async def test_the_application_sees_the_request(site: Site) -> None:
    seen: dict[str, Any] = {}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope, message=await receive())
        await send(START)
        await send({"type": "http.response.body", "body": b"made"})

    serve(site, application)
    answer = await site.ask(ASK % (4, b"body"))
    assert answer.startswith(b"HTTP/1.1 201 Created\r\n")
    assert b"content-length: 4\r\n" in answer
    assert answer.endswith(b"\r\n\r\nmade")
    assert (seen["method"], seen["path"], seen["query_string"]) == ("POST", "/api/v1/a b/京", b"x=1")
    assert seen["raw_path"] == b"/api/v1/a%20b/%E4%BA%AC"
    assert seen["message"] == {"type": "http.request", "body": b"body", "more_body": False}
    assert (b"host", b"localhost") in seen["headers"]


async def test_an_answer_in_pieces_is_sent_in_pieces(site: Site) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two", "more_body": True})
        await send({"type": "http.response.body"})

    serve(site, application)
    answer = await site.ask(ASK % (0, b""))
    assert b"transfer-encoding: chunked\r\n" in answer
    assert answer.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


async def test_a_length_that_the_application_names_is_said_once(site: Site) -> None:
    headers = [(b"content-length", b"6")]

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({**START, "headers": headers})
        await send({"type": "http.response.body", "body": b"one", "more_body": bool(await receive())})
        await send({"type": "http.response.body", "body": b"two"})

    serve(site, application)
    answer = await site.ask(ASK % (0, b""))
    assert answer.count(b"content-length") == 1
    assert answer.endswith(b"\r\n\r\nonetwo")


async def test_a_client_that_leaves_cancels_the_application(site: Site) -> None:
    waiting, cancelled = asyncio.Event(), asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        waiting.set()
        try:
            await receive()
        finally:
            cancelled.set()

    serve(site, application)
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(ASK % (0, b""))
    await waiting.wait()
    writer.transport.abort()
    await cancelled.wait()


async def test_an_application_that_says_nothing_is_cut(site: Site) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    serve(site, application)
    try:
        assert await site.ask(ASK % (0, b"")) == b""
    except ConnectionError:
        pass
