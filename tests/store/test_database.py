"""Transactions: whole or not at all, private files, clear errors."""

import asyncio
import builtins
import socket
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from chittycan.errors import ConfigError, Unavailable
from chittycan.store.database import Database
from chittycan.store.revisions import current, raise_revision


async def test_what_fails_halfway_leaves_nothing(database: Database) -> None:
    def half(connection: Connection) -> None:
        raise_revision(connection, "keys")
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        await database.run(half)
    assert await database.read(current, "keys") == 0


async def test_concurrent_changes_all_count(database: Database) -> None:
    await asyncio.gather(*(database.run(raise_revision, "keys") for _ in range(40)))
    assert await database.read(current, "keys") == 40


async def test_processes_that_read_before_they_write_do_not_collide(database_url: str) -> None:
    # Two databases stand for two processes: each has its own connections and threads.
    one, two = Database(database_url), Database(database_url)

    def read_then_write(connection: Connection) -> None:
        current(connection, "keys")
        raise_revision(connection, "keys")

    await asyncio.gather(*(each.run(read_then_write) for _ in range(20) for each in (one, two)))
    assert await one.read(current, "keys") == 40
    one.close()
    two.close()


async def test_reading_does_not_wait_for_a_writer(database: Database) -> None:
    writing, read = threading.Event(), threading.Event()

    def slow(connection: Connection) -> bool:
        raise_revision(connection, "keys")
        writing.set()
        return read.wait(timeout=30)

    writer = asyncio.create_task(database.run(slow))
    await asyncio.to_thread(writing.wait)
    assert await database.read(current, "keys") == 0
    read.set()
    assert await writer


async def test_who_is_cancelled_leaves_when_the_transaction_is_over(database: Database) -> None:
    writing, goes_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        writing.set()
        assert goes_on.wait(timeout=30)
        raise_revision(connection, "keys")

    async def leaving() -> int:
        """What is there for whoever tidies up after a transaction that nobody wants any more."""
        try:
            await database.run(slow)
        except asyncio.CancelledError:
            return await database.read(current, "keys")
        raise AssertionError("it was cancelled")

    caller = asyncio.create_task(leaving())
    await asyncio.to_thread(writing.wait)
    for _ in range(2):  # impatience makes no difference
        caller.cancel()
        await asyncio.sleep(0)
    goes_on.set()
    assert await caller == 1


async def test_a_transaction_that_met_another_is_tried_again(database: Database) -> None:
    attempts = 0

    def busy(connection: Connection) -> int:
        nonlocal attempts
        attempts += 1
        raise_revision(connection, "keys")
        if attempts < 3:
            _collide(connection)
        return attempts

    assert await database.run(busy) == 3
    assert await database.read(current, "keys") == 1


def _collide(connection: Connection) -> None:
    from sqlalchemy.exc import OperationalError

    if connection.dialect.name == "postgresql":
        connection.execute(text("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40001'; END $$"))
    raise OperationalError("UPDATE", {}, sqlite3.OperationalError("database is locked"))


def test_files_and_folders_are_private(tmp_path: Path) -> None:
    file = tmp_path / "share" / "chitty" / "chitty.db"
    database = Database(f"sqlite:///{file}")
    database.run_sync(lambda connection: connection.execute(text("CREATE TABLE t (a)")))
    modes = {path.name: path.stat().st_mode & 0o777 for path in file.parent.iterdir()}
    assert set(modes) == {"chitty.db", "chitty.db-wal", "chitty.db-shm"}
    assert set(modes.values()) == {0o600}
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.parent.parent.stat().st_mode & 0o777 == 0o700
    database.close()


def test_sqlite_keeps_its_promises(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/chitty.db")

    def pragmas(connection: Connection) -> Mapping[str, Any]:
        return {name: connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "foreign_keys")}

    assert database.run_sync(pragmas) == {"journal_mode": "wal", "foreign_keys": 1}
    database.close()


@pytest.mark.parametrize("url", ["nonsense", "mysql://localhost/db", "sqlite://", "sqlite:///:memory:", "oracle+x://"])
def test_an_address_that_cannot_be_used_names_the_setting_and_the_forms(url: str) -> None:
    with pytest.raises(ConfigError, match="CHITTY_DATABASE_URL") as refused:
        Database(url)
    assert "postgresql://" in str(refused.value.fix)


def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without_psycopg(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == "psycopg":
            raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_psycopg)
    with pytest.raises(Unavailable) as refused:
        Database("postgresql://localhost/chitty")
    assert refused.value.fix == "pip install 'chittycan[postgres]'"


def test_a_server_that_is_away_is_named_without_its_password(free_port: int) -> None:
    database = Database(f"postgresql://chitty:hunter2@127.0.0.1:{free_port}/chitty")
    with pytest.raises(Unavailable) as refused:
        database.run_sync(lambda connection: connection.scalar(text("SELECT 1")))
    assert f"127.0.0.1:{free_port}" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    database.close()


def test_a_server_that_says_nothing_is_not_waited_for_longer_than_for_one_that_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chittycan.store.database.CONNECT_SECONDS", 2)  # no less: libpq
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = Database(f"postgresql://chitty@127.0.0.1:{silent.getsockname()[1]}/chitty")
        with pytest.raises(Unavailable, match="timeout"):
            database.run_sync(lambda connection: connection.scalar(text("SELECT 1")))
        database.close()


def test_a_server_whose_network_is_cut_is_given_up_as_the_owner_says(postgres_server: str) -> None:
    def parameters(url: str) -> dict[str, str]:
        database = Database(url)
        driver: Any = database.run_sync(lambda connection: connection.connection.driver_connection)
        found: dict[str, str] = driver.info.get_parameters()
        database.close()
        return found

    usual = parameters(postgres_server)
    assert (usual["keepalives_idle"], usual["tcp_user_timeout"]) == ("10", "25000")
    given = parameters(f"{postgres_server}&tcp_user_timeout=7000")
    assert (given["keepalives_idle"], given["tcp_user_timeout"]) == ("10", "7000")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="file"):
        Database(f"sqlite:///{tmp_path}/file/chitty.db")


async def test_who_freezes_in_a_transaction_does_not_stop_the_others(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database_url.startswith("sqlite"):
        pytest.skip("does not apply: SQLite cannot take a lock back")
    monkeypatch.setattr("chittycan.store.database.FROZEN_MS", 200)
    frozen, other = Database(database_url), Database(database_url)
    holds, thaws = threading.Event(), threading.Event()

    def freeze(connection: Connection) -> None:
        raise_revision(connection, "keys")
        holds.set()
        thaws.wait(10)

    freezing = asyncio.ensure_future(frozen.run(freeze))
    await asyncio.to_thread(holds.wait, 10)
    await other.run(raise_revision, "keys")
    thaws.set()
    await freezing  # what it had done is void, so it begins anew
    assert await other.read(current, "keys") == 2
    frozen.close()
    other.close()
