"""The hot path's front door: plain ASGI, one pass from the request's bytes to the answer's.

Every surface is a row of `ROUTES`. Answers and errors are in the surface's own dialect; the headers
`x-chitty-*` say what a call took.
"""

import asyncio
from typing import Any

import msgspec

from chittycan.api.guard import Guard
from chittycan.api.request import Receive, Scope, Send, options_of, parse_body, read_body
from chittycan.api.status import body_of, headers_of, status_of
from chittycan.auth.keys import Key
from chittycan.clock import Clock
from chittycan.dialects import load
from chittycan.dialects.tokens import estimate_tokens
from chittycan.errors import Cancelled, ChittyError, Forbidden, InvalidRequest
from chittycan.gateway.call import NO_OPTIONS, Call, Trace
from chittycan.gateway.open_stream import OpenStream
from chittycan.gateway.service import Gateway, new_request_id
from chittycan.telemetry import Telemetry

HOLD_SECONDS = 10.0  # how long a stream's headers wait for content
KEEPALIVE = b": keepalive\n\n"
JSON = (b"content-type", b"application/json")
SSE = (b"content-type", b"text/event-stream; charset=utf-8")

# path → (surface, operation)
ROUTES: dict[str, tuple[str, str]] = {
    "/v1/chat/completions": ("openai", "chat"),
    "/v1/completions": ("openai_completions", "chat"),
    "/v1/responses": ("openai_responses", "chat"),
    "/v1/messages": ("anthropic", "chat"),
    "/v1/messages/count_tokens": ("anthropic", "count_tokens"),
    "/v1/embeddings": ("openai", "embeddings"),
}
# Clients whose base URL has no /v1, or has it twice, land on the same routes.
for _path in list(ROUTES):
    ROUTES[_path.removeprefix("/v1")] = ROUTES[_path]
    ROUTES["/v1" + _path] = ROUTES[_path]

# Client headers that a provider of the same dialect understands.
FORWARDED = {
    "anthropic": (b"anthropic-beta", b"anthropic-version"),
    "openai": (b"openai-organization", b"openai-project", b"openai-beta"),
    "openai_responses": (b"openai-organization", b"openai-project", b"openai-beta"),
}


class Inference:
    """The ASGI application of every path in `ROUTES`, POST only."""

    def __init__(self, gateway: Gateway, guard: Guard, telemetry: Telemetry, clock: Clock) -> None:
        self._gateway, self._guard, self._telemetry, self._clock = gateway, guard, telemetry, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        surface, operation = ROUTES[scope["path"]]
        exchange = Exchange(send, surface, new_request_id(self._clock))
        call: Call | None = None
        try:
            call = await self._call(scope, receive, exchange.request_id)
            if operation == "count_tokens":
                await exchange.json(200, {"input_tokens": estimate_tokens(call.chat)})
                return
            await self._answer(call, receive, exchange)
        except Cancelled:
            exchange.status = 499
        except ChittyError as error:
            await exchange.error(error)
        except Exception as error:
            self._telemetry.bug(error, exchange.request_id)
            await exchange.error(
                ChittyError("Something broke inside ChittyCan; its log has the details.", code="internal_error")
            )
        finally:
            if call is not None:
                self._telemetry.request(call, exchange.trace, exchange.status, self._clock.monotonic() - call.started)

    async def _call(self, scope: Scope, receive: Receive, request_id: str) -> Call:
        started = self._clock.monotonic()
        surface, operation = ROUTES[scope["path"]]
        headers: dict[bytes, bytes] = dict(scope["headers"])
        key = self._guard.admit(headers)
        _allow_route(key, surface if operation == "chat" else operation)
        body = await read_body(headers, receive)
        fields = await parse_body(body)
        model = fields.get("model")
        if not isinstance(model, str) or not model:
            raise InvalidRequest("`model` must name a model.", param="model", fix="GET /v1/models lists them.")
        stream = fields.get("stream")
        if stream is not None and not isinstance(stream, bool):
            raise InvalidRequest("`stream` must be true or false.", param="stream")
        has_options = "chitty" in fields or any(name.startswith(b"x-chitty-") for name in headers)
        forward = tuple(
            (name.decode("latin-1"), headers[name].decode("latin-1"))
            for name in FORWARDED.get(surface, ())
            if name in headers
        )
        return Call(
            request_id=request_id, model=model, stream=bool(stream) and operation == "chat", surface=surface,
            operation=operation, options=options_of(headers, fields) if has_options else NO_OPTIONS, key=key, body=body,
            fields=fields, forward=forward, at=self._clock.now(), started=started,
        )  # fmt: skip

    async def _answer(self, call: Call, receive: Receive, exchange: "Exchange") -> None:
        """Serves the call, and stops it within moments of the client leaving."""
        work = asyncio.current_task()
        assert work is not None
        left = False

        async def watch() -> None:
            nonlocal left
            while (await receive())["type"] != "http.disconnect":
                pass
            left = True
            work.cancel()

        watcher = asyncio.get_running_loop().create_task(watch())
        try:
            if call.stream:
                await self._stream(call, exchange)
            else:
                reply = await self._gateway.complete(call)
                exchange.trace = reply.trace
                await exchange.whole(reply.body, reply.trace)
        except asyncio.CancelledError:
            if not left:
                raise
            work.uncancel()
            raise Cancelled("The client left.") from None
        finally:
            watcher.cancel()

    async def _stream(self, call: Call, exchange: "Exchange") -> None:
        opening = asyncio.get_running_loop().create_task(self._gateway.open(call))
        stream: OpenStream | None = None
        try:
            done, _ = await asyncio.wait((opening,), timeout=HOLD_SECONDS)
            if not done:
                await exchange.start_stream(None)
                while not done:
                    await exchange.chunk(KEEPALIVE)
                    done, _ = await asyncio.wait((opening,), timeout=HOLD_SECONDS)
            try:
                stream = opening.result()
            except ChittyError as error:
                if not exchange.started:
                    raise
                await exchange.chunk(_in_band(call, error))
                await exchange.end(error)
                return
            exchange.trace = stream.trace
            if not exchange.started:
                await exchange.start_stream(stream.trace)
            chunks = stream.chunks()
            try:
                async for chunk in chunks:
                    await exchange.chunk(chunk)
            finally:
                await chunks.aclose()
            exchange.trace = stream.trace
            await exchange.end()
        finally:
            if not opening.done():
                opening.cancel()
            elif stream is None and not opening.cancelled() and opening.exception() is None:
                opening.result().close()


def _in_band(call: Call, error: ChittyError) -> bytes:
    builder = load(call.surface or "openai").stream_builder(call.request_id, call.model, int(call.at), False)
    failure: bytes = builder.fail(error)
    return failure


def _allow_route(key: Key | None, route: str) -> None:
    if key is not None and key.routes is not None and route not in key.routes:
        raise Forbidden(f"This key may not use the route '{route}'.", code="route_not_allowed")


class Exchange:
    """One HTTP answer: what was sent so far, and the means to send the rest."""

    __slots__ = ("_send", "request_id", "started", "status", "surface", "trace")

    def __init__(self, send: Send, surface: str, request_id: str) -> None:
        self._send, self.surface, self.request_id = send, surface, request_id
        self.started = False
        self.status = 0
        self.trace: Trace | None = None

    async def whole(self, body: bytes, trace: Trace) -> None:
        headers = [JSON, (b"content-length", str(len(body)).encode()), *trace_headers(trace)]
        if trace.cost_nano is not None:
            headers.append((b"x-chitty-cost-usd", f"{trace.cost_nano / 1e9:.9f}".rstrip("0").rstrip(".").encode()))
        await self._start(200, headers)
        await self._send({"type": "http.response.body", "body": body})

    async def json(self, status: int, content: Any, extra: list[tuple[bytes, bytes]] | None = None) -> None:
        body = content if isinstance(content, bytes) else msgspec.json.encode(content)
        headers = [JSON, (b"content-length", str(len(body)).encode()), *(extra or [])]
        headers.append((b"x-chitty-request-id", self.request_id.encode()))
        await self._start(status, headers)
        await self._send({"type": "http.response.body", "body": body})

    async def error(self, error: ChittyError) -> None:
        """Before anything was sent: a real status. After: the stream has already said it."""
        if not self.started:
            await self.json(status_of(error), body_of(error, self.surface), headers_of(error))

    async def start_stream(self, trace: Trace | None) -> None:
        headers = [SSE, (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        headers += trace_headers(trace) if trace else [(b"x-chitty-request-id", self.request_id.encode())]
        await self._start(200, headers)

    async def chunk(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, error: ChittyError | None = None) -> None:
        if error is not None:
            self.status = status_of(error)
        await self._send({"type": "http.response.body", "body": b""})

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.started, self.status = True, status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})


def trace_headers(trace: Trace) -> list[tuple[bytes, bytes]]:
    """`x-chitty-*`: who served, after how many tries, and how much of the time was ours."""
    overhead = max(0.0, trace.ms - trace.upstream_ms)
    return [
        (b"x-chitty-request-id", trace.request_id.encode()),
        (b"x-chitty-served-by", trace.model.encode("latin-1", "replace")),
        (b"x-chitty-attempts", str(trace.attempts).encode()),
        (b"x-chitty-fallbacks", str(trace.fallbacks).encode()),
        (b"x-chitty-overhead-ms", f"{overhead:.2f}".encode()),
        (b"x-chitty-cache", b"hit" if trace.cached else b"miss"),
        (b"x-chitty-route", trace.route.encode("latin-1", "replace")),
        *([(b"x-chitty-label", trace.label.encode())] if trace.label != "public" else []),
    ]
