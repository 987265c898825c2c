"""Exact-match response cache: opt-in per request, key or model; isolated per key; streams replay as streams.

Only whole, good answers are kept. A hit bills nothing.
"""

import hashlib
from collections.abc import Collection
from contextlib import suppress

import msgspec

from chittycan.chat import Usage
from chittycan.clock import Clock
from chittycan.errors import Unavailable
from chittycan.gateway.call import Call, Reply, Trace
from chittycan.store import cache as rows
from chittycan.store.database import Database

TTL_SECONDS = 24 * 3600.0
LARGEST = 1 << 20  # bytes of one answer
TOTAL = 64 << 20  # bytes of all answers


class ResponseCache:
    """`models` are the names for which caching is on without being asked for."""

    def __init__(
        self, database: Database, clock: Clock, models: Collection[str] = (), ttl: float = TTL_SECONDS
    ) -> None:
        self._database, self._clock, self.models, self.ttl = database, clock, frozenset(models), ttl

    def wanted(self, call: Call) -> bool:
        """A caller's word wins over its key's, and that over the model's."""
        if call.surface is None:
            return False
        if call.options.cache is not None:
            return call.options.cache
        return (call.key is not None and call.key.cache) or call.model in self.models

    async def find(self, call: Call) -> Reply | None:
        """None also while the database is away: a cache must not be what a call fails for."""
        try:
            hit = await self._database.read(rows.get, _place(call), self._clock.now())
        except Unavailable:
            return None
        if hit is None:
            return None
        trace = Trace(
            request_id=call.request_id, model=hit.model, route="cache", cached=True, cost_nano=0, usage=Usage(),
            ms=(self._clock.monotonic() - call.started) * 1e3,
        )  # fmt: skip
        return Reply(body=hit.body, trace=trace)

    async def keep(self, call: Call, body: bytes, trace: Trace) -> None:
        """Stores a good answer to a call for which `wanted` is true."""
        if len(body) > LARGEST:
            return
        now = self._clock.now()
        entry = rows.Entry(
            key=_place(call), body=body, content_type="text/event-stream" if call.stream else "application/json",
            stream=call.stream, model=trace.model, created=now, expires=now + self.ttl,
        )  # fmt: skip
        with suppress(Unavailable):
            await self._database.run(rows.put, entry, TOTAL)


def _place(call: Call) -> str:
    """Everything that shapes the answer: who asks, on which surface, with which routing wishes, for what."""
    options = msgspec.structs.replace(call.options, task=None, timeout=None, cache=None)
    fields = {name: value for name, value in call.fields.items() if name != "chitty"}
    scope = [call.key.id if call.key is not None else None, call.surface, call.operation, call.stream]
    content = msgspec.json.encode([scope, msgspec.to_builtins(options), fields], order="sorted")
    return hashlib.sha256(content).hexdigest()
