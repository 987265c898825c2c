"""`can simulate`."""

import json
from typing import Any

PRICED = {"proxy": "openai", "upstream": "ok", "price": {"input": 1000, "output": 2000}}
CHEAP = {"proxy": "anthropic", "upstream": "ok", "price": {"input": 10, "output": 20}}
FILE = {"models": {"big": PRICED, "small": CHEAP}, "fallbacks": {"*": ["big"]}}


def test_both_policies_stand_side_by_side(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies(), FILE)
    can("ask", "hello")
    before = home.read("models.json")
    (home.path / "work" / "new.json").write_text(json.dumps(FILE | {"fallbacks": {"*": ["small"]}}))
    said = can("simulate", "--models", "new.json", "--since", "24h").out
    assert "1 request of the last 24h, replayed" in said
    assert "(-99%)" in said
    assert "requests to models that were never asked: taken to be answered (1)" in said
    found = can("simulate", "--models", "new.json", "--json").json
    assert [(each["before"], each["after"]) for each in found["changes"]] == [("big", "small")]
    assert home.read("models.json") == before


def test_a_wrong_file_is_named_with_its_key(can: Any, home: Any) -> None:
    home.write({})
    missing = can("simulate", "--models", "new.json")
    assert (missing.code, "new.json" in missing.err) == (1, True)
    (home.path / "work" / "new.json").write_text('{"models": {"big": {"contextWindow": "large"}}}')
    wrong = can("simulate", "--models", "new.json")
    assert (wrong.code, "models.big.contextWindow" in wrong.err, "new.json" in wrong.err) == (1, True, True)
    (home.path / "work" / "new.json").write_text('{"fallbaks": {}, "models": {"x": {"proxy": "nowhere"}}}')
    odd = can("simulate", "--models", "new.json").err
    assert ("! new.json: fallbaks" in odd, "! new.json: models.x.proxy" in odd, "models.json" in odd) == (
        True,
        True,
        False,
    )
    (home.path / "work" / "new.json").write_text("{")
    assert "new.json:1:2" in can("simulate", "--models", "new.json").err
    (home.path / "work" / "new.json").write_text("{}")
    assert "no request of the last 30d can be replayed" in can("simulate", "--models", "new.json").out
