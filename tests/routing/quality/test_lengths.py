"""What the length of prompts teaches where it is known to say something, because the scores were made so."""

import random

import pytest

from chittycan.routing.quality.estimate import Quality
from chittycan.routing.quality.learnt import Learnt, Mean
from chittycan.routing.quality.lengths import lengths
from chittycan.routing.quality.prompts import Prompt

KINDS = ("law", "physics", "history", "chess", "poetry")


def _prompts(slopes: dict[str, float]) -> list[Prompt]:
    """By kind, how much better than `small` the model `large` is at prompts that are e times longer."""
    dice = random.Random(11)
    found: list[Prompt] = []
    for kind, slope in slopes.items():
        for _ in range(200):
            count = round(20 * 2.718 ** dice.uniform(0, 3))
            gain = 0.5 + slope * dice.uniform(0.9, 1.1) * (count / 90 - 1)
            scores = {"large": (float(dice.random() < gain), 1), "small": (float(dice.random() < 0.5), 1)}
            found.append(Prompt(tuple(range(count)), kind, scores, len(found)))
    return found


def test_what_length_says_alike_in_all_kinds_is_believed_for_another() -> None:
    learnt = lengths(_prompts(dict.fromkeys(KINDS, 0.25)))
    assert learnt.slopes["large"] > 0.05
    assert learnt.slopes["small"] == pytest.approx(-learnt.slopes["large"])
    means = {"large": Mean(0.5, 1_000), "small": Mean(0.5, 1_000)}
    quality = Quality(Learnt(models=means, kinds={"law": means}, lengths=learnt))
    short, long = (quality.of_features(range(count), "cooking", ["large", "small"]) for count in (20, 400))
    assert long["large"].quality > long["small"].quality
    assert short["large"].quality < short["small"].quality
    known = quality.of_features(range(400), "law", ["large", "small"])
    assert known["large"].quality == known["small"].quality  # the kind's own mean says more


def test_what_length_says_otherwise_in_every_kind_is_not() -> None:
    assert not lengths(_prompts({kind: 0.3 * (-1) ** number for number, kind in enumerate(KINDS)})).slopes
    assert not lengths(_prompts(dict.fromkeys(KINDS, 0.0))).slopes


def test_three_kinds_say_nothing_of_a_fourth() -> None:
    assert not lengths(_prompts(dict.fromkeys(KINDS[:3], 0.25))).slopes


def test_a_longer_prompt_than_any_counts_as_the_longest() -> None:
    learnt = lengths(_prompts(dict.fromkeys(KINDS, 0.25)))
    assert learnt.said("large", 10**6) == learnt.said("large", 10**4) > 0
    assert learnt.said("unheard-of", 100) == 0.0
