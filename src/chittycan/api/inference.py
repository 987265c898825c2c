"""The hot path's front door: one pass from the request's bytes to the answer's.

Every surface is a row of `ROUTES`. Answers and errors are in the surface's own dialect; the headers
`x-chitty-*` say what a call took.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import lru_cache

import msgspec

from chittycan.api.guard import Guard
from chittycan.api.http import Lines, Responder
from chittycan.api.http_request import Request
from chittycan.api.request import OFF_LOOP, keeps_answering, read_body, read_off_loop
from chittycan.api.status import body_of, headers_of
from chittycan.auth.keys import Key
from chittycan.chat import Json
from chittycan.clock import Clock
from chittycan.dialects import load
from chittycan.dialects.status import status_of
from chittycan.dialects.tokens import estimate_tokens
from chittycan.errors import ChittyError, InvalidRequest
from chittycan.gateway.call import NO_OPTIONS, Call, Reply, Trace
from chittycan.gateway.open_stream import OpenStream
from chittycan.gateway.options import allow_kind, allow_route, options_of, webhook_of
from chittycan.gateway.prompts import complete_each
from chittycan.gateway.service import Gateway, new_request_id
from chittycan.telemetry import Telemetry

HOLD_SECONDS = 10.0  # how long a stream's headers wait for content
KEEPALIVE = b": keepalive\n\n"
JSON = (b"content-type", b"application/json")
STREAMING = b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"
UNSAFE = re.compile(r"[\x00-\x1f\x7f]")  # what could end a header line

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
    """Serves every path in `ROUTES`, POST only."""

    def __init__(self, gateway: Gateway, guard: Guard, telemetry: Telemetry, clock: Clock) -> None:
        self._gateway, self._guard, self._telemetry, self._clock = gateway, guard, telemetry, clock
        self.ahead: dict[str, Ahead] = {}  # by surface

    async def __call__(self, request: Request, responder: Responder) -> None:
        surface, operation = ROUTES[request.path]
        exchange = Exchange(responder, surface, new_request_id(self._clock), self._clock.monotonic())
        call: Call | None = None
        try:
            key = self._guard.admit(request.headers)
            allow_route(key, surface if operation == "chat" else operation)
            body = request.body
            fields = read_body(request.headers, body) if len(body) <= OFF_LOOP else await read_off_loop(request)
            call = self._call(request, fields, key, exchange)
            if operation == "count_tokens":
                exchange.json(200, msgspec.json.encode({"input_tokens": estimate_tokens(call.chat)}))
            elif surface in self.ahead and await self.ahead[surface](call, exchange):
                pass
            elif call.stream:
                await self._stream(call, exchange)
            else:
                exchange.whole(await complete_each(self._gateway, call))
        except ChittyError as error:
            exchange.error(error)
        except asyncio.CancelledError:
            exchange.status = 499
            raise
        except Exception as error:
            self._telemetry.bug(error, exchange.request_id)
            exchange.error(ChittyError("Something broke inside ChittyCan; its log says where.", code="internal_error"))
        finally:
            if call is not None:
                self._telemetry.request(call, exchange.trace, exchange.status, self._clock.monotonic() - call.started)

    def _call(self, request: Request, fields: Json, key: Key | None, exchange: "Exchange") -> Call:
        headers = request.headers
        surface, operation = ROUTES[request.path]
        model = fields.get("model")
        if not isinstance(model, str) or not model:
            raise InvalidRequest("`model` must name a model.", param="model", fix="GET /v1/models lists them.")
        stream = fields.get("stream")
        if stream is not None and not isinstance(stream, bool):
            raise InvalidRequest("`stream` must be true or false.", param="stream")
        has_options = request.chitty or "chitty" in fields
        options = options_of(headers, fields) if has_options else NO_OPTIONS
        allow_kind(key, options.kind)
        call = Call(
            exchange.request_id, model, bool(stream) and operation == "chat", surface, operation, options, key,
            request.body, fields, _forwarded(surface, headers), self._clock.now(), exchange.began,
        )  # fmt: skip
        if has_options:
            call.keep_answering, call.webhook = keeps_answering(key, headers), webhook_of(headers, fields)
        return call

    async def _stream(self, call: Call, exchange: "Exchange") -> None:
        opening = asyncio.get_running_loop().create_task(self._gateway.open(call))
        stream: OpenStream | None = None
        try:
            done, _ = await asyncio.wait((opening,), timeout=HOLD_SECONDS)
            if not done:
                exchange.start_stream(None)
                while not done:
                    await exchange.responder.chunk(KEEPALIVE)
                    done, _ = await asyncio.wait((opening,), timeout=HOLD_SECONDS)
            try:
                stream = opening.result()
            except ChittyError as error:
                if not exchange.started:
                    raise
                await exchange.responder.chunk(_in_band(call, error))
                exchange.end(error)
                return
            exchange.trace = stream.trace
            if not exchange.started:
                exchange.start_stream(stream.trace)
            async with aclosing(stream.chunks()) as chunks:
                async for chunk in chunks:
                    await exchange.responder.chunk(chunk)
            exchange.trace = stream.trace
            exchange.end()
        finally:
            if not opening.done():
                opening.cancel()
            elif stream is None and not opening.cancelled() and opening.exception() is None:
                opening.result().close()


def _in_band(call: Call, error: ChittyError) -> bytes:
    builder = load(call.surface or "openai").stream_builder(call.request_id, call.model, int(call.at), False)
    failure: bytes = builder.fail(error)
    return failure


def _forwarded(surface: str, headers: dict[bytes, bytes]) -> tuple[tuple[str, str], ...]:
    names = FORWARDED.get(surface, ())
    if headers.keys().isdisjoint(names):
        return ()
    return tuple((name.decode(), headers[name].decode("latin-1")) for name in names if name in headers)


# Sees a call before the gateway does, and may change it. True: it has answered it.
Ahead = Callable[[Call, "Exchange"], Awaitable[bool]]


class Exchange:
    """One answer on its way: what was sent so far, and the headers that tell what it took."""

    __slots__ = ("began", "request_id", "responder", "status", "surface", "trace")

    def __init__(self, responder: Responder, surface: str, request_id: str, began: float) -> None:
        """`began`: monotonic seconds."""
        self.responder, self.surface, self.request_id, self.began = responder, surface, request_id, began
        self.status = 0
        self.trace: Trace | None = None

    @property
    def started(self) -> bool:
        return self.responder.started

    def whole(self, reply: Reply) -> None:
        self.status, self.trace = 200, reply.trace
        lines = trace_lines(reply.trace)
        lines.append(b"content-type: application/json\r\n")
        if reply.trace.cost_nano is not None:
            lines.append(b"x-chitty-cost-usd: %.9f\r\n" % (reply.trace.cost_nano / 1e9))
        self.responder.whole(200, lines, reply.body)

    def json(self, status: int, body: bytes, extra: list[tuple[bytes, bytes]] | None = None) -> None:
        self.status = status
        self.responder.whole(status, [JSON, (b"x-chitty-request-id", self.request_id.encode()), *(extra or [])], body)

    def error(self, error: ChittyError) -> None:
        """Before anything was sent: a real status. After: the stream has already said it."""
        self.status = status_of(error)
        if not self.started:
            self.json(self.status, body_of(error, self.surface), headers_of(error))

    def start_stream(self, trace: Trace | None) -> None:
        self.status = 200
        lines = trace_lines(trace) if trace else Lines((b"x-chitty-request-id: %b\r\n" % self.request_id.encode(),))
        lines.append(STREAMING)
        self.responder.start(200, lines)

    def end(self, error: ChittyError | None = None) -> None:
        if error is not None:
            self.status = status_of(error)
        self.responder.end()


def trace_lines(trace: Trace) -> Lines:
    """`x-chitty-*`: who served, after how many tries, and how much of the time was ours."""
    overhead = max(0.0, trace.ms - trace.upstream_ms)
    varying = b"x-chitty-request-id: %b\r\nx-chitty-overhead-ms: %.2f\r\n" % (trace.request_id.encode(), overhead)
    steady = _steady(trace.model, trace.attempts, trace.fallbacks, trace.cached, trace.route, trace.label)
    if trace.hedged:
        varying += b"x-chitty-hedged: %d\r\n" % trace.hedged
    return Lines((steady, varying))


@lru_cache(4096)
def _steady(model: str, attempts: int, fallbacks: int, cached: bool, route: str, label: str) -> bytes:
    """The lines that are the same for most calls of a model."""
    lines = {
        "served-by": model,
        "attempts": attempts,
        "fallbacks": fallbacks,
        "cache": "hit" if cached else "miss",
        "route": route,
    }
    if label != "public":
        lines["label"] = label
    safe = ((name, UNSAFE.sub("?", str(value))) for name, value in lines.items())
    return "".join(f"x-chitty-{name}: {value}\r\n" for name, value in safe).encode("latin-1", "replace")
