"""The body of a request that is too large to be held: it is handed on as it comes, and the client is held back
while nobody takes it."""

import asyncio
from collections import deque
from collections.abc import Callable

from chittycan.errors import ChittyError

HIGH_BYTES = 1 << 20  # of what nobody has taken yet, before the client is held back
LOW_BYTES = 256 << 10


class Upload:
    """An asynchronous iterator over the body. `hold(True)` stops the client's sending, `hold(False)` lets it go on."""

    __slots__ = ("_error", "_hold", "_parts", "_size", "_waiting", "complete", "held")

    def __init__(self, hold: Callable[[bool], None]) -> None:
        self._hold = hold
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._error: ChittyError | None = None
        self._waiting: asyncio.Future[None] | None = None
        self.complete = self.held = False

    def feed(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        self._wake()
        if self._size >= HIGH_BYTES:
            self.held = True
            self._hold(True)

    def end(self) -> None:
        self.complete = True
        self._wake()

    def fail(self, error: ChittyError) -> None:
        """The rest will not come: whoever takes the body is told so."""
        if not self.complete:
            self._error = error
            self._wake()

    def __aiter__(self) -> "Upload":
        return self

    async def __anext__(self) -> bytes:
        while not self._parts:
            if self._error is not None:
                raise self._error
            if self.complete:
                raise StopAsyncIteration
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        part = self._parts.popleft()
        self._size -= len(part)
        if self.held and self._size <= LOW_BYTES:
            self.held = False
            self._hold(False)
        return part

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
