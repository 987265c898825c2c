"""Writes that leave together: what one turn of the event loop has to send goes out at the turn's end.

Writing to a socket whose reader sleeps wakes that reader, which on one machine (and more so on a virtual one) costs
more than the rest of the write. Where many answers are ready in the same turn, only the first of them pays for it.
Why, and what it gains: docs/decisions/0016-one-turn.md.
"""

import asyncio

MOST = 64  # writes that wait; who produces without end must see the socket fill up


class Outbox:
    """The writes of many connections on one loop, in their order. What a connection sends past the outbox must
    come after a `flush`, and so must its `close`."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        waiting = self._waiting
        waiting.append((transport, data))
        if len(waiting) == 1:
            self._loop.call_soon(self.flush)
        elif len(waiting) >= MOST:
            self.flush()

    def flush(self) -> None:
        """Sends what waits, except to connections that were dropped meanwhile."""
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            if not transport.is_closing():
                transport.write(data)
