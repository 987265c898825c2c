"""`can ask` and `can explain`."""

import json
import os
import threading
from pathlib import Path
from typing import Any

from chittycan.chat import Usage
from chittycan.cli import asking
from chittycan.cli.asking import parsed
from chittycan.testing import ANSWER


def test_the_answer_alone_goes_to_a_pipe_and_the_cost_beside_it(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    said = can("ask", "hello", "there")
    assert (said.code, said.out) == (0, ANSWER + "\n")
    assert said.err.startswith("✓ gpt-4o (")


def test_json_tells_what_it_took(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    said = can("ask", "hello", "--json")
    assert said.code == 0
    assert said.json["text"] == ANSWER
    assert (said.json["model"], said.json["provider"], said.json["attempts"]) == ("gpt-4o", "openai", 1)
    assert said.json["usage"]["input"] == 17
    assert said.err == ""


def test_no_stream_prints_the_same_answer(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    assert can("ask", "hello", "--no-stream").out == ANSWER + "\n"


def received(said: Any) -> list[Any]:
    """The messages that reached the provider, as its `echo` model tells them."""
    messages: list[Any] = json.loads(said.json["text"])["messages"]
    return messages


def test_files_that_the_prompt_names_are_attached(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    Path("lease.txt").write_text("The rent is 950 crowns.")
    messages = received(can("ask", "What does lease.txt say?", "--model", "openai/echo", "--json"))
    assert "The rent is 950 crowns." in json.dumps(messages)
    assert "What does lease.txt say?" in json.dumps(messages)


def test_what_is_piped_in_is_added_but_names_no_files(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    Path("secret.txt").write_text("never sent")
    said = can("ask", "Sum up", "--model", "openai/echo", "--json", stdin="see secret.txt")
    assert "see secret.txt" in json.dumps(received(said))
    assert "never sent" not in json.dumps(received(said))


def test_a_pipe_alone_is_the_prompt(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    said = can("ask", "--model", "openai/echo", "--system", "Be brief.", "--json", stdin="What is a levy?")
    assert [message["role"] for message in received(said)] == ["system", "user"]
    assert "What is a levy?" in json.dumps(received(said))


def test_nothing_to_ask_is_a_usage_error(can: Any, home: Any) -> None:
    said = can("ask")
    assert said.code == 2
    assert "no prompt" in said.err


def test_another_model_answers_where_the_first_fails(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    upstream.script("gpt-4o", "s16-bad-key")
    said = can("ask", "hello", "--model", "gpt-4o")
    assert (said.code, said.out) == (0, ANSWER + "\n")
    assert said.err.startswith("✓ claude-sonnet-4-5 (")
    assert said.err.endswith("after 1 other failed\n")


def test_a_model_that_cannot_be_asked_is_not_replaced_unsaid(can: Any, home: Any, upstream: Any) -> None:
    home.proxies({"anthropic": upstream.proxies()["anthropic"]}, {"fallbacks": {"*": ["claude-sonnet-4-5"]}})
    said = can("ask", "-m", "gpt-4o", "hello")
    assert (said.code, "in place of gpt-4o: can explain -m gpt-4o" in said.err) == (0, True)
    assert "in place of" not in can("ask", "hello").err


def test_when_nobody_answers_it_says_who_was_asked_and_what_to_do(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    upstream.script("gpt-4o", "s16-bad-key")
    upstream.script("claude-sonnet-4-5", "s16-bad-key")
    said = can("ask", "hello")
    assert (said.code, said.out) == (1, "")
    assert "gpt-4o: credential (401" in said.err
    assert "can doctor" in said.err
    assert "CANARY" not in said.err


def test_private_work_never_reaches_a_model_that_is_not_private(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    said = can("ask", "my secret", "--private")
    assert said.code == 1
    assert "no private model" in said.err
    assert upstream.asked() == []


def test_a_call_that_may_cost_too_much_is_not_made(can: Any, home: Any, upstream: Any) -> None:
    price = {"proxy": "openai", "upstream": "ok", "price": {"input": 1000, "output": 1000}}
    home.proxies({"openai": upstream.proxies()["openai"]}, {"models": {"dear": price}, "fallbacks": {"*": ["dear"]}})
    said = can("ask", "hello", "--model", "dear", "--max-cost", "0.01")
    assert said.code == 1
    assert upstream.asked() == []


def test_without_any_model_the_fix_is_said(can: Any, home: Any) -> None:
    home.write({})
    said = can("ask", "hello")
    assert said.code == 1
    assert "OPENAI_API_KEY" in said.err


def test_an_open_pipe_that_nobody_writes_to_is_explained(monkeypatch: Any, capfd: Any) -> None:
    monkeypatch.setattr(asking, "PATIENCE", 0.0)
    reader, writer = os.pipe()
    with os.fdopen(reader) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        threading.Timer(0.05, os.close, [writer]).start()
        assert asking.piped(has_prompt=True) == ""
    assert "waiting for the end of standard input" in capfd.readouterr().err


def test_json_in_an_answer_is_found_with_and_without_a_fence() -> None:
    assert parsed('{"risk": 3}') == {"risk": 3}
    assert parsed('```json\n{"risk": 3}\n```') == {"risk": 3}
    assert parsed("no risk at all") is None


def test_explain_names_the_chain_and_asks_nobody(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies(), {"assignments": {"email.triage": "claude-sonnet-4-5"}})
    said = can("explain", "Is this urgent?", "--kind", "email.triage", "--json")
    assert said.code == 0
    assert said.json["chain"] == ["claude-sonnet-4-5", "gpt-4o"]
    assert said.json["considered"][0]["why"] == "assigned to email.triage"
    assert upstream.asked() == []
    assert can("explain", "x", "--kind", "email.triage").lines[0].startswith("claude-sonnet-4-5 would answer")


def test_a_name_between_colons_is_no_picture(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies(), {"models": {"a:fire:b": {"proxy": "openai"}}})
    assert can("explain", "x", "--model", "a:fire:b").lines[0].startswith("a:fire:b would answer")


def test_explain_says_why_a_model_is_passed_over(can: Any, home: Any, upstream: Any) -> None:
    home.proxies({"openai": upstream.proxies()["openai"]})
    said = can("explain", "x", "--model", "claude-opus-4-1")
    assert "needs ANTHROPIC_API_KEY" in said.out


def test_explain_says_what_made_it_private_and_what_binds_it(can: Any, home: Any, upstream: Any) -> None:
    here = {"proxy": "openai", "upstream": "ok", "private": True, "regions": ["eu"]}
    home.proxies(upstream.proxies(), {"models": {"own": here}})
    can("router", "rules", "create", "court", "--condition", "kind:legal", "--action", "private, region:eu")
    said = can("explain", "write to ann@example.org", "--kind", "legal").out
    assert "own would answer" in said
    for line in ("private: the rule court", "private: it holds email", "region eu: the rule court"):
        assert line in said
    assert can("explain", "hello", "--json").json["because"] == []


def test_explain_a_name_that_nobody_knows(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    said = can("explain", "x", "--model", "claud-sonet")
    assert said.code == 1
    assert "does not exist" in said.err


def test_usage_adds_up() -> None:
    from chittycan.chat import ChatResponse, Text
    from chittycan.cli.asking import brief
    from chittycan.gateway.call import Answer, Trace

    response = ChatResponse(id="", model="m", parts=[Text('{"risk": 1}')], stop_reason="stop")
    trace = Trace(request_id="r", model="m", cost_nano=3_100_000, ms=1234.56, usage=Usage(input=10, output=5))
    assert brief(Answer(response=response, trace=trace)) == {
        "model": "m", "text": '{"risk": 1}', "json": {"risk": 1}, "cost_usd": 0.0031, "ms": 1234.6, "tokens": 15,
    }  # fmt: skip


PRICED = {
    "models": {
        "dear": {"proxy": "openai", "upstream": "gpt-4o", "price": {"input": 100, "output": 100}, "tier": "complex"},
        "cheap": {"proxy": "openai", "upstream": "gpt-4o", "price": {"input": 1, "output": 1}, "tier": "simple"},
    },
    "fallbacks": {"*": ["dear"]},
}


def test_explain_shows_what_each_model_is_expected_to_cost(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies(), PRICED)
    said = can("explain", "What is the capital of France?", "--json").json
    costs = {row["model"]: row["cost_usd"] for row in said["considered"]}
    assert 0 < costs["cheap"] < costs["dear"]
    assert said["route"] == "auto:simple"
    shown = can("explain", "What is the capital of France?")
    assert "the cheapest of tier simple" in shown.out
    assert "cost" in shown.out
    assert "--all shows them" in shown.out
    assert len(can("explain", "What is the capital of France?", "--all").lines) > len(shown.lines)


def test_explain_heeds_a_limit_on_the_cost(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies(), PRICED)
    said = can("explain", "x", "--model", "dear", "--max-cost", "0.000001", "--named-only")
    assert said.code == 1
    assert "cheap enough" in said.err
