"""Counters that tell processes cheaply whether what they keep in memory has changed."""

from collections.abc import Awaitable, Callable

from sqlalchemy import Connection, text

from chittycan.clock import Clock
from chittycan.errors import ChittyError

POLL_SECONDS = 1.0

_CURRENT = text("SELECT revision FROM revisions WHERE name = :name")
_RAISE = text(
    "INSERT INTO revisions (name, revision) VALUES (:name, 1) "
    "ON CONFLICT (name) DO UPDATE SET revision = revisions.revision + 1"
)


def current(connection: Connection, name: str) -> int:
    """0 where nothing was ever changed."""
    return int(connection.scalar(_CURRENT, {"name": name}) or 0)


def raise_revision(connection: Connection, name: str) -> None:
    """Say that something changed; visible to others with the transaction that changed it."""
    connection.execute(_RAISE, {"name": name})


async def kept_fresh(refresh: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Refreshes what a process keeps in memory, as long as it runs."""
    while True:
        await clock.sleep(POLL_SECONDS)
        try:
            await refresh()
        except ChittyError:  # the database is away; it is said elsewhere
            continue
