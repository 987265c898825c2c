"""The root of `can`: help, spelling, exit codes, and what a start costs."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from chittycan.cli.main import COMMANDS


def test_help_lists_every_command(can: Any) -> None:
    said = can("--help")
    assert said.code == 0
    for name in COMMANDS:
        assert f"  {name} " in said.out


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(can: Any, name: str) -> None:
    said = can(name, "--help")
    assert said.code == 0
    assert said.out.startswith("Usage: ")


@pytest.mark.parametrize(
    ("guess", "meant"),
    [
        (("asks",), "can ask"),
        (("ruoter", "inbox"), "can router"),
        (("explian", "hi"), "can explain"),
        (("router", "inbx"), "can router inbox"),
        (("router", "inbox", "proces"), "can router inbox process"),
        (("inbox", "list"), "can router inbox"),  # a group that stands elsewhere
        (("drafts",), "can router drafts"),
        (("draft", "list"), "can router drafts"),
        (("integrations", "list"), "can connect integrations"),
        (("router", "keys"), "can keys"),
        (("schedules",), "can workstreams schedules"),
    ],
)
def test_a_wrong_guess_at_a_command_is_told_the_right_one(can: Any, guess: tuple[str, ...], meant: str) -> None:
    said = can(*guess)
    assert said.code == 2
    assert "→ did you mean " in said.err
    assert f"`{meant}`" in said.err


def test_a_command_that_resembles_none_is_told_what_there_is(can: Any) -> None:
    said = can("router", "rules", "xyzzy")
    assert (said.code, said.out) == (2, "")
    assert "✗ can router rules has no command 'xyzzy'" in said.err
    assert "→ it has create, list, change, test, delete" in said.err


def test_a_missing_argument_and_a_wrong_option_show_how_it_is_written(can: Any) -> None:
    missing, wrong = can("router", "drafts", "show"), can("ask", "hi", "--modle", "x")
    assert (missing.code, wrong.code) == (2, 2)
    assert missing.err.startswith("✗ Missing argument")
    assert "→ Usage: can router drafts show " in missing.err
    assert "--model" in wrong.err


def test_help_at_80_columns_cuts_no_line_off(can: Any, monkeypatch: Any) -> None:
    """Typer ends what is too long with `...`."""
    monkeypatch.setenv("COLUMNS", "80")

    def cut_off(*path: str) -> list[str]:
        said = can(*path, "--help").out
        if "Commands:" not in said:
            return []
        shown = said.partition("Commands:\n")[2].splitlines()
        names = [line.split()[0] for line in shown if line.startswith("  ") and not line.startswith("   ")]
        here = [" ".join((*path, line)) for line in shown if line.endswith("...")]
        return here + [line for name in names for line in cut_off(*path, name)]

    assert not [line for name in COMMANDS for line in cut_off(name)]


def test_a_bug_is_one_line_and_not_a_page(can: Any, home: Any, monkeypatch: Any) -> None:
    home.write({})

    def broken(*_: object) -> None:
        raise LookupError("secret detail")

    monkeypatch.setattr("chittycan.cli.session.load", broken)
    said = can("keys", "list")
    assert said.code == 1
    assert "Something broke inside ChittyCan: LookupError." in said.err
    assert "secret detail" not in said.err


@pytest.mark.parametrize("command", ["['--help']", "['ask', '--help']", "['config', 'path']"])
def test_small_commands_load_no_database_and_no_server(home: Any, command: str) -> None:
    program = (
        "import sys; from chittycan.cli.main import run\n"
        f"try: run({command})\n"
        "except SystemExit: pass\n"
        "heavy = {'sqlalchemy', 'fastapi', 'httptools', 'genai_prices'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], env=home.environment, stdout=subprocess.DEVNULL, check=True)


def test_a_command_that_reads_the_database_loads_neither_a_server_nor_another_database(home: Any) -> None:
    program = (
        "import sys; from chittycan.cli.main import run\n"
        "try: run(['router', 'drafts', 'list'])\n"
        "except SystemExit: pass\n"
        "heavy = {'fastapi', 'uvicorn', 'dbos', 'alembic', 'psycopg', 'genai_prices', 'chittycan.cli.router.inbox',\n"
        "         'sqlalchemy.dialects.postgresql'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    for _ in range(2):  # the first makes the database
        done = subprocess.run(
            [sys.executable, "-c", program], env=home.environment, check=False, capture_output=True, text=True
        )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("module", ["typer", "rich.console", "sqlalchemy"])
def test_ctrl_c_is_quiet_also_while_the_program_is_being_loaded(home: Any, module: str) -> None:
    """The entry that pyproject.toml names, interrupted at the import of `module`."""
    home.write({})
    entry = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["scripts"]["can"]
    program = (
        "import sys, importlib\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "sys.argv = ['can', 'router', 'drafts', 'list']\n"
        f"start, name = {entry!r}.split(':')\n"
        "getattr(importlib.import_module(start), name)()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], env=home.environment, check=False, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "stopped\n")
