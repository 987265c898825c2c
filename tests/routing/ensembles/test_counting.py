"""Votes, weights, medians, means, and when two agree."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.catalogue import Ensemble, Mode
from chittycan.routing.ensembles.counting import Ballot, Verdict, count, settled
from chittycan.routing.ensembles.extraction import read


def ballots(*texts: str, reads: str = "text", weights: Sequence[float] = (), numeric: bool = False) -> list[Ballot]:
    """One ballot per text, of the models m1, m2 …"""
    found = []
    for place, text in enumerate(texts):
        reading = read(text, reads, numeric=numeric)
        assert reading is not None
        weight = weights[place] if weights else 1.0
        found.append(Ballot(model=f"m{place + 1}", reading=reading, text=text, weight=weight))
    return found


def counted(mode: Mode, *texts: str, reads: str = "text", weights: Sequence[float] = (), **more: Any) -> Verdict:
    numeric = mode in ("median", "mean")
    ensemble = Ensemble(models=("m1", "m2", "m3"), mode=mode, extract=reads, **more)
    return count(ballots(*texts, reads=reads, weights=weights, numeric=numeric), ensemble)


def test_the_majority_wins_in_its_first_voter_s_own_words() -> None:
    verdict = counted("vote", "London", "**Paris**", "paris.")
    assert (verdict.answer, verdict.author, verdict.decided_by) == ("**Paris**", "m2", "majority")
    assert (verdict.agreement, verdict.dissent) == (0.6667, ("m1",))


def test_all_alike_is_agreement() -> None:
    verdict = counted("vote", "7", "**7**", "Answer: 7.0", reads="number")
    assert (verdict.answer, verdict.value, verdict.agreement, verdict.decided_by) == ("7", 7, 1.0, "agreement")
    assert verdict.dissent == ()


def test_a_tie_goes_to_the_first_and_is_called_one() -> None:
    verdict = counted("vote", "b", "a")
    assert (verdict.answer, verdict.decided_by, verdict.agreement) == ("b", "tie", 0.5)


def test_a_cascade_s_tie_goes_to_the_last_its_models_being_in_rising_order() -> None:
    assert counted("cascade", "b", "a").answer == "a"


def test_weights_count_where_they_are_asked_for() -> None:
    texts, weights = ("a", "b", "b"), (5.0, 1.0, 1.0)
    assert counted("vote", *texts, weights=weights).answer == "b"
    verdict = counted("weighted", *texts, weights=weights)
    assert (verdict.answer, verdict.decided_by, verdict.agreement) == ("a", "weights", 0.7143)


def test_numbers_within_the_tolerance_agree() -> None:
    assert counted("vote", "7", "9", "7.4", reads="number").decided_by == "tie"
    verdict = counted("vote", "9", "7", "7.4", reads="number", tolerance=0.5)
    assert (verdict.answer, verdict.dissent) == ("7", ("m1",))


@pytest.mark.parametrize(
    ("mode", "texts", "weights", "answer"),
    [
        ("median", ("1", "9", "8"), (), "8"),
        ("median", ("7", "8"), (), "7.5"),
        ("median", ("1", "5", "9"), (5.0, 1.0, 1.0), "1"),
        ("median", ("1", "5", "9"), (2.0, 1.0, 1.0), "3"),
        ("mean", ("7", "8", "8"), (), "7.6666666667"),
        ("mean", ("2", "8"), (3.0, 1.0), "3.5"),
        ("median", ("1,000,000", "1e6", "3"), (), "1000000"),
    ],
)
def test_averages(mode: Mode, texts: tuple[str, ...], weights: tuple[float, ...], answer: str) -> None:
    assert counted(mode, *texts, reads="number", weights=weights).answer == answer


def test_who_is_off_the_average_dissents() -> None:
    verdict = counted("median", "8", "7", "3", reads="number", tolerance=1)
    assert (verdict.value, verdict.dissent, verdict.agreement) == (7, ("m3",), 0.6667)


def test_without_a_tolerance_a_tenth_of_an_average_still_agrees() -> None:
    assert counted("mean", "7", "8", reads="number").agreement == 1.0
    assert counted("median", "7", "8", "9", reads="number").dissent == ("m1", "m3")
    assert counted("median", "7", "7.1", "7", reads="number", tolerance=0).dissent == ("m2",)


def test_a_value_inside_json_comes_in_the_nearest_object() -> None:
    verdict = counted("mean", '{"risk": 2, "why": "a"}', '{"risk": 8, "why": "b"}', reads="json:risk")
    assert json.loads(verdict.answer) == {"risk": 5, "why": "a"}
    vote = counted("vote", '{"r": "Low", "n": 1}', '{"r": "high", "n": 2}', '{"r": "high", "n": 3}', reads="json:r")
    assert json.loads(vote.answer) == {"r": "high", "n": 2}
    whole = counted("vote", '{"a": 1}', 'So: {"a": 1.0}', '{"a": 2}', reads="json")
    assert json.loads(whole.answer) == {"a": 1}


@pytest.mark.parametrize(
    ("texts", "answer"),
    [
        (("a", "a"), "a"),
        (("a", "b"), None),
        (("a",), None),
        (("a", "b", "b"), "b"),
        (("a", "b", "c"), None),
        (("a", "a", "b", "b"), None),
        (("a", "a", "b", "c"), None),
        ((), None),
    ],
)
def test_a_cascade_is_settled_by_two_who_are_more_than_half(texts: tuple[str, ...], answer: str | None) -> None:
    verdict = settled(ballots(*texts), Ensemble(models=("m1", "m2", "m3"), mode="cascade"))
    assert (verdict.answer if verdict else None) == answer
    assert verdict is None or verdict.decided_by == "agreement"


LETTERS = st.lists(st.sampled_from("ABC"), min_size=1, max_size=8)
WEIGHTS = st.floats(0.01, 100)


@given(LETTERS, st.sampled_from(["vote", "weighted", "cascade", "judge", "fuse"]), st.data())
def test_the_winner_has_the_most_votes_and_agreement_says_how_many(letters: list[str], mode: Mode, data: Any) -> None:
    weights = data.draw(st.lists(WEIGHTS, min_size=len(letters), max_size=len(letters)))
    verdict = count(ballots(*letters, reads="choice", weights=weights), Ensemble(models=("m",), mode=mode))
    weigh = weights if mode == "weighted" else [1.0] * len(letters)
    votes = {each: sum(w for w, said in zip(weigh, letters, strict=True) if said == each) for each in letters}
    assert votes[verdict.answer] == pytest.approx(max(votes.values()))
    assert verdict.agreement == pytest.approx(votes[verdict.answer] / sum(votes.values()), abs=1e-4)
    assert len(verdict.dissent) == sum(letter != verdict.answer for letter in letters)


@given(LETTERS, st.randoms())
def test_without_a_tie_the_order_of_the_ballots_makes_no_difference(letters: list[str], random: Any) -> None:
    ensemble = Ensemble(models=("m",), mode="vote", extract="choice")
    verdict = count(ballots(*letters, reads="choice"), ensemble)
    random.shuffle(letters)
    again = count(ballots(*letters, reads="choice"), ensemble)
    assert again.decided_by == verdict.decided_by
    assert verdict.decided_by == "tie" or again.answer == verdict.answer


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=8), st.sampled_from(["median", "mean"]), st.data())
def test_an_average_lies_within_what_was_said(numbers: list[float], mode: Mode, data: Any) -> None:
    weights = data.draw(st.lists(WEIGHTS, min_size=len(numbers), max_size=len(numbers)))
    texts = [f"Answer: {number!r}" for number in numbers]
    verdict = count(
        ballots(*texts, reads="number", weights=weights, numeric=True),
        Ensemble(models=("m",), mode=mode, extract="number"),
    )
    slack = 1e-9 * max(1.0, *map(abs, numbers))
    assert min(numbers) - slack <= float(verdict.value) <= max(numbers) + slack
    assert 0 <= verdict.agreement <= 1
