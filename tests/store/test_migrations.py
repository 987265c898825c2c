"""The schema's history leads to the tables that the code expects."""

import importlib
import pkgutil
import subprocess
import sys
from typing import Any

import pytest
from sqlalchemy import Column, Connection, MetaData, Table, Text

import chittycan.store
from chittycan.errors import ConfigError
from chittycan.store.database import Database
from chittycan.store.migrations import FOLDER, VERSION_TABLE, current, head, migrate
from chittycan.store.tables import metadata


def _differences(connection: Connection, expected: MetaData) -> list[Any]:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    context = MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, kind, _: not (kind == "table" and name == VERSION_TABLE),
        },
    )
    return list(compare_metadata(context, expected))


for _module in pkgutil.iter_modules(chittycan.store.__path__):  # each adds its tables to `metadata`
    importlib.import_module(f"chittycan.store.{_module.name}")


def test_migrated_schema_is_the_one_in_the_tables(database: Database) -> None:
    assert database.run_sync(_differences, metadata) == []


def test_a_table_without_its_migration_is_noticed(database: Database) -> None:
    expected = MetaData()
    for table in metadata.tables.values():
        table.to_metadata(expected)
    Table("forgotten", expected, Column("id", Text, primary_key=True))
    differences = database.run_sync(_differences, expected)
    assert [(kind, table.name) for kind, table in differences] == [("add_table", "forgotten")]


def test_a_database_of_a_newer_version_is_said_to_be_one(database: Database) -> None:
    newer = f"UPDATE {VERSION_TABLE} SET version_num = '9999_of_tomorrow'"
    database.run_sync(lambda connection: connection.exec_driver_sql(newer))
    with pytest.raises(ConfigError, match="newer version") as refused:
        migrate(database)
    assert refused.value.fix == "pip install --upgrade chittycan"
    assert database.run_sync(current) == "9999_of_tomorrow"


def test_newest_file_is_the_head_of_one_line_of_history() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(FOLDER))
    assert scripts.get_heads() == [head()]
    assert [script.revision for script in scripts.walk_revisions()] == sorted(
        (path.stem for path in (FOLDER / "versions").glob("[0-9]*.py")), reverse=True
    )


def test_migrating_twice_changes_nothing_and_loads_no_alembic(database: Database) -> None:
    assert database.run_sync(current) == head()
    script = (
        "import sys; from chittycan.store.database import Database; from chittycan.store.migrations import migrate;"
        "db = Database(sys.argv[1]); migrate(db); db.close(); print('alembic' in sys.modules)"
    )
    url = database.url.render_as_string(hide_password=False)
    done = subprocess.run([sys.executable, "-c", script, url], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_processes_that_start_together_migrate_once(empty_database_url: str) -> None:
    processes = 3
    script = (
        "import sys; from chittycan.store.database import Database; from chittycan.store.migrations import migrate;"
        "sys.stdin.readline(); db = Database(sys.argv[1]); migrate(db); db.close()"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, empty_database_url], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(processes)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0] * processes, errors
    database = Database(empty_database_url)
    assert database.run_sync(current) == head()
    database.close()
