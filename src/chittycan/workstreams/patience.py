"""What was done must not be lost because the database restarts: transactions that are tried until they are made."""

from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from chittycan.clock import Clock
from chittycan.errors import Unavailable
from chittycan.store.database import Database

P = ParamSpec("P")
T = TypeVar("T")

AWAY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)  # between tries while the database is away; the last one for ever


class Patience:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def run(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **more: P.kwargs) -> T:
        """`work` in a transaction, sooner or later. It may be made twice, where nobody knows whether the first was."""
        return await self.until_made(lambda: self._database.run(work, *args, **more))

    async def until_made(self, work: Callable[[], Awaitable[T]]) -> T:
        """What several transactions make, from the beginning whenever the database was away."""
        tries = 0
        while True:
            try:
                return await work()
            except Unavailable:
                await self._clock.sleep(AWAY_SECONDS[min(tries, len(AWAY_SECONDS) - 1)])
                tries += 1
