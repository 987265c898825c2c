"""The load: bare connections on the loop, every answer checked, latency to the microsecond.

Closed loop: N connections, each sends again as soon as it is answered. Open loop: requests leave at a constant
rate whether or not earlier ones are answered, and latency counts from the moment a request was due, so that a
slow server cannot hide its queue.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import httptools

from bench.upstream import CHUNKS, MARK, TEXT


@dataclass(frozen=True)
class Target:
    """Where the load goes. `path` is below the root; `stream` says what to ask for and to check."""

    host: str
    port: int
    path: str = "/v1/chat/completions"
    model: str = "gpt-4"
    key: str = "sk-bench"
    stream: bool = False

    def request(self) -> bytes:
        body: dict[str, Any] = {"model": self.model, "messages": [{"role": "user", "content": "What is the answer?"}]}
        if self.path.endswith("/messages"):
            body["max_tokens"] = 256
        if self.stream:
            body["stream"] = True
        data = json.dumps(body).encode()
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: {self.host}:{self.port}\r\nauthorization: Bearer {self.key}\r\n"
            f"x-api-key: {self.key}\r\nanthropic-version: 2023-06-01\r\n"
            f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        )
        return head.encode() + data


@dataclass
class Measured:
    """One run. Latencies are seconds, in the order of completion."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    first_tokens: list[float] = field(default_factory=list)
    errors: int = 0
    late: int = 0  # open loop: requests that were due but never answered in time
    processor: float = 0.0  # seconds of processor time that the gateway used

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Seconds; nan without a single answer."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")

    def summary(self) -> dict[str, float | int]:
        firsts = sorted(self.first_tokens)
        return {
            "rate": round(self.rate, 1),
            "answers": len(self.latencies),
            "p50_ms": round(self.percentile(0.50) * 1e3, 4),
            "p99_ms": round(self.percentile(0.99) * 1e3, 4),
            "p999_ms": round(self.percentile(0.999) * 1e3, 4),
            "first_token_p50_ms": round(firsts[len(firsts) // 2] * 1e3, 4) if firsts else 0.0,
            "processor_us": round(self.processor / max(1, len(self.latencies)) * 1e6, 1),
            "errors": self.errors,
            "late": self.late,
        }


class Client(asyncio.Protocol):
    """One connection that sends one prepared request at a time and reports each answer."""

    def __init__(self, request: bytes, stream: bool, report: Callable[["Client", bool], None]) -> None:
        self.started = 0.0
        self.first: float | None = None
        self.closed = False
        self._request, self._stream, self._report = request, stream, report
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed:
            self.closed = True
            self._report(self, False)

    def send(self, started: float) -> None:
        self.started, self.first = started, None
        self._transport.write(self._request)

    def close(self) -> None:
        self.closed = True
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        if self.first is None and self._stream and MARK in body:
            self.first = time.perf_counter()
        self._body.append(body)

    def on_message_complete(self) -> None:
        body, status = b"".join(self._body), self._parser.get_status_code()
        self._body = []
        self._parser = httptools.HttpResponseParser(self)
        self._report(self, status == 200 and right(body, self._stream))


def right(body: bytes, stream: bool) -> bool:
    """Whether the answer is whole: every token once and a proper end, or the text."""
    if stream:
        return body.count(MARK) == CHUNKS and (b"[DONE]" in body[-40:] or b"message_stop" in body[-80:])
    return TEXT.encode() in body


async def _connect(target: Target, count: int, report: Callable[[Client, bool], None]) -> list[Client]:
    loop, request = asyncio.get_running_loop(), target.request()
    clients = []
    for _ in range(count):
        _, client = await loop.create_connection(
            lambda: Client(request, target.stream, report), target.host, target.port
        )
        clients.append(client)
    return clients


async def closed_loop(target: Target, connections: int, seconds: float, limit: int | None = None) -> Measured:
    """For `seconds`, or until `limit` answers. A wrong answer counts as an error; a lost connection ends the run."""
    measured, done = Measured(seconds), asyncio.Event()
    begun = time.perf_counter()
    end = begun + seconds
    busy = connections

    def report(client: Client, correct: bool) -> None:
        nonlocal busy
        now = time.perf_counter()
        if correct:
            measured.latencies.append(now - client.started)
            if client.first is not None:
                measured.first_tokens.append(client.first - client.started)
        else:
            measured.errors += 1
        if client.closed or now >= end or (limit and len(measured.latencies) + busy > limit):
            busy -= 1
            if busy == 0:
                done.set()
        else:
            client.send(now)

    clients = await _connect(target, connections, report)
    for client in clients:
        client.send(time.perf_counter())
    await done.wait()
    measured.seconds = time.perf_counter() - begun
    for client in clients:
        client.close()
    return measured


async def open_loop(
    target: Target, rate: float, seconds: float, connections: int = 128, grace: float = 2.0
) -> Measured:
    """`rate` requests per second over at most `connections`; late is what is unanswered `grace` seconds after."""
    measured, loop = Measured(seconds), asyncio.get_running_loop()
    idle: deque[Client] = deque()
    due: deque[float] = deque()
    finished = asyncio.Event()
    begun = time.perf_counter() + 0.05
    total, sent, answered = round(rate * seconds), 0, 0

    def report(client: Client, correct: bool) -> None:
        nonlocal answered
        answered += 1
        now = time.perf_counter()
        if correct:
            measured.latencies.append(now - client.started)
        else:
            measured.errors += 1
        if answered == total:
            finished.set()
        if client.closed:
            return
        if due:
            client.send(due.popleft())
        else:
            idle.append(client)

    def tick() -> None:
        nonlocal sent
        now = time.perf_counter()
        while sent < total and begun + sent / rate <= now:
            moment = begun + sent / rate
            sent += 1
            if idle:
                idle.popleft().send(moment)
            else:
                due.append(moment)
        if sent < total:
            # Timers of the loop round to a millisecond: sleep until shortly before, then go round.
            ahead = begun + sent / rate - now
            if ahead > 0.002:
                loop.call_later(ahead - 0.002, tick)
            else:
                loop.call_soon(tick)

    clients = await _connect(target, connections, report)
    idle.extend(clients)
    tick()
    with suppress(TimeoutError):
        await asyncio.wait_for(finished.wait(), 0.05 + seconds + grace)
    measured.late = sent - answered
    for client in clients:
        client.close()
    return measured
