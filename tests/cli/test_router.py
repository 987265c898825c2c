"""`can router models` and `can router analytics`."""

from typing import Any

import pytest


@pytest.mark.parametrize("word", ["model", "models"])
def test_models_are_listed_with_their_provider(can: Any, home: Any, upstream: Any, word: str) -> None:
    home.proxies(upstream.proxies(), {"models": {"mine": {"proxy": "openai", "upstream": "ok", "private": True}}})
    rows = {row["name"]: row for row in can("router", word, "list", "--json").json}
    assert (rows["gpt-4o"]["provider"], rows["gpt-4o"]["status"], rows["gpt-4o"]["default"]) == (
        "openai",
        "ready",
        True,
    )
    assert (rows["mine"]["private"], rows["mine"]["upstream"]) == (True, "ok")
    assert "mine" in can("router", word, "list").out


def test_models_that_lack_something_are_listed_on_request(can: Any, home: Any) -> None:
    home.write({})
    assert can("router", "models", "list", "--json").json == []
    rows = {row["name"]: row for row in can("router", "models", "list", "--all", "--json").json}
    assert rows["gpt-4o"] | {} == rows["gpt-4o"]
    assert (rows["gpt-4o"]["status"], rows["gpt-4o"]["why"]) == ("unavailable", "needs OPENAI_API_KEY")


def test_models_are_tested_one_by_one(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies(), {"fallbacks": {"gpt-4o": ["claude-sonnet-4-5"]}})
    upstream.script("gpt-4o", "404-model")
    said = can("router", "models", "test", "gpt-4o", "claude-sonnet-4-5")
    assert said.code == 1
    assert "✗ openai gpt-4o: the provider has no such model" in said.out
    assert "✓ anthropic claude-sonnet-4-5 (" in said.out
    assert sorted(upstream.asked()) == ["claude-sonnet-4-5", "gpt-4o"]


def test_an_unknown_model_cannot_be_tested(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    said = can("router", "models", "test", "gibt-4o")
    assert said.code == 1
    assert "Did you mean" in said.err


def test_the_default_chain_is_shown_and_set(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    assert can("router", "models", "fallback-chain", "--json").json["chain"] == ["gpt-4o", "claude-sonnet-4-5"]
    said = can("router", "models", "fallback-chain", "--set", "claude-sonnet-4-5,gpt-4o")
    assert said.code == 0
    assert home.read("models.json") == {"fallbacks": {"*": ["claude-sonnet-4-5", "gpt-4o", "smollm2"]}}
    assert can("router", "models", "fallback-chain").lines[0] == "claude-sonnet-4-5 → gpt-4o"
    can("ask", "hello")
    assert upstream.asked() == ["claude-sonnet-4-5"]


def test_a_models_own_chain(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    can("router", "models", "fallback-chain", "gpt-4o", "--set", "claude-sonnet-4-5")
    assert home.read("models.json") == {"fallbacks": {"gpt-4o": ["claude-sonnet-4-5"]}}
    assert can("router", "models", "fallback-chain", "gpt-4o", "--json").json["chain"] == [
        "gpt-4o",
        "claude-sonnet-4-5",
    ]


def test_a_chain_of_unknown_models_is_not_written(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    said = can("router", "models", "fallback-chain", "--set", "clod-sonnet-4-5")
    assert said.code == 1
    assert "Did you mean claude-sonnet-4-5?" in said.err
    assert not (home.config / "models.json").exists()


def test_analytics_count_agents_and_routes(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    upstream.script("gpt-4o", "s16-bad-key")
    can("ask", "hello", "--kind", "email.triage")
    upstream.script("claude-sonnet-4-5", "s16-bad-key")
    can("ask", "hello", "--kind", "email.triage")
    agents = can("router", "analytics", "agents", "--json").json
    assert [(row["agent"], row["invocations"], row["success_rate"]) for row in agents] == [("triage", 2, 0.5)]
    routing = can("router", "analytics", "routing", "--json").json
    assert (routing["total_routed"], routing["answered"], routing["failed"], routing["saved"]) == (2, 1, 1, 1)
    assert "2 requests in the last 7d" in can("router", "analytics", "routing").out
    assert "triage" in can("router", "analytics", "agents").out


def test_no_work_is_said_so(can: Any, home: Any) -> None:
    home.write({})
    assert can("router", "analytics", "agents").out == "no agent worked in the last 7d\n"
