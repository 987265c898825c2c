"""One try of one call at one model with one key: build, send, read, and say what went wrong.

Every failure leaves here as `AttemptFailed` with its row of the failure table; nothing of a failed
attempt reaches the client.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from chittycan.catalogue import Provider, Secret, Timeouts
from chittycan.chat import ChatResponse, Failed, Json, Usage
from chittycan.clock import Clock
from chittycan.dialects import load
from chittycan.dialects.names import restore_response
from chittycan.errors import ChittyError, UpstreamRefused
from chittycan.gateway.call import Call
from chittycan.gateway.facts import input_tokens, max_tokens
from chittycan.gateway.translate import own_tool_names, passes_through, request_body
from chittycan.providers.connection import ConnectFailed, ConnectionCut, TimedOut
from chittycan.providers.transport import Response, Transport
from chittycan.routing.decide import Candidate
from chittycan.routing.failure import Failure, classify, retry_after

FIRST_TOKEN_SECONDS = 14.0  # where another model could serve
TOKENS_PER_SECOND = 20.0  # the slowest pace at which a non-streamed answer is still expected
DEFAULT_TOKENS = 1024  # taken for an answer whose request sets no limit
TIMER_SLACK = 0.002  # uvloop counts in whole milliseconds: its timers may fire a little early
ERROR_BODY_SECONDS = 5.0  # for the body of a refusal; its status has come already
NO_STATUS = 0
MAKES_NONE = frozenset({403, 404, 405, 501})  # how a provider says that a model makes no embeddings
USER_AGENT = "chittycan"


class AttemptFailed(Exception):
    """`by_caller`: the caller's own doing (its tiny timeout), which must not count against the model."""

    def __init__(
        self, failure: Failure, failed: Failed, *, retry_after: float | None = None, by_caller: bool = False
    ) -> None:
        super().__init__(failure)
        self.failure, self.failed, self.retry_after, self.by_caller = failure, failed, retry_after, by_caller

    @classmethod
    def here(cls, failure: Failure, status: int, message: str, by_caller: bool = False) -> "AttemptFailed":
        """A failure that no provider told us about but that we saw ourselves."""
        return cls(failure, Failed(status, None, None, message), by_caller=by_caller)


class Whole(Struct):
    """A whole answer as the provider sent it; `response` is None where only its usage was read."""

    body: bytes
    candidate: Candidate
    usage: Usage | None
    response: ChatResponse | None = None


class Deadlines(Struct, frozen=True):
    """Loop times. `caller` says that the total is the caller's own and shorter than the provider's."""

    first: float | None
    total: float
    idle: float
    by_caller: bool

    def cut_short(self, now: float) -> bool:
        return self.by_caller and now >= self.total - TIMER_SLACK


class Line:
    """The way to providers: transport, prepared headers, and what was learnt about each provider."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self.transport = transport
        self.clock = clock
        self._heads: dict[tuple[str, str | None, bool], bytes] = {}
        self._no_stream_options: set[str] = set()

    def forget(self) -> None:
        """The configuration changed: prepared headers are stale."""
        self._heads.clear()
        self._no_stream_options.clear()

    async def post(
        self, call: Call, candidate: Candidate, key: Secret | None, endpoint: str, deadlines: Deadlines
    ) -> Response:
        """Sends the call and returns a response with a good status. Raises AttemptFailed, or InvalidRequest
        where this provider's dialect cannot express the request."""
        provider, dialect = candidate.provider, load(candidate.provider.dialect)
        body = request_body(call, candidate, self._may_ask_usage(provider))
        path = "/embeddings" if call.operation == "embeddings" else dialect.path(candidate.model.upstream, call.stream)
        headers = self._headers(provider, key, call)
        try:
            origin = self.transport.origin(endpoint, provider.http_proxy, provider.ca_file)
            response = await self.transport.send(
                origin, "POST", path, headers, body,
                connect_timeout=provider.timeouts.connect, deadline=deadlines.first or deadlines.total,
            )  # fmt: skip
        except (ConnectFailed, ConnectionCut, TimedOut) as error:
            raise translate(error, deadlines) from error
        if 200 <= response.status < 300:
            return response
        failure = await self._refused(response, dialect, deadlines)
        if call.operation == "embeddings" and not candidate.model.embeddings and response.status in MAKES_NONE:
            failure.failure = Failure.CALLER_FAULT  # it says nothing of its key, nor of how it chats
        if self._dislikes_stream_options(call, provider, failure):
            return await self.post(call, candidate, key, endpoint, deadlines)
        raise failure

    async def _refused(self, response: Response, dialect: Any, deadlines: Deadlines) -> AttemptFailed:
        try:
            patience = asyncio.get_running_loop().time() + ERROR_BODY_SECONDS
            body = await response.body(min(deadlines.total, patience), limit=1 << 20)
        except (ConnectionCut, TimedOut):
            body = b""
        finally:
            response.close()
        failed: Failed = dialect.parse_error(response.status, body)
        wait = retry_after(response.headers, self.clock.now()) or failed.retry_after
        return AttemptFailed(classify(failed), failed, retry_after=wait)

    def _dislikes_stream_options(self, call: Call, provider: Provider, failure: AttemptFailed) -> bool:
        """Some compatible servers refuse the field; it is then left out for this provider from now on."""
        if provider.dialect != "openai" or not call.stream or provider.name in self._no_stream_options:
            return False
        if failure.failure is Failure.CALLER_FAULT and "stream_options" in failure.failed.message:
            self._no_stream_options.add(provider.name)
            return True
        return False

    def _may_ask_usage(self, provider: Provider) -> bool:
        return provider.stream_usage and provider.name not in self._no_stream_options

    def _headers(self, provider: Provider, key: Secret | None, call: Call) -> bytes:
        place = (provider.name, key.value if key else None, call.stream)
        head = self._heads.get(place)
        if head is None:
            head = self._heads[place] = _head(provider, key, call.stream)
        if call.forward and call.surface == provider.dialect:
            given = {name.lower() for name in provider.headers}
            head += _lines({name: value for name, value in call.forward if name not in given})
        return head


def _head(provider: Provider, key: Secret | None, stream: bool) -> bytes:
    headers: dict[str, str] = {
        "content-type": "application/json",
        "accept": "text/event-stream" if stream else "application/json",
        "accept-encoding": "identity",
        "user-agent": USER_AGENT,
    }
    if key is not None or not provider.needs_key:
        headers.update(load(provider.dialect).auth_headers(key.value if key else "none"))
    headers.update({name.lower(): value for name, value in provider.headers.items()})
    return _lines(headers)


def _lines(headers: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1", "replace")


def deadlines(call: Call, timeouts: Timeouts, now: float, alone: bool, left: float) -> Deadlines:
    """When this attempt is given up. `left`: seconds of the whole call; `alone`: nobody else could serve.

    A non-streamed answer sends its first byte with its last token, so its tokens get their time too.
    """
    total, by_caller = timeouts.total, False
    if left < total:
        total, by_caller = left, True
    first = timeouts.first_token if timeouts.first_token is not None else (None if alone else FIRST_TOKEN_SECONDS)
    if first is not None and not call.stream and timeouts.first_token is None:
        first += (max_tokens(call) or DEFAULT_TOKENS) / TOKENS_PER_SECOND
    if first is not None:
        first = now + (first if first < total else total)
    return Deadlines(first, now + total, timeouts.idle, by_caller)


def output_limit(call: Call) -> int:
    """The most tokens that this call is expected to write, in all of its answers, for its reservation."""
    if call.operation == "embeddings":
        return 0
    several = call.fields.get("n") if call.parsed is None else call.parsed.n
    limit = max_tokens(call) or DEFAULT_TOKENS
    return limit * several if type(several) is int and several > 1 else limit


def translate(error: Exception, limits: Deadlines) -> AttemptFailed:
    """A transport error as a row of the failure table."""
    if isinstance(error, TimedOut):
        by_caller = limits.cut_short(asyncio.get_running_loop().time())
        return AttemptFailed.here(Failure.SILENT, 504, f"no answer in time ({error.stage})", by_caller)
    return AttemptFailed.here(Failure.TRANSIENT, 502, "the provider could not be reached or broke off")


def read_json(body: bytes, dialect: Any) -> Json:
    """A good-status body as JSON. Raises AttemptFailed for HTML, an empty body, or an error in disguise."""
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AttemptFailed.here(Failure.TRANSIENT, 502, "the provider's answer is not JSON") from error
    if not isinstance(fields, dict):
        raise AttemptFailed.here(Failure.TRANSIENT, 502, "the provider's answer is not a JSON object")
    if fields.get("error"):
        raise _in_disguise(fields["error"], body, dialect)
    return fields


def _in_disguise(error: Any, body: bytes, dialect: Any) -> AttemptFailed:
    """An error under a good status: its own code counts, else its words alone."""
    code = error.get("code") if isinstance(error, dict) else None
    failed: Failed = dialect.parse_error(code if isinstance(code, int) and 400 <= code < 600 else NO_STATUS, body)
    failure = classify(failed)
    failed.status = failed.status or 502
    return AttemptFailed(failure, failed)


# Dialects that can tell a plainly good answer at a glance.
QUICK = frozenset({"openai", "openai_responses", "anthropic"})


def read_whole(body: bytes, candidate: Candidate, call: Call) -> Whole:
    """A whole answer understood. One that cannot be read is the provider's failure, not the caller's."""
    dialect = load(candidate.provider.dialect)
    if call.surface in QUICK and passes_through(call, candidate):
        usage = dialect.quick_usage(body)
        if usage is not None and usage.believable:
            return Whole(body, candidate, usage)
    fields = read_json(body, dialect)
    if call.operation == "embeddings":
        return Whole(body, candidate, _embedding_usage(fields.get("usage")) or Usage(input=input_tokens(call)))
    try:
        response: ChatResponse = dialect.parse_response(fields)
    except UpstreamRefused as error:
        failed = Failed(error.status, error.kind, error.code, error.message)
        raise AttemptFailed(classify(failed), failed) from error
    except (ChittyError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise AttemptFailed.here(Failure.TRANSIENT, 502, "the provider's answer cannot be read") from error
    if not response.parts and response.stop_reason is None:
        raise AttemptFailed.here(Failure.TRANSIENT, 502, "the provider's answer says nothing at all")
    names = own_tool_names(call, candidate)
    usage = response.usage
    if usage is None or not usage.believable or (response.text and not usage.output):
        usage = Usage(input=input_tokens(call), output=max(1, len(response.text) // 4))
    return Whole(body, candidate, usage, restore_response(response, names) if names else response)


def _embedding_usage(given: Any) -> Usage | None:
    tokens = given.get("prompt_tokens") if isinstance(given, dict) else None
    usage = Usage(input=tokens) if type(tokens) is int else None
    return usage if usage is not None and usage.believable else None


async def explain_json(response: Response, dialect: Any, limits: Deadlines) -> None:
    """A stream was asked for and JSON came: an error in disguise, or a server that cannot stream. Always raises."""
    try:
        body = await response.body(limits.total, limit=1 << 20)
    except (ConnectionCut, TimedOut) as error:
        raise translate(error, limits) from error
    finally:
        response.close()
    read_json(body, dialect)
    raise AttemptFailed.here(Failure.TRANSIENT, 502, "the provider did not stream")
