"""A gateway for agents that answers from a script: real requests in, real `Answer`s out, nothing on the wire."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from chittycan.chat import ChatRequest, ChatResponse, Text
from chittycan.gateway.call import Answer, Options, Trace

# What to answer: a text, an error to raise, or a function of the request that gives either.
Line = str | Exception | Callable[[ChatRequest], "str | Exception"]


class ScriptedAsk:
    """`await ask(request, options)` gives the next line of the script for the kind of task, and the last for ever.

    `requests` keeps what was asked; `most_at_once` how many calls were under way together. While `gate` is
    set to an unset event, calls wait for it.
    """

    def __init__(
        self,
        script: Mapping[str, Sequence[Line]],
        *,
        model: str = "scripted",
        ms: float = 100.0,
        cost_nano: int | None = 0,
    ) -> None:
        self._script = {kind: list(lines) for kind, lines in script.items()}
        self._model, self._ms, self._cost_nano = model, ms, cost_nano
        self.requests: list[tuple[ChatRequest, Options]] = []
        self.gate: asyncio.Event | None = None
        self.most_at_once = 0
        self._under_way = 0
        self._called = asyncio.Condition()

    async def __call__(self, request: ChatRequest, options: Options) -> Answer:
        self.requests.append((request, options))
        self._under_way += 1
        async with self._called:
            self._called.notify_all()
        self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            await (self.gate.wait() if self.gate else asyncio.sleep(0))
            return self._answer(request, options)
        finally:
            self._under_way -= 1

    async def reached(self, calls: int) -> None:
        """Wait until so many calls have come in."""
        async with self._called:
            await self._called.wait_for(lambda: len(self.requests) >= calls)

    def asked(self, kind: str) -> list[ChatRequest]:
        """The requests of one kind of task."""
        return [request for request, options in self.requests if options.kind == kind]

    def _answer(self, request: ChatRequest, options: Options) -> Answer:
        lines = self._script[options.kind or ""]
        line = lines.pop(0) if len(lines) > 1 else lines[0]
        said = line(request) if callable(line) else line
        if isinstance(said, Exception):
            raise said
        number = len(self.requests)
        return Answer(
            response=ChatResponse(id=f"answer-{number}", model=self._model, parts=[Text(said)], stop_reason="stop"),
            trace=Trace(
                request_id=f"request-{number}",
                model=self._model,
                provider="script",
                attempts=1,
                cost_nano=self._cost_nano,
                ms=self._ms,
            ),
        )
