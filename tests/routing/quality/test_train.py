"""What training finds in scores whose truth is known, because it was made here."""

import random
import re

import pytest
from msgspec.structs import replace

from chittycan.routing.quality.checking import check
from chittycan.routing.quality.estimate import NO_QUALITY, Estimate, Quality
from chittycan.routing.quality.features import sketch
from chittycan.routing.quality.learnt import Mean
from chittycan.routing.quality.prompts import Scored, collected
from chittycan.routing.quality.report import learn
from chittycan.routing.quality.train import train, trained

POETRY = re.findall(
    r"\w+",
    "rhyme verse sonnet stanza metre poem lyric ballad ode moon rose heart autumn river silence dawn",
)
PHYSICS = re.findall(
    r"\w+",
    "mass energy charge field momentum proton voltage current force wave particle orbit spin heat light",
)
PLAIN = re.findall(
    r"\w+",
    "please write about the a of in what is how with for and to tell me explain something",
)


def _prompt(dice: random.Random, topic: list[str]) -> str:
    return " ".join(dice.choices(topic, k=8) + dice.choices(PLAIN, k=12))


def _rows(count: int, *, kinds: bool = False, sparse: bool = False) -> list[Scored]:
    """`poet` is good at poetry, `physicist` at physics, `average` the same at both."""
    dice = random.Random(7)
    rows = []
    for number in range(count):
        poetry = number % 2 == 0
        drawn = sketch(_prompt(dice, POETRY if poetry else PHYSICS))
        chances = {"poet": 0.9 if poetry else 0.3, "physicist": 0.3 if poetry else 0.9, "average": 0.6}
        names = [dice.choice(list(chances))] if sparse else list(chances)
        kind = ("poetry" if poetry else "physics") if kinds else None
        rows += [Scored(name, kind, drawn, float(dice.random() < chances[name])) for name in names]
    return rows


POEM, TASK = _prompt(random.Random(1), POETRY), _prompt(random.Random(2), PHYSICS)
MODELS = ["poet", "physicist", "average"]


@pytest.mark.parametrize("sparse", [False, True])
def test_who_is_good_at_what_is_learnt_from_words_alone(sparse: bool) -> None:
    quality = train(_rows(2_400 if sparse else 800, sparse=sparse))
    poem, task = (quality.estimates(text, None, MODELS) for text in (POEM, TASK))
    assert max(poem, key=lambda name: poem[name].quality) == "poet"
    assert max(task, key=lambda name: task[name].quality) == "physicist"
    assert poem["poet"].quality - poem["physicist"].quality > 0.3


def test_who_is_good_at_a_kind_of_work_is_learnt_without_words() -> None:
    rows = [Scored(row.model, row.kind, None, row.score) for row in _rows(400, kinds=True)]
    found = train(rows).estimates("anything at all", "poetry", MODELS)
    assert found["poet"].quality == pytest.approx(0.9, abs=0.06)
    assert found["physicist"].quality == pytest.approx(0.3, abs=0.06)
    assert (found["poet"].scored, found["poet"].why) == (200, "poetry, 200 scored calls")


def test_few_scores_are_held_against_what_is_known_of_others() -> None:
    many = [Scored("old", "code", None, 0.6) for _ in range(500)]
    found = train([*many, Scored("new", "code", None, 1.0)]).estimates("x", "code", ["old", "new"])
    assert found["new"].quality < 0.7
    assert found["new"].why == "code, 1 scored call"
    assert found["old"].quality == pytest.approx(0.6, abs=0.01)


def test_a_kind_that_is_hard_for_everybody_is_expected_to_be_hard_for_one_who_hardly_tried() -> None:
    rows = [Scored("a", kind, None, score) for kind, score in (("easy", 0.9), ("hard", 0.2)) for _ in range(300)]
    rows += [Scored("b", "easy", None, 0.9) for _ in range(300)] + [Scored("b", "hard", None, 0.2)]
    found = train(rows).estimates("x", "hard", ["b"])
    assert found["b"].quality < 0.6


def test_a_model_that_nobody_scored_is_absent() -> None:
    assert set(train(_rows(300)).estimates(POEM, None, ["poet", "unheard-of"])) == {"poet"}
    assert NO_QUALITY.estimates(POEM, None, MODELS) == {}


def test_a_prompt_unlike_anything_seen_gets_no_estimate() -> None:
    quality = train(_rows(800))
    assert quality.estimates(POEM, None, MODELS)
    assert quality.estimates("Übersetze bitte folgenden Vertrag ins Niederländische", None, MODELS) == {}


def test_a_prompt_of_a_known_kind_but_unlike_those_scored_is_marked() -> None:
    """Where words count: the kind's mean is still something, but no price of quality was found for such."""
    learnt = train(_rows(800)).learnt
    kinds = {"poetry": {"poet": Mean(0.9, 400)}}
    quality = Quality(replace(learnt, kinds=kinds))
    odd = quality.estimates("Übersetze bitte folgenden Vertrag ins Niederländische", "poetry", MODELS)
    assert odd == {"poet": Estimate(0.9, 400, "poetry, 400 scored calls of other words", foreign=True)}
    assert not quality.estimates(POEM, "poetry", MODELS)["poet"].foreign


def test_a_kind_that_was_never_scored_gets_no_estimate_where_words_do_not_carry_over() -> None:
    assert train(_rows(800, kinds=True)).estimates(POEM, "chess", MODELS) == {}


def test_what_is_told_by_words_alone_is_marked_where_kinds_were_scored() -> None:
    kinds, words = train(_rows(800, kinds=True)), train(_rows(800))
    assert [kinds.estimates(POEM, kind, MODELS)["poet"].foreign for kind in ("poetry", None)] == [False, True]
    assert not words.estimates(POEM, None, MODELS)["poet"].foreign


def test_a_part_of_a_kind_counts_as_the_kind() -> None:
    found = train(_rows(400, kinds=True)).estimates(POEM, "poetry.review", ["poet"])
    assert found["poet"].why.startswith("poetry, ")


def test_words_that_say_nothing_are_not_used() -> None:
    dice = random.Random(3)
    rows = [
        Scored(name, None, drawn, float(dice.random() < 0.5))
        for _ in range(500)
        for drawn in [sketch(_prompt(dice, POETRY))]
        for name in MODELS
    ]
    quality = train(rows)
    assert quality.estimates(POEM, None, MODELS) == quality.estimates(TASK, None, MODELS) != {}


def test_words_that_are_not_used_say_nothing_of_new_kinds_either() -> None:
    """By chance they seem to carry over here, while they explain nothing of the kinds that were scored."""
    dice = random.Random(11)
    rows = []
    for number in range(240):
        words = " ".join(dice.choices(["oak", "elm", "ash", "fir", "yew", "bay", "box", "fig"], k=3))
        for name in ("one", "other"):
            score = float(dice.random() < 0.8)
            rows.append(Scored(name, f"kind {number % 4}", sketch(f"{words} {number}"), score))
    checked = check(collected(rows))
    assert (checked.words, checked.transfer) == (False, 0.0)
    assert train(rows).estimates("oak elm ash", "never scored", ["one", "other"]) == {}


def test_words_that_say_no_more_than_the_kind_are_hardly_trusted_where_it_is_known() -> None:
    prompts = collected(_rows(800, kinds=True))
    checked = check(prompts)
    assert checked.told < 0.3
    poem, other = (
        trained(prompts, checked).estimates(text, "poetry", MODELS)["poet"].quality
        for text in (POEM, _prompt(random.Random(9), POETRY))
    )
    assert poem == pytest.approx(0.9, abs=0.05)
    assert other == pytest.approx(poem, abs=0.03)


def test_words_that_say_more_than_the_kind_are_trusted() -> None:
    rows = [Scored(row.model, "writing", row.sketch, row.score) for row in _rows(800)]
    checked = check(collected(rows))
    assert checked.words
    assert checked.told > 0.7


def test_the_kind_is_measured_without_what_words_said_of_it() -> None:
    checked = check(collected(_rows(800, kinds=True)))
    assert checked.by_model is not None
    assert checked.by_kind is not None
    assert checked.by_words is not None
    # Chances of 0.9 and 0.3 against 0.6: the kind explains it all, and words cannot explain more.
    assert checked.by_kind < 0.9 * checked.by_model
    assert checked.by_words > 0.99 * checked.by_kind


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = _rows(300, kinds=True)
    turned = [each for start in range(3) for each in rows[start::3]]
    first, second = (train(each).estimates(POEM, "poetry", MODELS) for each in (rows, turned))
    assert {name: round(each.quality, 6) for name, each in first.items()} == {
        name: round(each.quality, 6) for name, each in second.items()
    }


def test_nothing_to_learn_from_is_no_mistake() -> None:
    assert train([]).estimates(POEM, None, MODELS) == {}
    assert Quality.load(train([]).dump()).estimates(POEM, None, MODELS) == {}


def test_training_says_what_quality_costs_of_the_models_that_are_here() -> None:
    prices = {"poet": 10, "physicist": 1_000, "average": 1}
    rows = [Scored(row.model, row.kind, row.sketch, row.score, prices[row.model]) for row in _rows(800)]
    _, report = learn(rows)
    assert report.strong in ("poet", "physicist")
    assert {each.target for each in report.kept} >= {0.9, 0.95}
    assert all(each.kept >= each.target and each.saved > 0.3 for each in report.kept)
    _, here = learn(rows, pool=frozenset({"poet", "physicist"}))
    assert here.checked.frontier is not None
    assert set(here.checked.frontier.models) == {"poet", "physicist"}
    assert train(_rows(800)).learnt.frontier is None  # no costs


def test_the_cost_of_a_prompt_is_the_mean_of_its_answers() -> None:
    row = _rows(1)[0]
    rows = [Scored(row.model, row.kind, row.sketch, 1.0, cost) for cost in (10, 30, None)]
    assert [each.costs for each in collected(rows)] == [{row.model: 20.0}]
