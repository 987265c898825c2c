"""The examples of docs/scale-out.md: the files beside it, and commands that exist."""

import configparser
import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from chittycan.cli import serve
from chittycan.cli.lazy import as_command
from chittycan.cli.main import can

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLES = CHECKOUT / "examples" / "scale-out"


def parses(command: str) -> None:
    """Whether `can` would take these arguments; nothing is run."""
    name, *arguments = shlex.split(command)
    assert name in get_command(can).list_commands(None)  # type: ignore[attr-defined]
    if name == "serve":
        as_command(serve.serve, "serve").make_context("serve", arguments)


@pytest.mark.parametrize("file", sorted(EXAMPLES.iterdir()), ids=lambda file: file.name)
def test_the_page_shows_the_file_as_it_is(file: Path) -> None:
    assert f"\n{file.read_text()}```" in (CHECKOUT / "docs" / "scale-out.md").read_text()


def test_the_unit_starts_a_worker_and_waits_for_it_to_leave() -> None:
    from chittycan.api.server import GRACE_SECONDS

    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(EXAMPLES / "chittycan-worker@.service")
    service = unit["Service"]
    parses(re.sub(r"^\S*/can ", "", service["ExecStart"]))
    assert float(service["TimeoutStopSec"]) > GRACE_SECONDS


def test_compose_starts_commands_that_exist_and_waits_for_them_to_leave() -> None:
    from chittycan.api.server import GRACE_SECONDS

    services = yaml.safe_load((EXAMPLES / "compose.yaml").read_text())["services"]
    for name in ("gateway", "worker"):
        parses(services[name]["command"])
        assert float(services[name]["stop_grace_period"].removesuffix("s")) > GRACE_SECONDS
    assert "CHITTY_DATABASE_URL" in services["worker"]["environment"]
