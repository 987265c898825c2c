"""`can connect`: proxies, what they spent, integrations, and the API's document."""

import json
import subprocess
import sys
from typing import Any

import pytest

from chittycan.testing import ANSWER


def test_a_proxy_answers_with_its_default_model(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    said = can("connect", "proxy", "anthropic", "hello")
    assert (said.code, said.out) == (0, ANSWER + "\n")
    assert said.err.startswith("✓ claude-sonnet-4-5 (")
    assert upstream.asked() == ["claude-sonnet-4-5"]


def test_json_is_one_line_with_exactly_the_promised_fields(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    said = can("connect", "proxy", "openai", "hello", "--json")
    assert len(said.lines) == 1
    assert list(said.json) == ["model", "text", "cost_usd", "ms", "tokens"]
    assert (said.json["model"], said.json["text"], said.json["tokens"]) == ("gpt-4o", ANSWER, 57)


def test_an_answer_that_is_json_comes_parsed(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    said = can("connect", "proxy", "openai", "hello", "--model", "echo", "--json")
    assert said.json["json"]["model"] == "echo"


def test_three_proxies_in_a_shell_make_three_lines(shell: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    can = f"{sys.executable} -m chittycan.cli.main connect proxy"
    script = f"for p in openai anthropic openai; do {can} $p hello --json & done; wait"
    done = subprocess.run(
        ["sh", "-c", script], env=home.environment | {"PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
        check=True, timeout=60,
    )  # fmt: skip
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == [ANSWER] * 3


def test_a_mistyped_proxy_gets_a_suggestion(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    said = can("connect", "proxy", "antropic", "hello")
    assert said.code == 1
    assert "Did you mean anthropic?" in said.err


def test_a_proxy_without_its_key_says_which(can: Any, home: Any) -> None:
    home.proxies({"openai": {"apiKey": "env:MY_KEY"}})
    said = can("connect", "proxy", "openai", "hello")
    assert said.code == 1
    assert "MY_KEY is not set" in said.err


def test_usage_lists_calls_and_cost_by_provider_and_model(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies(), {"models": {"dear": {
        "proxy": "openai", "upstream": "ok", "price": {"input": 1000, "output": 1000}}}})  # fmt: skip
    can("connect", "proxy", "openai", "hello")
    can("ask", "hello", "--model", "dear")
    said = can("connect", "proxy", "usage", "--json")
    found = {row["name"]: (row["calls"], row["input"], row["cost_usd"]) for row in said.json}
    assert found["openai/gpt-4o"][:2] == (1, 17)
    assert found["openai/dear"] == (1, 17, pytest.approx(0.057))
    table = can("connect", "proxy", "usage", "--since", "2d").out
    assert table.splitlines()[0].split()[:3] == ["provider", "model", "calls"]
    assert "Total: 2 calls" in table


def test_usage_of_a_time_that_is_none(can: Any, home: Any) -> None:
    said = can("connect", "proxy", "usage", "--since", "yesterday")
    assert said.code == 2
    assert "as in 30d" in said.err


@pytest.mark.parametrize("word", ["integration", "integrations"])
def test_integrations_are_listed_with_where_their_keys_are(can: Any, home: Any, upstream: Any, word: str) -> None:
    home.proxies(upstream.proxies() | {"groq": {"apiKey": "env:GROQ_API_KEY"}})
    said = can("connect", word, "list", "--json")
    rows = {row["name"]: row for row in said.json}
    assert rows["openai"]["keys"] == ["literal"]
    assert rows["openai"]["default_model"] == "gpt-4o"
    assert rows["groq"]["status"] == "skipped"
    assert "CANARY" not in said.out + can("connect", word, "list").out


def test_a_new_model_is_usable_at_once_and_the_default(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    said = can("connect", "integration", "add", "openai", "--model", "gpt-99-new")
    assert said.code == 0
    assert home.read()["remotes"]["connect"]["proxies"]["openai"]["defaultModel"] == "gpt-99-new"
    can("connect", "proxy", "openai", "hello")
    assert upstream.asked() == ["gpt-99-new"]


def test_a_key_on_the_command_line_is_refused_with_the_fix(can: Any, home: Any) -> None:
    home.write({})
    said = can("connect", "integration", "add", "openai", "--api-key", "sk-secret")
    assert said.code == 2
    assert "env:OPENAI_API_KEY" in said.err
    assert home.read() == {"embedded": {"enabled": False}}


def test_a_provider_of_ones_own_needs_an_endpoint(can: Any, home: Any, upstream: Any) -> None:
    home.write({})
    assert can("connect", "integration", "add", "mine").code == 2
    added = can("connect", "integrations", "add", "mine", "--endpoint", f"{upstream.url}/v1", "--model", "ok", "--json")
    assert (added.json["status"], added.json["default_model"]) == ("ready", "ok")
    assert can("connect", "proxy", "mine", "hello").out == ANSWER + "\n"


def test_the_test_asks_each_provider_and_says_what_a_failure_means(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    upstream.script("claude-sonnet-4-5", "s15-quota")
    said = can("connect", "integration", "test", "--json")
    assert said.code == 1
    rows = {row["provider"]: row for row in said.json}
    assert rows["openai"]["success"] is True
    assert (rows["anthropic"]["failure"], rows["anthropic"]["status"]) == ("quota", 400)
    assert "no credit left" in rows["anthropic"]["problem"]
    assert sorted(upstream.asked()) == ["claude-sonnet-4-5", "gpt-4o"]


def test_a_refused_key_is_named_by_where_it_stands(can: Any, home: Any, upstream: Any) -> None:
    home.proxies({"openai": {**upstream.proxies()["openai"], "apiKey": "file:key"}})
    (home.config / "key").write_text("sk-CANARY")
    upstream.script("gpt-4o", "s16-bad-key")
    said = can("connect", "integration", "test", "openai")
    assert said.code == 1
    assert "✗ openai gpt-4o: the provider refused the key (credential, 401)" in said.out
    assert "→ Correct file:key" in said.out
    assert "CANARY" not in said.out + said.err


def test_a_removed_integration_is_gone(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    assert can("connect", "integration", "remove", "openai").code == 0
    assert list(home.read()["remotes"]["connect"]["proxies"]) == ["anthropic"]
    assert can("connect", "integration", "remove", "openai").code == 1


def test_the_document_of_the_api_can_be_exported(can: Any, home: Any) -> None:
    document = can("connect", "openapi", "export").json
    assert document["openapi"].startswith("3.")
    assert {"/v1/chat/completions", "/v1/messages", "/api/v1/keys", "/api/v1/usage/{request_id}"} <= set(
        document["paths"]
    )
    assert can("connect", "openapi", "export", "api.json").code == 0
    assert can("connect", "openapi", "export", "no/such/folder/api.json").code == 2
