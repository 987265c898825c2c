"""`can savings`."""

from typing import Any

MODELS = {
    "models": {
        "big": {"proxy": "openai", "upstream": "ok", "price": {"input": 1000, "output": 2000}},
        "small": {"proxy": "openai", "upstream": "ok", "price": {"input": 10, "output": 20}},
    },
}


def test_savings_are_shown_with_the_best_cheap_model_and_the_quality(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies(), MODELS | {"routing": {"baseline": "big"}})
    assert "no answer of known price" in can("savings").out
    can("ask", "hello", "--model", "small")
    said = can("savings").out
    assert "all at the baseline" in said
    assert "nobody said how good the answers were" in said
    assert "no cheaper model" not in said
    can("feedback", "last", "0.9")
    assert "0.90 of 1" in can("savings").out
    found = can("savings", "--since", "24h", "--json").json
    assert (found["answers"], found["baseline"]["model"], found["best_cheap"]["model"]) == (1, "big", "small")
    assert found["baseline"]["saved_share"] == 0.99


def test_a_baseline_that_nobody_knows_is_an_error(can: Any, home: Any) -> None:
    home.write({})
    said = can("savings", "--baseline", "gtp-nothing")
    assert (said.code, "does not exist" in said.err) == (1, True)
