"""Hedging: where a model is late, the next of the chain is asked beside it, and the first content wins.

The loser is cancelled at once and accounted. At most two models are asked at the same time; each is asked once. Where
the first one refuses for good (`caller_fault`, content policy) that is the answer; where the second does, the first
one is waited for, and nobody else is asked. Where the money does not cover both, the first is waited for alone, and the
second is asked if that fails.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Generic

from chittycan.catalogue import Catalogue, Hedging
from chittycan.clock import Clock
from chittycan.errors import BudgetExceeded, ChittyError
from chittycan.gateway.attempt import Whole
from chittycan.gateway.call import Call
from chittycan.gateway.chain import PASSED_OVER, Lost, T, Walk
from chittycan.gateway.latency import Latency
from chittycan.gateway.running import Running
from chittycan.gateway.stream import Live
from chittycan.routing.decide import Candidate

LATE_SECONDS = 5.0  # where a model is hedged by what it usually takes, and too little is known of that

Late = Callable[[Candidate], float]  # seconds after which this model is late


def late(call: Call, catalogue: Catalogue, latency: Latency) -> Late | None:
    """When a model is late for this call; None: it is not to be hedged.

    What the caller says counts, else the owner's setting, which leaves out work that can wait. Vectors of two models
    are no two answers to one question, so that embeddings are never hedged.
    """
    asked, setting = call.options.hedge, catalogue.hedge
    if asked is False or call.operation == "embeddings" or (asked is None and setting is None):
        return None
    if asked is not None and asked is not True:
        seconds = float(asked)
        return lambda candidate: seconds
    if asked is None and setting is not None and not _meant(call, setting):
        return None
    after = setting.after if setting is not None else None
    if after is not None:
        return lambda candidate: after

    def usual(candidate: Candidate) -> float:
        known = latency.slow(candidate.model.place, stream=call.stream)
        return LATE_SECONDS if known is None else known

    return usual


def _meant(call: Call, setting: Hedging) -> bool:
    return call.longest_pause == math.inf and (not setting.models or call.model in setting.models)


class Runner(Generic[T]):
    """One model that is being asked. `began` is monotonic; `beside`: another one was being asked then."""

    __slots__ = ("began", "beside", "candidate", "task")

    def __init__(self, candidate: Candidate, walk: Walk[T], began: float, beside: bool) -> None:
        self.candidate, self.began, self.beside = candidate, began, beside
        self.task = asyncio.get_running_loop().create_task(_asked(candidate, walk))


async def _asked(candidate: Candidate, walk: Walk[T]) -> tuple[T, Callable[[], None]]:
    """Its answer, and what makes the trail say that it was this attempt that succeeded."""
    result = await walk.ask(candidate)
    began, key = walk.trail.began, walk.trail.key

    def won() -> None:
        walk.trail.began, walk.trail.key = began, key

    return result, won


def _let_go(result: object) -> None:
    """Closes an answer that nobody will read."""
    if isinstance(result, Live):
        result.close()


class Race(Generic[T]):
    """One walk with at most two models at a time. `runners` are in the order of their beginning."""

    def __init__(self, walk: Walk[T], running: Running, late: Late, clock: Clock, latency: Latency) -> None:
        self._walk, self._running, self._late, self._clock, self._latency = walk, running, late, clock, latency
        self._runners: list[Runner[T]] = []
        self._nobody = False  # is left to be asked
        self._alone = False  # two cannot be paid for: the one that is asked is waited for
        self._verdict: ChittyError | None = None  # of a second model: nobody may be asked after it

    async def run(self) -> T:
        """The first answer. Raises what a walk raises."""
        self._running.sent = set()
        waited, began = self._running.upstream, self._clock.monotonic()
        try:
            while True:
                if not self._runners and not self._start():
                    raise self._verdict or self._walk.exhausted()
                await self._news()
                for runner in [runner for runner in self._runners if runner.task.done()]:
                    first = self._leave(runner)
                    try:
                        result, won = runner.task.result()
                    except PASSED_OVER as error:
                        self._failed(runner, error, first=first)
                        continue
                    try:
                        await self._stop(overtaken=True)
                    except BaseException:  # the caller left meanwhile
                        _let_go(result)
                        raise
                    won()
                    return result
        except ChittyError:
            await self._stop()
            raise
        finally:
            await self._cancel(self._runners)  # the caller left
            # Two waits at the same time are one wait.
            self._running.upstream = min(self._running.upstream, waited + self._clock.monotonic() - began)

    def _start(self) -> bool:
        """Asks the next model; False where nobody is left, or may be asked."""
        candidate = None if self._verdict is not None else self._walk.next()
        if candidate is None:
            self._nobody = True
            return False
        beside = bool(self._runners)
        if beside:
            self._running.ticket.racing = (self._runners[0].candidate, candidate)
        self._alone = False
        self._runners.append(Runner(candidate, self._walk, self._clock.monotonic(), beside))
        return True

    def _leave(self, runner: Runner[T]) -> bool:
        """It is done; whether it was the first of those that were being asked."""
        first = self._runners[0] is runner
        self._runners.remove(runner)
        self._running.ticket.racing = ()
        return first

    async def _news(self) -> None:
        """Until somebody is done, or late so that another one was asked."""
        tasks = {runner.task for runner in self._runners}
        pause = self._pause()
        if pause is None:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return
        alarm = asyncio.get_running_loop().create_task(self._clock.sleep(pause))
        try:
            await asyncio.wait({*tasks, alarm}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
        if not any(task.done() for task in tasks):
            self._start()

    def _pause(self) -> float | None:
        """Seconds until the one that is asked is late; None where nobody would be asked beside it."""
        if len(self._runners) != 1 or self._nobody or self._alone or self._verdict is not None:
            return None
        runner = self._runners[0]
        return max(0.0, self._late(runner.candidate) - (self._clock.monotonic() - runner.began))

    def _failed(self, runner: Runner[T], error: Exception, *, first: bool) -> None:
        """Raises where that ends the call."""
        if isinstance(error, BudgetExceeded) and runner.beside:
            self._alone = True
            self._walk.put_back(runner.candidate)
            return
        try:
            self._walk.failed(runner.candidate, error)
        except ChittyError as verdict:
            if first:
                raise
            self._verdict = verdict

    async def _stop(self, *, overtaken: bool = False) -> None:
        """Cancels who is still being asked, and notes what that took. `overtaken`: by a quicker one."""
        losers, self._runners = self._runners, []
        self._running.ticket.racing = ()
        await self._cancel(losers)
        for runner in losers:
            self._note(runner, overtaken)

    @staticmethod
    async def _cancel(runners: Sequence[Runner[T]]) -> None:
        """Ends them; an answer that has come all the same is let go."""
        for runner in runners:
            runner.task.cancel()
        for result in await asyncio.gather(*(runner.task for runner in runners), return_exceptions=True):
            if isinstance(result, tuple):
                _let_go(result[0])

    def _note(self, runner: Runner[T], overtaken: bool) -> None:
        place, running = runner.candidate.model.place, self._running
        if runner.candidate not in running.trail.asked:
            return  # cancelled before it began
        usage = None
        if not runner.task.cancelled():
            if runner.task.exception() is not None:
                return  # it is among those that failed
            result = runner.task.result()[0]  # both came at the same moment
            usage = result.usage if isinstance(result, Whole) else None
        seconds = self._clock.monotonic() - runner.began
        if overtaken and usage is None:
            self._latency.overtaken(place, seconds, stream=running.call.stream)
        sent = running.sent is not None and place in running.sent
        running.trail.lost += (Lost(runner.candidate, seconds * 1e3, sent, usage),)
        running.trail.asked.remove(runner.candidate)  # a broken stream may still be taken up by it
