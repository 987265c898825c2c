"""A provider on a real socket that does what its script says: every known fault, in every dialect.

    async with ScriptedUpstream() as up:
        up.script("flaky", ["s03-500", "ok"])     # per call, in order; the last one stays
        gate = up.gate("ok")                      # tokens now wait for gate.release()
        ...                                       # POST up.url + "/v1/chat/completions", model "s08-cut-middle"
        up.requests[-1].closed_at                 # when the client hung up, if it did

Without a script the model's name picks the scenario (`scenarios.SCENARIOS`; any other name answers like `ok`).
`python -m chittycan.testing.upstream --port N` runs it as a process, `--list` prints the table.
"""

import asyncio
import gzip
import json
import math
import socket
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from email.utils import formatdate
from typing import Any, Self

from chittycan.clock import Clock, SystemClock
from chittycan.testing import lookups
from chittycan.testing.faults import FAULTS
from chittycan.testing.scenarios import SCENARIOS, Ask, Reply, Scenario, ToolUse
from chittycan.testing.voices import Event, Voice, anthropic, gemini, openai, responses
from chittycan.testing.wire import Connection, EventStream, Recorded, dump

VOICES: dict[str, Voice] = {
    "/v1/chat/completions": openai,
    "/v1/responses": responses,
    "/v1/messages": anthropic,
}
MALFORMED = '{"id":"broken","choices":[{"index":0,"delta":{"content":"never show thi'


class Gate:
    """Holds back the tokens of one model until they are released; the metadata before them is not held."""

    def __init__(self) -> None:
        self._released = 0.0
        self._written = 0
        self._changed = asyncio.Condition()

    async def release(self, tokens: int = 1) -> None:
        """Let `tokens` more through, counted over all requests of the model."""
        async with self._changed:
            self._released += tokens
            self._changed.notify_all()

    async def open(self) -> None:
        """Hold nothing back any more."""
        async with self._changed:
            self._released = math.inf
            self._changed.notify_all()

    @property
    def written(self) -> int:
        """How many tokens have gone to the socket."""
        return self._written

    async def reached(self, tokens: int) -> None:
        """Until `tokens` have been written in all."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._written >= tokens)

    async def _pass(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._written < self._released)
            self._written += 1
            self._changed.notify_all()


class ScriptedUpstream:
    """One fake provider. `speed` multiplies every delay of the scenarios; `clock` is what they pass on.

    `requests` holds every request in the order of arrival.
    """

    def __init__(self, *, port: int = 0, clock: Clock | None = None, speed: float = 1.0) -> None:
        self.requests: list[Recorded] = []
        self.connections = 0  # accepted so far
        self._port = port
        self._clock = clock or SystemClock()
        self._speed = speed
        self._scripts: dict[tuple[str, str | None], list[Scenario]] = {}
        self._gates: dict[str, Gate] = {}
        self._outages: dict[str, float] = {}
        self._server: asyncio.Server | None = None
        self._open: set[Connection] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._arrived = asyncio.Condition()
        self._closed_port = socket.socket()
        self._closed_port.bind(("127.0.0.1", 0))

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.vanish()
        self._closed_port.close()

    @property
    def url(self) -> str:
        """The root, without `/v1`."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def dead_url(self) -> str:
        """A root that refuses connections for as long as this upstream lives."""
        return f"http://127.0.0.1:{self._closed_port.getsockname()[1]}"

    async def listen(self) -> None:
        """Open the port (again, on the same number)."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._serve), "127.0.0.1", self._port, reuse_address=True
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def vanish(self) -> None:
        """Close the port and every connection, as a host that dies; `listen` brings it back."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._open):
            connection.writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def script(self, model: str, steps: Sequence[Scenario | str], *, key: str | None = None) -> None:
        """What `model` does call by call (for one credential, if `key` says so); the last step stays."""
        self._scripts[model, key] = [self._named(each) for each in steps]

    def gate(self, model: str) -> Gate:
        """From now on the tokens of `model` wait to be released."""
        return self._gates.setdefault(model, Gate())

    def recover(self, model: str) -> None:
        """End the outage of `model` now."""
        self._outages[model] = -math.inf

    def calls(self, model: str) -> list[Recorded]:
        return [each for each in self.requests if each.model == model]

    async def received(self, count: int, model: str | None = None) -> Recorded:
        """Until `count` requests (for `model`) have arrived; the last of them."""
        found: list[Recorded] = []

        def enough() -> bool:
            found[:] = self.requests if model is None else self.calls(model)
            return len(found) >= count

        async with self._arrived:
            await self._arrived.wait_for(enough)
        return found[count - 1]

    async def _serve(self, connection: Connection) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections += 1
        self._open.add(connection)
        self._tasks.add(task)
        try:
            with suppress(ConnectionError):
                while (request := await connection.request()) is not None:
                    await self._watch(request, connection)
                    last = request.headers.get("connection", "").lower() == "close"
                    if last or connection.gone.is_set() or connection.writer.is_closing():
                        break
        finally:
            connection.close()
            self._open.discard(connection)
            self._tasks.discard(task)

    async def _watch(self, request: Recorded, connection: Connection) -> None:
        """Answer, and stop at once when the client leaves."""
        answer = asyncio.create_task(self._answer(request, connection))
        left = asyncio.create_task(connection.gone.wait())
        try:
            await asyncio.wait({answer, left}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                request.closed_at = time.monotonic()
            else:
                request.answered_at = time.monotonic()
                answer.result()
        finally:
            request.over.set()
            answer.cancel()
            left.cancel()
            await asyncio.gather(answer, left, return_exceptions=True)

    async def _answer(self, request: Recorded, connection: Connection) -> None:
        voice = VOICES.get(request.path)
        if voice is None and request.path.startswith("/v1beta/models/") and "enerateContent" in request.path:
            voice = gemini
        problem = _decode(request)
        if voice is None or problem:
            await self._record(request)
            status, body = lookups.answer(request, problem)
            await connection.full(status, "application/json", dump(body).encode())
            return
        ask = voice.read(request.path, request.json, len(self.requests) + 1)
        request.model, request.dialect = ask.model, ask.dialect
        scenario = self._scenario(ask.model, request.key)
        request.scenario = scenario.name
        await self._record(request)
        await self._perform(_Turn(self, request, connection, voice, ask, scenario))

    async def _record(self, request: Recorded) -> None:
        async with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()

    async def _perform(self, turn: "_Turn") -> None:
        scenario = turn.scenario
        await self._pause(scenario.wait)
        if scenario.reset:
            turn.connection.reset()
        elif fault := self._fault(turn):
            await turn.refuse(fault)
        elif scenario.raw:
            await turn.connection.full(*scenario.raw, scenario.headers)
        elif turn.ask.stream != scenario.swap:
            await turn.stream()
        else:
            await turn.unary()

    def _fault(self, turn: "_Turn") -> str | None:
        """Which error the whole call gets, if any."""
        scenario, ask = turn.scenario, turn.ask
        if ask.prefill is not None and not scenario.prefill:
            return "no_prefill"
        if ask.prefill is not None and ask.dialect == "anthropic" and ask.prefill != ask.prefill.rstrip():
            return "trailing_space"
        if ask.has_stream_options and not scenario.stream_options:
            return "no_stream_options"
        if scenario.outage:
            begun = self._outages.setdefault(ask.model, self._clock.monotonic())
            if self._clock.monotonic() - begun >= scenario.outage * self._speed:
                return None
        return scenario.fault

    async def _pause(self, seconds: float) -> None:
        if seconds == math.inf:
            await asyncio.get_running_loop().create_future()
        elif seconds:
            await self._clock.sleep(seconds * self._speed)

    def _scenario(self, model: str, key: str) -> Scenario:
        steps = self._scripts.get((model, key)) or self._scripts.get((model, None))
        if not steps:
            return self._named(model if model in SCENARIOS else "ok")
        return steps.pop(0) if len(steps) > 1 else steps[0]

    @staticmethod
    def _named(scenario: Scenario | str) -> Scenario:
        return scenario if isinstance(scenario, Scenario) else replace(SCENARIOS[scenario], name=scenario)


class _Turn:
    """One call under way."""

    def __init__(
        self,
        upstream: ScriptedUpstream,
        request: Recorded,
        connection: Connection,
        voice: Voice,
        ask: Ask,
        scenario: Scenario,
    ) -> None:
        self.request, self.connection, self.ask, self.scenario = request, connection, ask, scenario
        self._upstream, self._voice = upstream, voice

    async def refuse(self, fault: str) -> None:
        if fault == "content" and self.ask.dialect == "gemini":
            status, body = 200, gemini.blocked(self.ask)
        else:
            status, body = self._voice.error(FAULTS[fault], self.request.key)
        headers = tuple((name, value.replace("{date}", _soon())) for name, value in self.scenario.headers)
        if status == 200 and self.ask.stream:
            await self.connection.full(status, "text/event-stream", f"data: {dump(body)}\n\n".encode(), headers)
            return
        await self.connection.full(status, "application/json", dump(body).encode(), headers)

    async def unary(self) -> None:
        scenario = self.scenario
        await self._upstream._pause(scenario.first_token)
        if scenario.then == "error":
            body = dump(self._voice.error(FAULTS["overloaded"], "")[1]).encode()
        else:
            body = dump(self._voice.unary(self._reply(), self.ask)).encode()
        if scenario.malformed:
            body = body[: len(body) // 2]
        if scenario.gzip:
            body = gzip.compress(body)
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), *scenario.headers]
        self.connection.head(200, [*headers, ("content-encoding", "gzip")] if scenario.gzip else headers)
        broken = scenario.then in ("cut", "stall", "eof")
        gate = self._upstream._gates.get(self.ask.model)
        if gate is not None:
            await gate._pass()
        self.connection.writer.write(body[: int(len(body) * scenario.keep)] if broken else body)
        await self.connection.writer.drain()
        if scenario.then == "stall":
            await self._upstream._pause(math.inf)
        if broken:
            self.connection.close()

    async def stream(self) -> None:
        scenario, reply = self.scenario, self._reply()
        script = self._voice.stream(reply, self.ask, scenario)
        out = EventStream(self.connection, scenario)
        out.start()
        await out.send(script.opening if scenario.opening else [])
        await self._upstream._pause(scenario.first_token)
        await self._content(out, script.content)
        if scenario.then == "stall":
            await self._upstream._pause(math.inf)
        elif scenario.then == "cut":
            self.connection.close()
            return
        elif scenario.then == "error":
            await out.send(self._voice.error_events(FAULTS["overloaded"], self.ask))
        elif scenario.then is None:
            await out.send(script.closing)
            await out.send(script.end if scenario.done else [])
        if scenario.stay_open:
            await self._upstream._pause(math.inf)
        await out.end()

    async def _content(self, out: EventStream, content: list[list[Event]]) -> None:
        gate = self._upstream._gates.get(self.ask.model)
        for number, group in enumerate(content[: round(len(content) * self.scenario.keep)]):
            if self.scenario.malformed and number == len(content) // 2:
                await out.send([Event("", MALFORMED)])
            if gate is not None:
                await gate._pass()
            if number:
                await self._upstream._pause(self.scenario.pace)
            await out.send(group)
            self.request.tokens += 1

    def _reply(self) -> Reply:
        reply = self.scenario.reply
        if self.scenario.echo:
            return replace(reply, text=dump(self.request.json))
        if self.scenario.structured:
            answer = json.dumps(lookups.smallest(self.ask.schema or {}))
            if self.ask.only_tool:
                return replace(
                    reply, text="", tools=(ToolUse("call_only", self.ask.only_tool, answer),), stop="tool_calls"
                )
            return replace(reply, text=answer)
        if self.ask.after_tool and reply.tools:
            return Reply()
        if self.ask.prefill and reply.text.startswith(self.ask.prefill):
            return replace(reply, text=reply.text[len(self.ask.prefill) :])
        return reply


def _decode(request: Recorded) -> str | None:
    """Fill in `json`; the name of the fault when a POST holds no JSON object."""
    if request.method != "POST":
        return None
    try:
        body = json.loads(request.body)
    except ValueError:
        return "not_json"
    if not isinstance(body, dict):
        return "not_json"
    request.json = body
    request.model = str(body.get("model", ""))
    return None


def _soon() -> str:
    # An HTTP date has whole seconds: two and a half ahead means at least two.
    return formatdate(time.time() + 2.5, usegmt=True)


async def _run(port: int, speed: float) -> None:
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(ScriptedUpstream(port=port, speed=speed))
        print(json.dumps({"url": upstream.url, "dead_url": upstream.dead_url}), flush=True)
        await asyncio.get_running_loop().create_future()


def main() -> None:
    """`--port N` (0: any free one), `--speed 0.1` (delays a tenth as long), `--list`."""
    import argparse

    from chittycan.testing.scenarios import table

    parser = argparse.ArgumentParser(prog="python -m chittycan.testing.upstream", description="A scripted provider.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--list", action="store_true", help="print the scenarios and leave")
    given = parser.parse_args()
    if given.list:
        print(table())
        return
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(given.port, given.speed))


if __name__ == "__main__":
    main()


__all__ = ["Gate", "Recorded", "Scenario", "ScriptedUpstream"]
