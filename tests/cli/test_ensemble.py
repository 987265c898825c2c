"""`can ensemble`: several models, one answer, in this process and through a server."""

from typing import Any

import pytest
from rich.console import Console

from chittycan.testing import Reply, Scenario


@pytest.fixture
def office(home: Any, upstream: Any) -> Any:
    """Two providers whose default models say 7 and 8, and two more models."""
    for model, text in {"seven": "Answer: 7", "eight": "8", "more": "I rate it 7/10.", "judge": "B"}.items():
        upstream.script(model, Scenario(does=f"says {text}", reply=Reply(text=text)))
    proxies = upstream.proxies()
    proxies["openai"]["defaultModel"], proxies["anthropic"]["defaultModel"] = "seven", "eight"
    models: dict[str, Any] = {name: {"proxy": "openai", "upstream": name} for name in ("more", "judge")}
    models["seven"] = {"proxy": "openai", "upstream": "seven", "price": {"input": 1000, "output": 1000}}
    ensembles = {"risk": {"models": ["openai", "anthropic", "more"], "mode": "median"}}
    home.proxies(proxies, {"models": models, "ensembles": ensembles})
    return home


def test_the_answer_stands_alone_and_who_said_what_beside_it(can: Any, office: Any) -> None:
    said = can("ensemble", "Rate the risk 1-10", "--models", "openai,anthropic,more", "--mode", "median")
    assert (said.code, said.out) == (0, "7\n")
    assert "median, decided by median, 67% agree" in said.err


def test_json_is_one_line_that_says_everything(can: Any, office: Any, upstream: Any) -> None:
    said = can("ensemble", "Rate it", "-m", "openai,anthropic,more", "--mode", "vote", "--extract", "number", "--json")
    assert len(said.lines) == 1
    found = said.json
    assert (found["json"], found["text"], found["value"], found["agreement"]) == (7, "7", 7, 0.6667)
    assert found["dissent"] == ["eight"]
    assert [each["model"] for each in found["members"]] == ["seven", "eight", "more"]
    assert found["cost_usd"] == pytest.approx(0.019)  # models on this machine cost nothing, unless priced
    assert found["tokens"] == 3 * 17 + 2 + 1 + 4
    assert sorted(upstream.asked()) == ["eight", "more", "seven"]


def test_an_ensemble_of_models_json_by_its_name(can: Any, office: Any) -> None:
    assert can("ensemble", "Rate it", "--name", "risk", "--json").json["model"] == "ensemble:risk"
    assert can("ask", "Rate it", "--model", "ensemble:risk", "--no-stream").out == "7\n"
    listed = can("ensemble", "--list").out
    assert "ensemble:risk" in listed
    assert "openai, anthropic, more" in listed
    assert can("ensembles", "--list", "--json").json[0]["mode"] == "median"


def test_weights_and_a_judge(can: Any, office: Any, upstream: Any) -> None:
    words = ("ensemble", "Rate it", "-m", "openai,anthropic,more", "--extract", "number", "--json")
    assert can(*words, "--mode", "weighted", "--weights", "anthropic=3").json["value"] == 8
    assert can(*words, "--mode", "judge", "--judge", "judge").json["decided_by"] == "judge"
    assert "judge" in upstream.asked()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("Rate it",), 2, "--models openai,anthropic"),
        (("Rate it", "-m", "openai,antropic"), 1, "did you mean anthropic?"),
        (("Rate it", "-m", "openai,anthropic", "--mode", "meadian"), 1, "did you mean median?"),
        (("Rate it", "-m", "openai,anthropic", "--weights", "openai"), 2, "gives no model a weight"),
        (("Rate it", "--name", "rsk"), 1, "Did you mean ensemble:risk?"),
    ],
)
def test_what_is_wrong_is_said_with_the_fix(can: Any, office: Any, words: Any, code: int, says: str) -> None:
    said = can("ensemble", *words)
    assert said.code == code
    assert says in said.err


def test_explaining_says_who_would_be_asked(can: Any, office: Any) -> None:
    said = can("explain", "Rate it", "--model", "ensemble:risk")
    assert said.code == 0
    assert "seven, eight, more would be asked" in said.out


def test_through_a_server(can: Any, home: Any, upstream: Any, server: str) -> None:
    home.proxies(upstream.proxies(), baseUrl=server)
    said = can("ensemble", "Say it", "--models", "openai,anthropic", "--json")
    assert said.code == 0, said.err
    assert (said.json["decided_by"], said.json["agreement"]) == ("agreement", 1.0)


def test_a_terminal_shows_who_said_what(can: Any, office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chittycan.cli.ensemble.console", Console(force_terminal=True, width=100, color_system=None))
    monkeypatch.setattr("chittycan.cli.output.console", Console(force_terminal=True, width=100, color_system=None))
    lines = can("ensemble", "Rate it", "-m", "openai,anthropic,more", "--mode", "vote", "--extract", "number").lines
    assert lines[0] == "7"
    rows = [line.split() for line in lines if line.startswith(("✓", "✗"))]
    assert [row[:3] for row in rows[1:]] == [["✓", "seven", "7"], ["✗", "eight", "8"], ["✓", "more", "7"]]
