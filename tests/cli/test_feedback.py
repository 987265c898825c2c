"""`can feedback`."""

from typing import Any


def test_a_verdict_on_the_last_answer_is_listed(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies(), {"models": {"big": {"proxy": "openai", "upstream": "ok"}}})
    assert can("ask", "hello", "--model", "big").code == 0
    assert "big scored 1" in can("feedback", "last", "good").out
    assert can("feedback", "last", "0.25", "--comment", "too short", "--json").json["score"] == 0.25
    assert "too short" in can("feedback").out
    assert [row["score"] for row in can("feedback", "list", "--json").json] == [0.25]


def test_what_is_no_verdict_is_a_usage_error(can: Any, home: Any) -> None:
    home.write({})
    wrong = can("feedback", "last", "great")
    assert (wrong.code, "number from 0 to 1" in wrong.err) == (2, True)
    assert can("feedback", "last").code == 2
    unknown = can("feedback", "req_nobody", "good")
    assert (unknown.code, "x-chitty-request-id" in unknown.err) == (1, True)
    assert "Nothing was answered yet" in can("feedback", "last", "good").err
    assert "nothing was said yet" in can("feedback").out
