"""Fixtures that every part of the tests may use."""

import os
import socket
from pathlib import Path

import pytest

from chittycan.testing import FakeClock

CHECKOUT = Path(__file__).resolve().parents[1]

# tests/databases.py: `database`, `database_url`, `postgres_server`. tests/serving.py: `up`, `serve`, `processes`.
pytest_plugins = ["databases", "loops", "serving"]


@pytest.fixture
def clock() -> FakeClock:
    """A clock that the test moves."""
    return FakeClock()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets: `$CHITTY_DATA`, else `../shared/data` beside the checkout."""
    folder = Path(os.environ.get("CHITTY_DATA") or CHECKOUT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no data folder at {folder}; set CHITTY_DATA to one")
    return folder


@pytest.fixture
def free_port() -> int:
    """A loopback port on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
