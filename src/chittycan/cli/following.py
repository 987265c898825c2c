"""Following something that changes by itself: looking again and again, ever more rarely while nothing happens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_SECONDS = 0.2  # between two looks at what changes
LOOK_LONGEST = 1.0


async def following(look: Callable[[], Awaitable[T]], over: Callable[[T], bool]) -> AsyncIterator[T]:
    """What `look` finds now, and again whenever it has changed, until it is `over`."""
    seen: T | None = None
    pause = LOOK_SECONDS
    while True:
        found = await look()
        if found != seen:
            seen, pause = found, LOOK_SECONDS
            yield found
        if over(found):
            return
        await asyncio.sleep(pause)
        pause = min(pause * 1.2, LOOK_LONGEST)
