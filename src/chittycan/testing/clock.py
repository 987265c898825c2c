"""A clock that moves only when a test says so."""

import asyncio
import heapq
from itertools import count

START = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC


class FakeClock:
    """Satisfies `clock.Clock`. Time stands still until `advance` or `run`.

    `advance` is for tests that look at values; it wakes whoever is due, in order of their due time, and
    returns before they have run. `run` is for tests with tasks: it goes from one wake-up to the next and lets
    the woken tasks run in between, so that a loop that sleeps 1 s ten times wakes ten times in `run(10)`.
    """

    def __init__(self, start: float = START) -> None:
        self._start = start
        self._elapsed = 0.0
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    @property
    def sleepers(self) -> int:
        """How many tasks wait for time to pass."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), future))
        await future

    def advance(self, seconds: float) -> None:
        """Move time on by `seconds` and wake everyone who is due."""
        self._elapsed = self._wake_until(self._elapsed + seconds)

    async def run(self, seconds: float) -> None:
        """Move time on by `seconds`, wake-up by wake-up, with the woken tasks running at their own moment."""
        end = self._elapsed + seconds
        await _settle()
        while self._next_due() <= end:
            self._elapsed = max(self._elapsed, self._next_due())
            self._wake_until(self._elapsed)
            await _settle()
        self._elapsed = end

    async def until_asleep(self, tasks: int = 1) -> None:
        """Let other tasks run until at least `tasks` of them sleep on this clock."""
        while self.sleepers < tasks:  # noqa: ASYNC110 (nothing to wait on: any task may fall asleep)
            await asyncio.sleep(0)

    def _next_due(self) -> float:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else float("inf")

    def _wake_until(self, moment: float) -> float:
        while self._next_due() <= moment:
            heapq.heappop(self._sleepers)[2].set_result(None)
        return moment


async def _settle() -> None:
    # A woken task may hand over to others through several futures; twenty turns of the loop cover every
    # chain seen in practice, and real sockets are not waited for at all.
    for _ in range(20):
        await asyncio.sleep(0)
