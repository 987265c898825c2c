"""`can config`, `show`, `path` and `check`."""

import os
import pty
import select
import subprocess
import sys
from typing import Any

import pytest

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "COLUMNS": "120", "TERM": "xterm"}


def on_a_terminal(home: Any, answers: list[tuple[str, str]], **environment: str) -> str:
    """Runs `can config` on a pseudo-terminal and answers each question as it appears; what the terminal showed."""
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "chittycan.cli.main", "config"], stdin=terminal, stdout=terminal, stderr=terminal,
        env=home.environment | ENVIRONMENT | environment, start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    with process:
        shown = _answered(main, answers)
    os.close(main)
    return shown


def _answered(main: int, answers: list[tuple[str, str]]) -> str:
    shown, seen = "", 0
    for question, answer in [*answers, ("Summary:", "")]:
        while question not in shown[seen:]:
            assert select.select([main], [], [], 30)[0], f"waiting for {question!r} after {shown!r}"
            shown += os.read(main, 65536).decode("utf-8", "replace")
        seen = shown.index(question, seen) + len(question)
        if question != "Summary:":
            os.write(main, answer.encode() + b"\n")
    return shown


def test_the_steps_lead_from_a_new_remote_to_three_providers(home: Any) -> None:
    home.write({})
    shown = on_a_terminal(
        home,
        [
            ("New remote", ""), ("ChittyConnect", ""), ("Server", ""), ("Enable OpenAI?", ""),
            ("Default model", "gpt-4"), ("Enable Anthropic?", "y"), ("not shown): ", "sk-ant-CANARY"),
            ("Default model", ""), ("Enable local models", "y"), ("Endpoint", "http://localhost:1234/v1"),
            ("Another provider?", ""),
        ],
        OPENAI_API_KEY="sk-CANARY",
    )  # fmt: skip
    remote = home.read()["remotes"]["connect"]
    assert (remote["type"], remote["baseUrl"]) == ("chittyconnect", "http://127.0.0.1:8787")
    assert remote["proxies"] == {
        "openai": {"enabled": True, "apiKey": "env:OPENAI_API_KEY", "defaultModel": "gpt-4"},
        "anthropic": {"enabled": True, "apiKey": "file:secrets/anthropic"},
        "local": {"enabled": True, "endpoint": "http://localhost:1234/v1"},
    }
    secret = home.config / "secrets" / "anthropic"
    assert (secret.read_text(), secret.stat().st_mode & 0o777) == ("sk-ant-CANARY\n", 0o600)
    assert "CANARY" not in shown + (home.config / "config.json").read_text()


def test_without_a_terminal_everything_found_is_taken(can: Any, home: Any, monkeypatch: Any) -> None:
    home.write({})
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-CANARY")
    said = can("config")
    assert said.code == 0
    assert home.read()["remotes"]["connect"]["proxies"]["anthropic"] == {
        "enabled": True, "apiKey": "env:ANTHROPIC_API_KEY",
    }  # fmt: skip
    assert "CANARY" not in said.out
    assert "Summary:" in said.out


def test_what_is_configured_is_left_as_it_is(can: Any, home: Any, monkeypatch: Any) -> None:
    home.proxies({"openai": {"enabled": False}})
    before = home.read()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-CANARY")
    said = can("config", "--yes")
    assert home.read() == before
    assert "nothing had to be changed" in said.out


def test_show_hides_literal_secrets(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies(headers={"x-team": "CANARY"}), {"fallbacks": {"gpt-4o": ["claude-sonnet-4-5"]}})
    said = can("config", "show", "--json")
    assert said.json["proxies"]["openai"]["apiKey"] == ["(hidden)"]
    assert said.json["fallbacks"] == {"gpt-4o": ["claude-sonnet-4-5"]}
    shown = can("config", "show").out
    assert "gpt-4o: claude-sonnet-4-5" in shown
    assert "CANARY" not in said.out + shown


def test_show_hides_the_databases_password(can: Any, home: Any, monkeypatch: Any) -> None:
    home.write({})
    monkeypatch.setenv("CHITTY_DATABASE_URL", "postgresql://me:CANARY@db.example/chitty")
    said = can("config", "show", "--json")
    assert said.json["database"] == "postgresql://me@db.example/chitty"


def test_path_is_the_folder(can: Any, home: Any) -> None:
    assert can("config", "path").out == f"{home.config}\n"
    assert can("config", "path", "--json").json["config"] == str(home.config / "config.json")


def test_check_points_at_the_broken_line(can: Any, home: Any) -> None:
    home.write({})
    (home.config / "config.json").write_text('{"remotes": {},\n  "budgets" 3}\n')
    said = can("config", "check")
    assert said.code == 1
    assert "config.json:2:13" in said.err
    broken = can("config", "check", "--json")
    assert (broken.code, broken.json["ok"], broken.json["line"]) == (1, False, 2)


def test_check_warns_of_unknown_keys_and_passes(can: Any, home: Any) -> None:
    home.write({"remotse": {}})
    said = can("config", "check")
    assert said.code == 0
    assert "remotse" in said.out


@pytest.mark.parametrize("command", [["ask", "hi"], ["keys", "list"], ["config", "--yes"]])
def test_a_broken_file_stops_every_command_and_is_never_overwritten(can: Any, home: Any, command: list[str]) -> None:
    home.write({})
    (home.config / "config.json").write_text("{")
    said = can(*command)
    assert said.code == 1
    assert "config.json" in said.err
    assert (home.config / "config.json").read_text() == "{"
