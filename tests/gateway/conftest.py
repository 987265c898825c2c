"""A database for the parts of the gateway that keep something; that both kinds work alike is tested with the store."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from chittycan.store.database import Database


@pytest.fixture
def sqlite(migrated_file: Path, tmp_path: Path) -> Iterator[Database]:
    """A migrated SQLite database."""
    file = tmp_path / "chitty.db"
    shutil.copy(migrated_file, file)
    database = Database(f"sqlite:///{file}")
    yield database
    database.close()
