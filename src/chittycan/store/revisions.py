"""Counters that tell processes cheaply whether what they keep in memory has changed."""

from sqlalchemy import Connection, text

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
