"""`can doctor`."""

import json
from typing import Any

import pytest

from chittycan.control.checks import Check, counted, report
from chittycan.version import VERSION


def checks(said: Any) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for each in said.json["checks"]:
        found.setdefault(each["name"], []).append((each["status"], each["message"]))
    return found


def test_a_sound_machine_passes(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    said = can("doctor", "--json")
    found = checks(said)
    assert said.code == 0
    assert said.json["summary"]["failed"] == 0
    assert [found[name][0][0] for name in ("Python", "Configuration", "File modes", "Database", "Keys", "Disk")] == [
        "ok"
    ] * 6
    assert found["Provider openai"][0][1].startswith("literal, default model gpt-4o")
    assert "CANARY" not in said.out


def test_lines_end_in_a_summary(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies() | {"groq": {"apiKey": "env:GROQ_API_KEY"}})
    said = can("doctor")
    assert said.code == 0
    assert "! Provider groq: the environment variable GROQ_API_KEY is not set" in said.lines
    assert said.lines[said.lines.index("! Provider groq: the environment variable GROQ_API_KEY is not set") + 1] == (
        "    → export GROQ_API_KEY=…; or: can connect integration add groq --api-key env:NAME"
    )
    assert said.lines[-1].startswith("Summary: ")
    assert said.lines[-1].endswith(" 1 warning, 0 failed")


def test_a_broken_file_is_a_failure_with_its_place(can: Any, home: Any) -> None:
    home.write({})
    (home.config / "config.json").write_text('{"remotes": [}')
    said = can("doctor", "--json")
    assert said.code == 1
    assert "config.json:1:14" in checks(said)["Configuration"][0][1]
    assert "Disk" in checks(said)


def test_no_model_at_all_is_a_failure(can: Any, home: Any) -> None:
    home.write({})
    said = can("doctor")
    assert said.code == 1
    assert "✗ Providers: no model can be called" in said.lines


def test_files_that_others_can_read_are_named(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    (home.config / "config.json").chmod(0o644)
    said = can("doctor")
    assert f"    → chmod 600 {home.config / 'config.json'}" in said.lines


def test_a_fresh_machine_has_no_database_yet(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    (home.data / "chitty.db").unlink()
    said = can("doctor", "--json")
    assert said.code == 0
    assert checks(said)["Database"] == [("ok", f"{home.data / 'chitty.db'} is made on first use")]
    assert not (home.data / "chitty.db").exists()


def test_a_database_of_a_newer_version_is_a_failure(can: Any, home: Any, upstream: Any) -> None:
    import sqlite3

    home.proxies(upstream.proxies())
    connection = sqlite3.connect(home.data / "chitty.db")
    connection.execute("UPDATE chitty_version SET version_num = '9999_future'")
    connection.commit()
    connection.close()
    said = can("doctor", "--json")
    assert said.code == 1
    assert "newer than this program" in checks(said)["Database"][0][1]


def test_a_file_that_is_no_database_is_a_failure(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    (home.data / "chitty.db").write_text("not a database, whatever its name says")
    said = can("doctor", "--json")
    assert said.code == 1
    assert checks(said)["Database"][0][0] == "fail"


def test_keys_and_calls_are_counted(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    can("ask", "hello")
    can("keys", "create", "--name", "short", "--expires", "2d")
    found = checks(can("doctor", "--json"))
    assert found["Keys"][0] == ("ok", "1 in use of 1")
    assert "'short' expires in 2.0 days" in found["Keys"][1][1]
    assert found["Ledger"][0][1].startswith("last call ")


def test_deep_asks_every_provider(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    upstream.script("claude-sonnet-4-5", "s16-bad-key")
    said = can("doctor", "--deep", "--json")
    found = checks(said)
    assert said.code == 1
    assert found["Answer from openai"][0][0] == "ok"
    assert found["Answer from anthropic"] == [("fail", "the provider refused the key")]


def test_a_server_with_other_data_is_told_apart(can: Any, home: Any, upstream: Any, impostor: Any) -> None:
    home.proxies(upstream.proxies(), baseUrl=impostor.url)
    status, message = checks(can("doctor", "--json"))["Server"][0]
    assert (status, "a ChittyCan with other data answers" in message) == ("warn", True)


def test_a_running_server_is_asked_how_it_is(can: Any, home: Any, upstream: Any, server: Any) -> None:
    home.proxies(upstream.proxies(), baseUrl=server)
    assert checks(can("doctor", "--json"))["Server"] == [("ok", f"version {VERSION} answers at {server}")]


@pytest.mark.parametrize("text", ["All is well. Two things warn. And more.", "All is well. Two things warn."])
def test_a_local_models_summary_is_two_sentences(monkeypatch: Any, text: str) -> None:
    import asyncio

    from chittycan.cli import doctor, remote

    asked: list[Any] = []

    async def answer(method: str, url: str, body: Any, seconds: float) -> Any:
        asked.append((url, body))
        return {"choices": [{"message": {"content": text}}]}

    monkeypatch.setattr(remote, "exchange", answer)
    said = asyncio.run(doctor._summed_up([Check("Disk", "warn", "low")], ("http://127.0.0.1:1/v1", "tiny")))
    assert said == {"model": "tiny", "text": "All is well. Two things warn."}
    assert asked[0][0] == "http://127.0.0.1:1/v1/chat/completions"
    assert "Disk: low" in json.dumps(asked[0][1])


def test_every_server_that_sends_mail_is_named(can: Any, home: Any, upstream: Any, monkeypatch: Any) -> None:
    login = {"tokenUrl": "https://t.example/token", "clientId": "c", "refreshToken": "env:REFRESH"}
    gmail = {"type": "imap", "host": "imap.gmail.com", "user": "anna@x.example", "oauth": login}
    gmail["smtp"] = {"host": "smtp.gmail.com", "from": "Anna <anna@x.example>", "auth": "xoauth2"}
    own = {"host": "mail.x.example", "from": "office@x.example", "user": "office", "password": "env:SMTP_PASSWORD"}
    home.write({"smtp": own, "integrations": {"gmail": gmail}})
    said = can("doctor")
    assert "✗ Mail server: config.json: smtp.password: the environment variable SMTP_PASSWORD is not set" in said.out
    assert "✓ Mail server of gmail: smtp.gmail.com sends as Anna <anna@x.example> with a token" in said.out
    monkeypatch.setenv("SMTP_PASSWORD", "x")
    assert "✓ Mail server: mail.x.example sends as office@x.example with a password" in can("doctor").out


def test_the_report_says_nothing_of_what_is_well() -> None:
    found = [Check("A", "ok", "secret detail"), Check("B", "warn", "odd"), Check("C", "fail", "broken")]
    assert report(found) == "1 checks passed. Warnings: B: odd. Failures: C: broken."
    assert counted(found) == {"passed": 1, "warnings": 1, "failed": 1}


def test_a_budget_beyond_its_first_alarm_is_a_warning(can: Any, home: Any, upstream: Any) -> None:
    price = {"input": 1000, "output": 2000}
    home.proxies(upstream.proxies(), {"models": {"dear": {"proxy": "openai", "upstream": "ok", "price": price}}})
    home.write(home.read() | {"budgets": {"month": 10, "alarm": [0.009]}})
    can("doctor")
    assert "the most that is spent is 0% of $10 of this month, all keys together" in can("doctor").out
    assert can("ask", "hello", "--model", "dear").code == 0
    said = can("doctor").out
    assert "! Budget: 1% of $10 of this month is spent: all keys together" in said
    assert "can keys list" in said
