"""A world on simulated time, in which the real gateway runs: providers that take their time, cost money and fail.

Nothing here waits: the loop's time jumps to the next thing that is due, so that a year passes in seconds. What runs
on threads (the database) takes no simulated time.
"""

import asyncio
import bisect
import json
import random
import selectors
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextvars import ContextVar
from typing import Any, TypeVar

from msgspec import Struct

from chittycan.chat import ChatResponse, Text, Usage
from chittycan.dialects import load
from chittycan.dialects.tokens import estimate_text
from chittycan.providers.connection import ConnectionCut, TimedOut

T = TypeVar("T")

START = 1_795_424_400.0  # Unix seconds of simulated second 0: a Monday, 09:00 UTC
REFUSAL_SECONDS = 0.3  # until a provider that is down says so, where it says anything
SPREAD = 0.35  # of the logarithm of first-token times and speeds


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` stands still while anything can run, and jumps to the next timer when nothing can."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        # What is due within it is due now: after months, a nanosecond is less than the sum of seconds can hold.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._jumping.passed

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        self._jumping.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._one_less)
        return future

    def _one_less(self, _future: object) -> None:
        self._jumping.threads -= 1


class _Jumping(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.passed, self.threads = 0.0, 0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if self.threads:
            return super().select(None)
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("the simulation stands still: nothing is due any more")
            self.passed += timeout
        return ready


class LoopClock:
    """`clock.Clock` on the running loop's time, which threads may look at too."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def now(self) -> float:
        return START + self.monotonic()

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Outage(Struct, frozen=True):
    begin: float
    end: float
    silent: bool  # nothing answers at all; else it answers 503


class Outages:
    """When one provider is down: times up and down in turn, both exponential, independent of everyone else's.

    `up` is the share of time that it is up, `mean` the mean length of an outage in seconds.
    """

    def __init__(self, seed: str, up: float, mean: float) -> None:
        self._random, self._mean_down = random.Random(seed), mean
        self._mean_up = mean * up / (1 - up) if up < 1 else float("inf")
        self._known: list[Outage] = []

    def at(self, moment: float) -> Outage | None:
        """The outage at that moment."""
        following = self._following(moment)
        return following if following.begin <= moment else None

    def next(self, moment: float) -> float:
        """When the next one begins."""
        return self._following(moment).begin

    def _following(self, moment: float) -> Outage:
        """The first that ends after `moment`."""
        while not self._known or self._known[-1].end <= moment:
            last = self._known[-1].end if self._known else 0.0
            pause = float("inf") if self._mean_up == float("inf") else self._random.expovariate(1 / self._mean_up)
            length = self._random.expovariate(1 / self._mean_down)
            self._known.append(Outage(last + pause, last + pause + length, self._random.random() < 0.5))
        return self._known[bisect.bisect_right(self._known, moment, key=lambda outage: outage.end)]


class Speed(Struct, frozen=True):
    """How fast a model answers: seconds to its first token and tokens a second, both medians."""

    first: float
    rate: float
    window: int = 1_000_000  # tokens


class World(Struct):
    """What the simulated providers are like. `speeds` by the provider's own name of the model."""

    speeds: Mapping[str, Speed]
    providers: Mapping[str, str]  # a part of the endpoint's URL → the provider's name
    outages: Mapping[str, Outages]  # a provider that is missing here is always up
    output: Mapping[str, int]  # median tokens that a step's answer has
    write: Callable[[str, int], str]  # the text of a step's answer, of about so many tokens


# What the call is for, so that the answer has the length and the shape that belong to it.
STEP: ContextVar[str] = ContextVar("STEP")


class SimulatedTransport:
    """Takes the place of `providers.transport.Transport`. `lone` are providers that answer one call after the other."""

    def __init__(self, world: World, seed: int, lone: frozenset[str] = frozenset({"embedded"})) -> None:
        self._world, self._random = world, random.Random(f"transport {seed}")
        self._turns = {name: asyncio.Semaphore(1) for name in lone}
        self.calls = 0

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def origin(self, endpoint: str, _http_proxy: str | None = None, _ca_file: str | None = None) -> str:
        """The provider's name."""
        return next(name for part, name in self._world.providers.items() if part in endpoint)

    async def send(
        self,
        origin: str,
        _method: str,
        path: str,
        _headers: bytes,
        body: bytes,
        *,
        connect_timeout: float,
        deadline: float | None,
    ) -> "SimulatedResponse":
        """An answer with all its time, or what an outage makes of it: 503, silence, a cut."""
        self.calls += 1
        outages = self._world.outages.get(origin)
        outage = None if outages is None else outages.at(self.now())
        if outage is not None:
            if outage.silent:
                await asyncio.sleep(min(connect_timeout, _left(deadline, self.now())))
                raise TimedOut("connect")
            await asyncio.sleep(REFUSAL_SECONDS)
            return SimulatedResponse(503, {"error": {"message": "down", "type": "server_error"}})
        turn = self._turns.get(origin)
        if turn is None:
            return await self._answer(outages, path, body, deadline)
        async with turn:
            return await self._answer(outages, path, body, deadline)

    async def _answer(
        self, outages: Outages | None, path: str, body: bytes, deadline: float | None
    ) -> "SimulatedResponse":
        asked = json.loads(body)
        speed = self._world.speeds[asked["model"]]
        read = estimate_text(" ".join(_texts(asked.get("messages", []))) + str(asked.get("system", "")))
        step = STEP.get()
        written = max(8, round(self._around(self._world.output[step])))
        if read + written > speed.window:
            await asyncio.sleep(REFUSAL_SECONDS)
            error = {"message": "maximum context length exceeded", "code": "context_length_exceeded"}
            return SimulatedResponse(400, {"error": {**error, "type": "invalid_request_error"}})
        seconds = self._around(speed.first) + written / self._around(speed.rate)
        cut = float("inf") if outages is None else outages.next(self.now()) - self.now()
        left = _left(deadline, self.now())
        await asyncio.sleep(min(seconds, cut, left))
        if seconds > min(cut, left):
            raise ConnectionCut("the provider went down") if cut <= left else TimedOut("read")
        text = self._world.write(step, written)
        answer = ChatResponse(
            id="x",
            model=asked["model"],
            parts=[Text(text)],
            stop_reason="stop",
            usage=Usage(input=read, output=written),
        )
        return SimulatedResponse(200, load("anthropic" if "/messages" in path else "openai").build_response(answer))

    def _around(self, median: float) -> float:
        return median * self._random.lognormvariate(0, SPREAD)


class SimulatedResponse:
    """As much of `providers.transport.Response` as whole answers need."""

    headers: Mapping[str, str] = {}

    def __init__(self, status: int, content: Mapping[str, Any]) -> None:
        self.status, self.content = status, content
        self.on_close: Callable[[], None] | None = None

    async def body(self, *_: object, **__: object) -> bytes:
        return json.dumps(self.content).encode()

    def close(self) -> None:
        if self.on_close is not None:
            self.on_close()


def _left(deadline: float | None, now: float) -> float:
    return float("inf") if deadline is None else max(0.0, deadline - now)


def _texts(messages: list[dict[str, Any]]) -> list[str]:
    found: list[str] = []
    for message in messages:
        content = message["content"]
        found += [content] if isinstance(content, str) else [str(part.get("text", "")) for part in content]
    return found
