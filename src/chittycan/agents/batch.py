"""Lines of a batch meet the gateway: each is a call in its own dialect, and comes back as a line of a result file.

Sources: OpenAI's Batch API (https://platform.openai.com/docs/guides/batch) and Anthropic's Message Batches
(https://docs.claude.com/en/docs/build-with-claude/batch-processing).
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from chittycan.auth.keys import Key
from chittycan.clock import Clock
from chittycan.dialects import load
from chittycan.dialects.status import status_of
from chittycan.dialects.wire import read_json
from chittycan.errors import (
    AllCooling,
    AllFailed,
    AllRateLimited,
    ChittyError,
    InvalidRequest,
    ProviderError,
    RateLimited,
    Unavailable,
    UpstreamRefused,
    UpstreamTimeout,
)
from chittycan.gateway.call import Call, Options, Reply
from chittycan.gateway.options import allow_kind, allow_route, options_of
from chittycan.workstreams.batch import Answered, Batch, Elsewhere, Line, Reason, Unserved

OFF_LOOP = 256 << 10  # bytes; larger bodies are parsed on a thread
# endpoint → (surface, operation)
SURFACES = {
    "/v1/chat/completions": ("openai", "chat"),
    "/v1/responses": ("openai_responses", "chat"),
    "/v1/completions": ("openai_completions", "chat"),
    "/v1/embeddings": ("openai", "embeddings"),
    "/v1/messages": ("anthropic", "chat"),
}
# Classes of failure that pass (`routing.failure`): those that concern every request to a model, and those that may.
RESTING, PASSING = {"rate_limit", "quota"}, {"transient", "silent", "truncated"}
UNASKED: dict[Reason, tuple[str, str, str]] = {  # OpenAI's code and message, Anthropic's type
    "expired": (
        "batch_expired", "This request could not be executed before the completion window expired.", "expired",
    ),
    "cancelled": ("batch_cancelled", "This request was not executed: the batch was cancelled.", "canceled"),
}  # fmt: skip


class Gateway(Protocol):
    async def __call__(self, call: Call) -> Reply: ...


class Named(Struct):
    model: str = ""


_named = msgspec.json.Decoder(Named).decode


class BatchClerk:
    """Satisfies `workstreams.batch.Clerk`. `complete` gives a whole answer; `key_of` finds a key by its id, and raises
    AccessError where it may not be used any more; `new_id` makes ids of requests; `ruled` gives a call what the owner's
    rules say of it; `regions` are those that this process is in."""

    def __init__(
        self,
        complete: Gateway,
        key_of: Callable[[str], Awaitable[Key]],
        new_id: Callable[[], str],
        clock: Clock,
        ruled: Callable[[Call], None],
        regions: Callable[[], Collection[str]],
    ) -> None:
        self._complete, self._key_of, self._new_id, self._clock = complete, key_of, new_id, clock
        self._ruled, self._regions = ruled, regions

    def model(self, line: Line) -> str:
        try:
            return _named(line.body).model
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ""

    async def answer(self, batch: Batch, line: Line) -> Answered | Unserved | Elsewhere:
        request_id = self._new_id()
        try:
            call = await self._call(batch, line, request_id)
            self._ruled(call)
            region = call.options.region
            if region is not None and region != batch.region and region not in self._regions():
                return Elsewhere(region)
            reply = await self._complete(call)
        except ChittyError as error:
            failed = Answered(good=False, line=_failed(batch, line, request_id, error))
            if not isinstance(error, ProviderError | RateLimited | Unavailable):
                return failed
            return _unserved(error, failed, self._clock.now()) or failed
        except Exception as bug:
            # What it says may hold what the line was about.
            unforeseen = ChittyError(f"unforeseen: {type(bug).__name__}", code="unforeseen")
            return Answered(good=False, line=_failed(batch, line, request_id, unforeseen))
        return Answered(good=True, line=_succeeded(batch, line, request_id, reply.body))

    def unanswered(self, batch: Batch, line: Line, reason: Reason) -> bytes:
        code, message, kind = UNASKED[reason]
        if batch.surface == "anthropic":
            return msgspec.json.encode({"custom_id": line.custom_id, "result": {"type": kind}})
        error = {"code": code, "message": message}
        return msgspec.json.encode({**_names(batch, line), "response": None, "error": error})

    async def _call(self, batch: Batch, line: Line, request_id: str) -> Call:
        """Raises ChittyError."""
        surface, operation = SURFACES[batch.endpoint]
        body = line.body
        fields = read_json(body) if len(body) <= OFF_LOOP else await asyncio.to_thread(read_json, body)
        model = fields.get("model")
        if not isinstance(model, str) or not model:
            raise InvalidRequest("`model` must name a model.", param="model")
        for name in ("stream", "background"):
            if fields.get(name):
                raise InvalidRequest(f"`{name}` is not possible in a batch.", param=name)
        key = None if batch.key_id is None else await self._key_of(batch.key_id)
        options = _options(batch, fields)
        allow_route(key, surface if operation == "chat" else operation)
        allow_kind(key, options.kind)
        return Call(
            request_id=request_id, model=model, surface=surface, operation=operation, options=options, key=key,
            body=body, fields=fields, at=self._clock.now(), started=self._clock.monotonic(),
        )  # fmt: skip


def _options(batch: Batch, fields: dict[str, Any]) -> Options:
    """The batch's, with the line's own in their place."""
    given: dict[str, Any] = {**batch.detail.options, "task": batch.id}
    if "chitty" in fields:
        own = msgspec.structs.asdict(options_of({}, fields))
        given |= {name: value for name, value in own.items() if value not in (None, False, ()) and name != "task"}
    if given.get("region") != batch.region:  # this worker may be outside of the line's
        fix = "Send x-chitty-region with the batch, and the lines of another region as a batch of their own."
        raise InvalidRequest("A line has the region of its batch.", param="chitty.region", fix=fix)
    return msgspec.convert(given, Options)


def _unserved(error: ProviderError | RateLimited | Unavailable, failed: Answered, now: float) -> Unserved | None:
    """None where no later try can mend it."""
    retry_after = getattr(error, "retry_after", None)
    until = None if retry_after is None else now + retry_after
    match error:
        case AllRateLimited() | AllCooling() | RateLimited() | Unavailable():
            return Unserved(failed=failed, resting=True, until=until)
        case AllFailed() | UpstreamTimeout() | UpstreamRefused():
            classes = {str(attempt.get("class")) for attempt in error.attempts}
            if classes & PASSING or not classes:
                return Unserved(failed=failed, resting=False, until=until)
            if classes & RESTING:
                return Unserved(failed=failed, resting=True, until=until)
    return None


def _names(batch: Batch, line: Line) -> dict[str, Any]:
    own = f"batch_req_{batch.id.partition('_')[2]}_{line.piece}_{line.number}"
    return {"id": own, "custom_id": line.custom_id}


def _succeeded(batch: Batch, line: Line, request_id: str, body: bytes) -> bytes:
    # A provider may write its answer over several lines; within a text no end of a line can stand.
    answer = msgspec.Raw(body.translate(None, b"\r\n") if b"\n" in body or b"\r" in body else body)
    if batch.surface == "anthropic":
        result = {"type": "succeeded", "message": answer}
        return msgspec.json.encode({"custom_id": line.custom_id, "result": result})
    return _response(batch, line, 200, request_id, answer)


def _failed(batch: Batch, line: Line, request_id: str, error: ChittyError) -> bytes:
    status = status_of(error)
    built = load(SURFACES[batch.endpoint][0]).build_error(error, status)
    if batch.surface == "anthropic":
        result = {"type": "errored", "error": built}
        return msgspec.json.encode({"custom_id": line.custom_id, "result": result})
    return _response(batch, line, status, request_id, built)


def _response(batch: Batch, line: Line, status: int, request_id: str, body: Any) -> bytes:
    response = {"status_code": status, "request_id": request_id, "body": body}
    return msgspec.json.encode({**_names(batch, line), "response": response, "error": None})
