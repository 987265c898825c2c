"""The schema's history: `migrate` brings a database to the newest version.

How to add a migration: README.md beside this file.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from chittycan.errors import ConfigError
from chittycan.store.database import URL_SOURCE, Database

# Not Alembic's default name: the database may also hold tables of other programs that use Alembic.
VERSION_TABLE = "chitty_version"
FOLDER = Path(__file__).parent
# Any constant; processes that migrate the same Postgres database take turns on it.
ADVISORY_LOCK = 4_207_849_484_001


def head() -> str:
    """The newest version: the files are numbered, and a version is its file's name."""
    return max(_versions())


def _versions() -> set[str]:
    return {path.stem for path in (FOLDER / "versions").glob("[0-9]*.py")}


def current(connection: Connection) -> str | None:
    """The version that this database has; None where it was never migrated."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
    return version


def migrate(database: Database) -> None:
    """Bring the schema to the newest version; safe when several processes start at once.

    Alembic is imported only where there is something to do: it costs 25 MB and 0.1 s.
    Raises ConfigError for a database that a newer ChittyCan has migrated, and Unavailable.
    """
    if database.run_sync(current) != head():
        database.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    # On SQLite the transaction is IMMEDIATE: a second process waits for this one before it looks.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
    found = current(connection)
    if found == head():
        return
    if found is not None and found not in _versions():
        problem = f"the database was used by a newer version of ChittyCan: it is at {found}, this one knows {head()}"
        raise ConfigError(problem, file=URL_SOURCE, fix="pip install --upgrade chittycan")
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
