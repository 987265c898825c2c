"""What the gateway's unit tests are made of: models, calls, and provider responses written by hand."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

import msgspec

from chittycan.catalogue import Model, Provider, Secret
from chittycan.dialects import load
from chittycan.gateway.attempt import AttemptFailed, Deadlines
from chittycan.gateway.call import Call
from chittycan.gateway.stream import Live
from chittycan.providers.connection import ConnectionCut, TimedOut
from chittycan.routing.decide import Candidate
from chittycan.routing.failure import Failure

KEY_ONE, KEY_TWO = Secret("sk-one-secret", "env:ONE"), Secret("sk-two-secret", "env:TWO")
NEVER = float("inf")

CUT = ConnectionCut("the connection was closed before the answer was complete")
SILENCE = TimedOut("read")


def candidate(
    name: str = "m",
    dialect: Any = "openai",
    *,
    provider: str | None = None,
    keys: tuple[Secret, ...] = (KEY_ONE,),
    settings: Mapping[str, Any] | None = None,
    **model: Any,
) -> Candidate:
    """A model `name` of a provider of its own; `settings` are the provider's."""
    home = provider or f"home-of-{name}"
    return Candidate(
        Model(name=name, provider=home, upstream=model.pop("upstream", f"{name}-upstream"), **model),
        Provider(name=home, dialect=dialect, endpoint="http://upstream.test/v1", keys=keys, **(settings or {})),
    )


def call(surface: str | None = "openai", *, model: str = "m", stream: bool = False, **more: Any) -> Call:
    """A client's call; `fields` are merged into a smallest good body, `call` fields are given as they are."""
    fields: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    if surface == "openai_responses":
        fields = {"model": model, "input": "Hello"}
    if surface == "anthropic":
        fields["max_tokens"] = 100
    if stream:
        fields["stream"] = True
    fields |= more.pop("fields", {})
    return Call(
        request_id="req_1", model=model, stream=stream, surface=surface, body=msgspec.json.encode(fields),
        fields=fields, at=1_800_000_000.0, **more,
    )  # fmt: skip


def failing(failure: Failure, status: int = 500, message: str = "no", **more: Any) -> AttemptFailed:
    """An attempt that failed as a row of the table says."""
    made = AttemptFailed.here(failure, status, message, more.pop("by_caller", False))
    made.retry_after = more.pop("retry_after", None)
    made.failed.kind, made.failed.code = more.pop("kind", None), more.pop("code", None)
    return made


class ScriptedResponse:
    """What the transport would hand over: the pieces are the network's reads, an exception among them is raised.

    Without an exception the body ends after the last piece. `deadlines` are those of every read.
    """

    def __init__(self, *pieces: bytes | Exception, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.pieces = list(pieces)
        self.status = status
        self.headers = headers or {}
        self.closed = 0
        self.deadlines: list[float | None] = []

    async def read(self, deadline: float | None = None) -> bytes:
        self.deadlines.append(deadline)
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def body(self, deadline: float | None = None, limit: int = 0, **more: float | None) -> bytes:
        pieces = []
        while piece := await self.read(deadline):
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        self.closed += 1


LIMITS = Deadlines(first=NEVER, total=NEVER, idle=60.0, by_caller=False)


def live(
    response: ScriptedResponse, served: Candidate | None = None, limits: Deadlines = LIMITS, *, forwarded: bool = True
) -> Live:
    """A stream over a scripted response; `begin` it."""
    served = served or candidate()
    dialect = load(served.provider.dialect)
    return Live(served, response, dialect, limits, {}, forwarded)  # type: ignore[arg-type]


def event(data: Any, name: str | None = None) -> bytes:
    """One server-sent event; what is not text is written as JSON."""
    text = data if isinstance(data, str) else msgspec.json.encode(data).decode()
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def chunk(content: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    """A chunk of an OpenAI chat stream."""
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return event({"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1, "model": "up",
                  "choices": [choice], **more})  # fmt: skip


ROLE = event({"id": "chatcmpl-up", "model": "up", "choices": [{"index": 0, "delta": {"role": "assistant"}}]})
USAGE = event({"id": "chatcmpl-up", "model": "up", "choices": [],
               "usage": {"prompt_tokens": 7, "completion_tokens": 3}})  # fmt: skip
FINISH = chunk(finish="stop")
DONE = b"data: [DONE]\n\n"


def cut(whole: bytes, places: Iterable[int]) -> list[bytes]:
    """`whole` in pieces, as a network that cuts at these places would deliver it."""
    inside = sorted({place for place in places if 0 < place < len(whole)})
    return [whole[a:b] for a, b in pairwise([0, *inside, len(whole)])]


def texts(stream: bytes) -> str:
    """The text that an OpenAI chat client reads from a stream."""
    parts = []
    for line in stream.decode().splitlines():
        if line.startswith("data: {"):
            for choice in msgspec.json.decode(line[6:]).get("choices") or []:
                parts.append(choice.get("delta", {}).get("content") or "")
    return "".join(parts)


def data_of(stream: bytes) -> list[Any]:
    """The JSON of every event of a stream, and "[DONE]" as it is."""
    found = [line[6:] for line in stream.decode().splitlines() if line.startswith("data: ")]
    return [each if each == "[DONE]" else msgspec.json.decode(each) for each in found]


async def settle(turns: int = 20) -> None:
    """Let every ready task run."""
    for _ in range(turns):
        await asyncio.sleep(0)


Answers = Iterable[Any]


def scripted(script: Mapping[str, Answers]) -> tuple[Callable[..., Awaitable[Any]], list[tuple[str, str | None, bool]]]:
    """An attempt function that plays each model's answers in order (the last one stays), and the log of its calls:
    (model, key's source, alone). An exception is raised, anything else returned."""
    left = {name: list(answers) for name, answers in script.items()}
    log: list[tuple[str, str | None, bool]] = []

    async def attempt(asked: Candidate, key: Secret | None, alone: bool) -> Any:
        log.append((asked.model.name, key.source if key else None, alone))
        answers = left[asked.model.name]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return attempt, log
