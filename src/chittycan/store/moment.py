"""The time as the database has it: of all who share it none needs a clock that agrees with the others'."""

from sqlalchemy import ColumnElement, Connection, Double, func


def now(connection: Connection) -> ColumnElement[float]:
    """Unix seconds at the moment when the row is looked at or written, not at the transaction's beginning."""
    if connection.dialect.name == "postgresql":
        return func.extract("epoch", func.clock_timestamp()).cast(Double)
    return (func.julianday("now") - 2440587.5) * 86400.0
