"""A session over HTTP: the inference API in OpenAI's dialect, and the operations of the control API."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from chittycan import errors
from chittycan.chat import ChatEvent, ChatRequest, Failed, Json, Usage, UsageReported, collect
from chittycan.control.operation import Operation
from chittycan.dialects import load
from chittycan.dialects.sse import Splitter
from chittycan.gateway.call import Answer, Options, Trace
from chittycan.providers.connection import TransportError
from chittycan.providers.transport import Response, Transport

if TYPE_CHECKING:
    from chittycan.durable import Durable
    from chittycan.store.database import Database
    from chittycan.workstreams.events import Audience

T = TypeVar("T")
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 660.0  # the gateway gives a call up after 600
JSON_HEADERS = b"accept: application/json\r\ncontent-type: application/json\r\n"
LIMIT = 64 << 20  # bytes of one answer

# What an error's code says about its class. The classes that share a code are told apart below.
CLASSES: dict[str, type[errors.ChittyError]] = {
    kind.code: kind
    for kind in (
        errors.InvalidRequest, errors.RequestTooLarge, errors.UnknownModel, errors.NotFound, errors.Unauthenticated,
        errors.Forbidden, errors.NoPrivateModel, errors.BudgetExceeded, errors.RateLimited, errors.UsageError,
        errors.CredentialsExhausted, errors.AllCooling, errors.UpstreamTimeout, errors.AllFailed, errors.StreamBroken,
        errors.Unavailable, errors.VersionConflict,
    )
}  # fmt: skip


class Found(Struct, frozen=True):
    """A server that answers. `credential`: what to send it; `owner`: it is this machine's own."""

    url: str
    version: str
    credential: str | None
    owner: bool


class RemoteSession:
    """A server of ours, on this machine or another.

    `database_url`: this machine's own database; `listeners`: whom its owner wants told of an event.
    """

    def __init__(self, server: Found, database_url: str | None = None, listeners: "Audience | None" = None) -> None:
        self.url: str | None = server.url
        self._server, self._database_url, self._listeners = server, database_url, listeners
        self._transport = Transport()
        self._origin = self._transport.origin(server.url)

    def close(self) -> None:
        self._transport.close()

    async def ask(self, chat: ChatRequest, options: Options) -> Answer:
        stream = await self.stream(chat, options)
        events = [event async for event in stream.events()]
        return Answer(response=collect(events), trace=stream.trace)

    async def stream(self, chat: ChatRequest, options: Options) -> "RemoteStream":
        body: Json = load("openai").build_request(msgspec.structs.replace(chat, stream=True, include_usage=True))
        if wanted := _options(options):
            body["chitty"] = wanted
        extra = {"x-chitty-keep-answering": "true"} if self._server.owner else {}
        seconds = (options.timeout or 0) + ANSWER_SECONDS
        response = await self._send("POST", "/v1/chat/completions", body, seconds, extra)
        return RemoteStream(self, response)

    async def call(self, operation: Operation[T], **given: Any) -> T:
        target = operation.target(given)
        response = await self._send(
            operation.method, f"/api/v1{target.path}", target.body, operation.seconds, target.headers
        )
        content = await _whole(response)
        result: Any = msgspec.json.decode(content, type=operation.returns) if content else None
        return result  # type: ignore[no-any-return]

    async def work(self) -> None:
        """The server's own workers do it."""

    @property
    def here(self) -> bool:
        return self._server.owner and self._database_url is not None

    @asynccontextmanager
    async def durable(self) -> "AsyncIterator[Durable]":
        """Durable work on the database that this server and this command share."""
        from chittycan.clock import SystemClock
        from chittycan.durable import Durable

        async with self.database() as database:
            durable = Durable(database, SystemClock())
            if self._listeners is not None:
                durable.recorder.audience = self._listeners
            try:
                yield durable
            finally:
                await durable.close()

    @asynccontextmanager
    async def database(self) -> "AsyncIterator[Database]":
        """The database that this server and this command share: `auth.admin.proof` covers its URL."""
        from chittycan.store.database import Database

        if not self._server.owner or self._database_url is None:
            raise errors.Unavailable(
                f"The state of {self.url} can only be worked on at its own machine.",
                fix="Run the command there; or take baseUrl out of config.json, to work on this machine.",
            )
        database = Database(self._database_url)
        try:
            yield database
        finally:
            database.close()

    async def usage(self, trace: Trace) -> Trace:
        """The trace with what only the ledger knows of a stream; as it was where the ledger cannot be read."""
        from chittycan.control.usage import of_request

        try:
            found = await self.call(of_request, request_id=trace.request_id)
        except errors.ChittyError:
            return trace
        cost = None if found.cost_usd is None else round(found.cost_usd * 1e9)
        trace.model, trace.provider, trace.embedded = found.model or trace.model, found.provider, found.embedded
        trace.cost_nano, trace.ms, trace.first_token_ms = cost, found.ms, found.first_token_ms
        trace.route = trace.route or found.decision or ""  # a stream that is late begins before anybody has answered
        tried = {each.model for each in found.attempts if each.outcome != "hedged"}
        trace.fallbacks = trace.fallbacks or max(len(tried) - 1, 0)
        trace.usage = trace.usage or Usage(input=found.input, output=found.output, cached=found.cached)
        return trace

    async def _send(
        self, method: str, path: str, body: Json | None, seconds: float, extra: Mapping[str, str] | None = None
    ) -> Response:
        """A response with a good status. Raises the error that the server answered, or Unavailable."""
        headers = {"content-type": "application/json", "user-agent": "can", **(extra or {})}
        if self._server.credential is not None:
            headers["authorization"] = f"Bearer {self._server.credential}"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1", "replace")
        content = msgspec.json.encode(body) if body is not None else b""
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            response = await self._transport.send(
                self._origin, method, path, lines, content, connect_timeout=CONNECT_SECONDS, deadline=deadline
            )
            if 200 <= response.status < 300:
                return response
            raise error_of(response.status, await _whole(response), response.headers)
        except TransportError as error:
            raise _lost(self._server.url) from error


class RemoteStream:
    """An answer as the server sends it."""

    def __init__(self, session: RemoteSession, response: Response) -> None:
        self._session, self._response = session, response
        said = response.headers
        self.trace = Trace(
            request_id=said.get("x-chitty-request-id", ""), model=said.get("x-chitty-served-by", ""),
            route=said.get("x-chitty-route", ""), label=said.get("x-chitty-label", "public"),
            attempts=int(said.get("x-chitty-attempts", 0)), fallbacks=int(said.get("x-chitty-fallbacks", 0)),
            cached=said.get("x-chitty-cache") == "hit",
        )  # fmt: skip

    async def events(self) -> AsyncGenerator[ChatEvent]:
        parser, splitter = load("openai").stream_parser(), Splitter()
        try:
            while data := await self._response.read():
                for event in self._parsed(parser, splitter.feed(data)):
                    yield event
            for event in self._parsed(parser, splitter.close()):
                yield event
        except TransportError as error:
            raise _lost(str(self._session.url)) from error
        finally:
            self._response.close()
        self.trace = await self._session.usage(self.trace)

    def _parsed(self, parser: Any, found: list[Any]) -> list[ChatEvent]:
        events: list[ChatEvent] = []
        for each in found:
            if each.comment:
                continue
            for event in parser.feed(each.event, each.data):
                if isinstance(event, Failed):
                    raise _failed_inside(event)
                if isinstance(event, UsageReported):
                    self.trace.usage = event.usage
                events.append(event)
        return events


async def exchange(method: str, url: str, body: Json | None, seconds: float) -> Json | None:
    """The JSON object at an address, None where nothing of that kind answers in time. Sends no credential."""
    transport, parts = Transport(), urlsplit(url)
    content = msgspec.json.encode(body) if body is not None else b""
    try:
        async with asyncio.timeout(seconds):
            origin = transport.origin(f"{parts.scheme}://{parts.netloc}{parts.path.rpartition('/')[0]}")
            path = f"/{parts.path.rpartition('/')[2]}?{parts.query}".removesuffix("?")
            response = await transport.send(
                origin, method, path, JSON_HEADERS, content, connect_timeout=seconds, deadline=None
            )
            answer = await response.body(limit=1 << 20)
            response.close()
            found = msgspec.json.decode(answer) if response.status == 200 else None
    except (TransportError, TimeoutError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    finally:
        transport.close()
    return found if isinstance(found, dict) else None


def error_of(status: int, body: bytes, headers: Mapping[str, str]) -> errors.ChittyError:
    """The error that our server answered, as the class that it was there."""
    try:
        said = msgspec.json.decode(body)["error"]
        message, code, attempts = str(said["message"]), said.get("code"), said.get("attempts") or []
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return errors.Unavailable(f"The server answered {status}, without a readable error.")
    fix, after = said.get("fix"), headers.get("retry-after")
    kind = errors.AllRateLimited if status == 429 and attempts else CLASSES.get(str(code))
    if kind is None and attempts:
        return errors.UpstreamRefused(message, status=status, kind=said.get("type"), code=code, attempts=attempts)
    kind = kind or errors.ChittyError
    error = kind(message, fix=fix)
    if code:
        error.code = str(code)
    for name, value in (("attempts", attempts), ("param", said.get("param"))):
        if hasattr(error, name):
            setattr(error, name, value)
    if hasattr(error, "retry_after") and after and after.isdigit():
        error.retry_after = float(after)
    return error


def _failed_inside(event: Failed) -> errors.ChittyError:
    kind = CLASSES.get(event.code or "", errors.StreamBroken)
    return kind(event.message)


def _lost(url: str) -> errors.Unavailable:
    return errors.Unavailable(f"The server at {url} stopped answering.", fix="Is it still running? can doctor")


async def _whole(response: Response) -> bytes:
    try:
        return await response.body(limit=LIMIT)
    finally:
        response.close()


def _options(options: Options) -> Json:
    """The options as the body field `chitty` says them."""
    given = {
        "kind": options.kind, "session": options.session, "task": options.task, "region": options.region,
        "private": options.private or None, "models": list(options.models) or None, "timeout": options.timeout,
        "max_cost_usd": None if options.max_cost_nano is None else options.max_cost_nano / 1e9, "cache": options.cache,
        "recall": options.recall, "record": options.record, "redact": options.redact,
    }  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}
