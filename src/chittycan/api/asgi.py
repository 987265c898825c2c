"""Runs an ASGI application (the control API) behind our own HTTP server."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from chittycan.api.http import Responder
from chittycan.api.http_request import Request

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class Asgi:
    """A handler of `api.http` that calls an ASGI 3 application."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, request: Request, responder: Responder) -> None:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": unquote(request.path),
            "raw_path": request.raw_path,
            "query_string": request.query,
            "root_path": "",
            "headers": list(request.headers.items()),
            "client": request.client,
            "server": None,
        }
        sent = False
        start: Message = {}

        async def receive() -> Message:
            nonlocal sent
            if sent:
                await asyncio.Event().wait()  # a client that leaves cancels this task
            sent = True
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body, more = message.get("body", b""), message.get("more_body", False)
            if not responder.started:
                headers = list(start["headers"])
                if not more:
                    plain = [header for header in headers if header[0] != b"content-length"]
                    responder.whole(start["status"], plain, body)
                    return
                responder.start(start["status"], headers, length=any(name == b"content-length" for name, _ in headers))
            await responder.chunk(body)
            if not more:
                responder.end()

        await self._application(scope, receive, send)
