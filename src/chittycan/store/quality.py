"""What was learnt about the models' quality: one row per training, of which the newest is in use."""

from typing import Any

from sqlalchemy import Column, Connection, Double, Integer, LargeBinary, Table, Text, delete, insert, select

from chittycan.store.revisions import raise_revision
from chittycan.store.tables import metadata

REVISION = "quality"
KEPT = 5  # trainings

quality = Table(
    "quality",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("data", LargeBinary, nullable=False),  # routing.quality.Quality.dump()
    Column("facts", Text, nullable=False),  # JSON: what it was learnt from and how well it does
)


def keep(connection: Connection, data: bytes, facts: str, at: float) -> int:
    """Makes this what is in use; returns its id. Only the last few are kept."""
    made = connection.execute(insert(quality).values(at=at, data=data, facts=facts).returning(quality.c.id))
    number = int(made.scalar_one())
    connection.execute(delete(quality).where(quality.c.id <= number - KEPT))
    raise_revision(connection, REVISION)
    return number


def newest(connection: Connection) -> dict[str, Any] | None:
    """The row in use."""
    row = connection.execute(select(quality).order_by(quality.c.id.desc()).limit(1)).first()
    return None if row is None else dict(row._mapping)


def forget(connection: Connection) -> int:
    """Deletes all that was learnt; returns how many trainings it were."""
    count = connection.execute(delete(quality)).rowcount
    raise_revision(connection, REVISION)
    return count
