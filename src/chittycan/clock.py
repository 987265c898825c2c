"""The one source of time: everything that waits or stamps takes a `Clock`, so that tests own time.

`now()` is wall-clock UTC seconds (for records), `monotonic()` seconds that never jump (for durations).
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own time."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
