"""`can route`."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

WORDS, MODELS = ["oak", "elm", "ash", "fir", "yew", "bay", "box", "fig"], ("big", "small")


def _lines(count: int = 150) -> str:
    rows = [
        {"prompt": f"fix bug {number} in the parser", "kind": kind, "model": model, "score": score, "cost_usd": cost}
        for number in range(count)
        for kind in ("code", "writing")
        for model, score, cost in (("big", 0.9, 0.01), ("small", 0.85 if kind == "code" else 0.2, 0.001))
    ]
    return "\n".join(map(json.dumps, rows))


@pytest.fixture
def scored(home: Any) -> Path:
    file: Path = home.path / "scored.jsonl"
    file.write_text(_lines())
    return file


@pytest.fixture
def models(home: Any, upstream: Any) -> None:
    names = {name: {"proxy": "openai", "upstream": "ok", "price": {"input": price, "output": price}}
             for name, price in (("big", 10.0), ("small", 1.0))}  # fmt: skip
    routing = {"strong": "big", "target": 0.9}
    home.proxies(upstream.proxies(), {"models": names, "routing": routing})


@pytest.mark.usefixtures("models")
def test_what_is_learnt_decides_at_once(
    can: Any, scored: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHITTY_DATABASE_URL", database_url)
    assert "nothing was learnt" in can("route", "show").out
    trained = can("route", "train", "--from", str(scored))
    assert (trained.code, "600 scored answers" in trained.out) == (0, True)
    shown = can("route", "show", "--json").json["report"]
    assert [(row["kind"], row["model"], row["quality"]) for row in shown["kinds"]] == [
        ("code", "big", 0.9), ("code", "small", 0.85), ("writing", "big", 0.9), ("writing", "small", 0.2),
    ]  # fmt: skip
    assert shown["models"][0]["cost_usd"] == pytest.approx(0.01)
    code = can("explain", "fix bug 7 in the parser", "--kind", "code", "--json").json
    assert code["chain"][0] == "small"
    writing = can("explain", "fix bug 7 in the parser", "--kind", "writing", "--json").json
    assert writing["chain"][0] == "big"
    assert "1 trainings deleted" in can("route", "forget").out
    assert "nothing was learnt" in can("route", "show").out


@pytest.mark.usefixtures("models")
def test_models_of_other_names_are_pointed_out(can: Any, home: Any) -> None:
    file = home.path / "theirs.jsonl"
    file.write_text('{"prompt": "x", "model": "bgi", "score": 1}\n{"prompt": "y", "model": "small", "score": 1}\n')
    said = can("route", "train", "--from", str(file))
    assert "no models here: bgi." in said.err
    assert "with fewer than 10: bgi, small." in said.out
    assert "`auto` goes by it" not in said.out + said.err
    assert "`auto` chooses as before" in said.out + said.err


@pytest.mark.usefixtures("models")
def test_own_scored_traffic_teaches(can: Any) -> None:
    for model, word in (("big", "good"), ("small", "bad")):
        assert can("ask", "hello", "--model", model, "--kind", "code").code == 0
        assert can("feedback", "last", word).code == 0
    assert "nothing" not in can("route", "train").out
    report = can("route", "show", "--json").json["report"]
    assert [(row["model"], row["quality"]) for row in report["kinds"]] == [("big", 1.0), ("small", 0.0)]


@pytest.mark.usefixtures("models")
def test_where_the_best_is_the_cheapest_no_saving_is_told(can: Any, home: Any) -> None:
    dice = random.Random(4)
    rows = [
        {"prompt": prompt, "kind": f"kind {number // 4 % 4}", "model": model, "score": float(dice.random() < worth),
         "cost_usd": cost}
        for number in range(300)
        for prompt in [f"fix {dice.choice(WORDS)} and {dice.choice(WORDS)} {number}"]
        for model, worth, cost in (("big", 0.7, 0.01), ("small", 0.8, 0.001))
    ]  # fmt: skip
    file = home.path / "scored.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    said = can("route", "train", "--from", str(file)).out
    assert "or none is as good for less" in said
    assert "At 9" not in said
    assert "the kind of work explains nothing of the variance" in said  # and no less than that


@pytest.mark.usefixtures("models")
def test_answers_that_are_all_good_teach_without_a_slip(can: Any, home: Any) -> None:
    file = home.path / "scored.jsonl"
    rows = [{"prompt": f"fix bug {number}", "model": model, "score": 1} for number in range(250) for model in MODELS]
    file.write_text("\n".join(map(json.dumps, rows)))
    said = can("route", "train", "--from", str(file))
    assert (said.code, said.err.strip()) == (0, "")
    assert "the kind of work explains nothing of the variance" in said.out


def test_a_dry_run_keeps_nothing(can: Any, home: Any, scored: Path) -> None:
    home.write({})
    assert "600 scored answers" in can("route", "train", "--dry-run", "--from", str(scored)).out
    assert "nothing was learnt" in can("route", "show").out


def test_public_sets_are_read_packed_and_their_models_named(can: Any, home: Any) -> None:
    home.write({})
    folder = home.path / "public"
    folder.mkdir()
    line = {"prompt": "Solve the equation", "group": "x", "quality": {"theirs": 1, "other": 0}, "cost": {"theirs": 0.5}}
    (folder / "set.jsonl.gz").write_bytes(gzip.compress(f"{json.dumps(line)}\n\n".encode()))
    report = can("route", "train", "--public", str(folder), "--name", "theirs=mine", "--json").json
    assert [(row["model"], row["quality"], row["cost_usd"]) for row in report["models"]] == [
        ("mine", 1.0, 0.5), ("other", 0.0, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json", ":2: "),
        ('{"prompt": "x", "model": "m", "score": 7}', ":2: the score 7 is not between 0 and 1"),
        ('{"prompt": "x", "model": "m"}', ":2: a line needs `model` and `score`, or `quality`"),
        ('{"model": "m", "score": 1}', "`prompt`"),
    ],
)
def test_a_bad_line_is_named_with_its_file_and_number(can: Any, home: Any, text: str, said: str) -> None:
    home.write({})
    file = home.path / "bad.jsonl"
    file.write_text(f'{{"prompt": "x", "model": "m", "score": 1}}\n{text}\n')
    wrong = can("route", "train", "--from", str(file))
    assert (wrong.code, said in wrong.err, "bad.jsonl" in wrong.err) == (2, True, True)


def test_what_cannot_be_read_is_a_usage_error(can: Any, home: Any) -> None:
    home.write({})
    assert can("route", "train", "--from", str(home.path / "missing.jsonl")).code == 2
    assert can("route", "train", "--public", str(home.path)).code == 2
    assert can("route", "train", "--name", "nothing").code == 2
    empty = home.path / "empty.jsonl"
    empty.write_text("\n")
    assert "holds no scored answer" in can("route", "train", "--from", str(empty)).err
    damaged = home.path / "cut.jsonl.gz"
    damaged.write_bytes(gzip.compress(_lines().encode())[:-40])
    assert can("route", "train", "--from", str(damaged)).code == 2
    assert "no answer was scored" in can("route", "train").out
