"""Fixtures that every part of the tests may use."""

import os
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from chittycan.testing import FakeClock

# Whoever runs the tests side by side says how wide its terminal is; ours are to see what a pipe sees.
os.environ.pop("COLUMNS", None)
# What they have set up for their own use is nothing to tests, which could harm it.
FOR_TESTS = ("CHITTY_DATA", "CHITTY_CHAOS_MAILS")
for _name in [each for each in os.environ if each not in FOR_TESTS]:
    if _name.startswith("CHITTY_") or _name.upper().endswith(("_PROXY", "_API_KEY")):
        del os.environ[_name]

# How fast the machine is says nothing about the code. (Where `CI` is set Hypothesis has such a profile of its own.)
if not os.environ.get("CI"):
    settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("unhurried")

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

CHECKOUT = Path(__file__).resolve().parents[1]

# tests/databases.py: `database`, `database_url`, `postgres_server`. tests/serving.py: `up`, `serve`, `processes`.
# tests/desks.py: `desk`, `open_desk`.
# tests/peers.py: `http_peer`, `mail_peer`. tests/mail_servers.py: `dovecot_server`, `liar`.
pytest_plugins = ["databases", "loops", "mail_servers", "peers", "serving", "desks"]


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


# Reasons to skip that are as good where `CI` is set. Any other (no Postgres, no embedded model) is a failure there.
MAY_BE_SKIPPED = ("no data folder", "does not apply")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if os.environ.get("CI") and report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(MAY_BE_SKIPPED):
            report.outcome, report.longrepr = "failed", f"must not be skipped where CI is set: {reason}"
    return report
