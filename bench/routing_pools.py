"""Several models on one set: what `auto` does as it is shipped, and what the same expectations could do."""

import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from bench.routing_curves import aiq
from bench.routing_pairs import RESAMPLES, checked, fitted_cost, half_width, learner, left_out
from bench.routing_sets import Set, random_parts, topic_parts
from chittycan.catalogue import Model
from chittycan.routing.cost.choice import CHEAP_SHARE, Option, ranked, weighed
from chittycan.routing.cost.policy import NO_POLICY, TARGET, Policy
from chittycan.routing.quality.checking import check
from chittycan.routing.quality.estimate import Estimate, Quality
from chittycan.routing.quality.learnt import Learnt
from chittycan.routing.quality.train import trained

STEPS = range(-24, 25)
CHEAP = 0.25  # of the strong model's cost: who counts as a cheap model
Choice = Sequence[str]  # a model per prompt
Expected = list[Mapping[str, Estimate]]


class Pool:
    """`strong`: the best on the choosing half; `cheap`: the best of those that cost at most a quarter of it.

    `checked`: how much words are worth; `policy`: what quality costs. Both are found on the choosing half.
    """

    def __init__(self, found: Set) -> None:
        self.set = found
        self.strong = max(found.models, key=lambda model: found.mean(model, found.choose))
        limit = CHEAP * found.spent(self.strong, found.choose)
        cheap = [model for model in found.models if found.spent(model, found.choose) <= limit]
        self.cheap = max(cheap, key=lambda model: found.mean(model, found.choose))
        self.checked = checked(found)
        self.policy = Policy(quality=Quality(Learnt(frontier=self.checked.frontier)), strong=self.strong)
        costs = {model: fitted_cost(found, found.cost[model]) for model in found.models}
        self.expected_cost = [{model: costs[model][place] for model in found.models} for place in range(len(found))]

    def outcome(self, choice: Choice, places: Sequence[int]) -> tuple[float, float]:
        """Mean quality and dollars per prompt."""
        quality = statistics.fmean(self.set.score[choice[place]][place] for place in places)
        return quality, statistics.fmean(self.set.cost[choice[place]][place] for place in places)

    def auto(self, expected: Expected, target: float = TARGET) -> list[str]:
        """Who is worth the price, else the cheapest that reaches the target, by the code that serves calls; the strong
        one where nothing is expected of it."""
        return [self._auto(found, place, target, self.policy) for place, found in enumerate(expected)]

    def for_each_prompt(self, expected: Expected, target: float = TARGET) -> list[str]:
        """The same where nothing is known of what quality costs."""
        return [self._auto(found, place, target, NO_POLICY) for place, found in enumerate(expected)]

    def _auto(self, found: Mapping[str, Estimate], place: int, target: float, policy: Policy) -> str:
        if self.strong not in found:
            return self.strong
        options = [
            Option(
                Model(name=name, provider="x", upstream=name),
                round(1e9 * self.expected_cost[place][name]),
                replace(each, quality=round(each.quality, 2)),  # as calls are decided, too
            )
            for name, each in found.items()
        ]
        order = weighed(options, policy, target)
        if order is not None:
            return order.options[0].name
        return ranked(options, target * found[self.strong].quality)[0].name

    def kept_interval(self, choice: Choice) -> float:
        """Half of the 95 % interval of the share of the strong model's quality that is kept on the test half."""
        pairs = [(self.set.score[choice[place]][place], self.set.score[self.strong][place]) for place in self.set.test]
        dice, found = random.Random(1), []
        for _ in range(RESAMPLES):
            drawn = dice.choices(pairs, k=len(pairs))
            found.append(sum(had for had, _ in drawn) / sum(best for _, best in drawn))
        return half_width(found)

    def aiq(self, choices: Iterable[Choice]) -> float:
        """Of these ways to choose and the cheapest model, between that and the strong one, on the test half."""
        found, test = self.set, self.set.test
        cheapest = min(found.models, key=lambda model: found.spent(model, test))
        points = [self.outcome(each, test)[::-1] for each in [[cheapest] * len(found), *choices]]
        low, high = (found.spent(model, test) / len(test) for model in (cheapest, self.strong))
        return round(aiq(points, low, high), 4)

    def at_all_prices(self, expected: Expected) -> Iterable[Choice]:
        """From the least that a point of quality can be worth to the most."""
        return (self.weighed(expected, 1e-3 * 1.5**step) for step in STEPS)

    def weighed(self, expected: Expected, dollars: float) -> Choice:
        """The most quality, where one point of quality is worth so many dollars."""
        return [
            max(found, key=lambda name: found[name].quality - self.expected_cost[place][name] / dollars)
            if found else self.strong
            for place, found in enumerate(expected)
        ]  # fmt: skip

    def at(self, expected: Expected, keep: float) -> Choice:
        """The cheapest worth of a point that keeps this share of the strong model's quality on the choosing half."""
        enough = keep * self.set.mean(self.strong, self.set.choose)
        for choice in self.at_all_prices(expected):
            if self.outcome(choice, self.set.choose)[0] >= enough:
                return choice
        return [self.strong] * len(self.set)


def expectations(pool: Pool, unseen: bool) -> dict[str, Expected]:
    """For every prompt, learnt from others: with the topic's mean alone, and with words."""
    found = pool.set
    nothing: Expected = [{} for _ in found.texts]
    expected = {"topic mean": list(nothing), "ours": list(nothing)}
    parts = topic_parts(found.topics) if unseen else random_parts(len(found))
    new = "ours, nobody says that the topic is new"
    if unseen:
        expected[new] = list(nothing)
    for places, quality in left_out(
        found.prompts, parts, (lambda p: trained(p, check(p))) if unseen else learner(pool.checked)
    ):
        means = Quality(quality.learnt.by_means())
        for place in places:
            buckets, topic = found.prompts[place].buckets, found.topics[place]
            expected["topic mean"][place] = means.of_features(buckets, topic, found.models)
            expected["ours"][place] = quality.of_features(buckets, topic, found.models)
            if unseen:
                expected[new][place] = quality.of_features(buckets, None, found.models)
    if unseen:
        del expected["topic mean"]  # of a topic that nobody saw
    return expected


def aiq_rows(pool: Pool, expected: Mapping[str, Expected]) -> dict[str, float]:
    """RouterBench's measure for each expectation, and for the single models and mixtures of them by chance."""
    alone = [[model] * len(pool.set) for model in pool.set.models]
    return {"models alone": pool.aiq(alone)} | {
        name: pool.aiq(pool.at_all_prices(each)) for name, each in expected.items()
    }


def pool_rows(pool: Pool, expected: Mapping[str, Expected]) -> dict[str, Any]:
    """Every way to choose, on the test half, against always the strong model."""
    found = pool.set
    oracle = [
        min(found.models, key=lambda name: (-found.score[name][place], found.cost[name][place]))
        for place in range(len(found))
    ]
    size = len(found)
    choices: dict[str, Choice] = {
        f"always {pool.strong}": [pool.strong] * size,
        f"always {pool.cheap}": [pool.cheap] * size,
    }
    for name, each in expected.items():
        choices[f"{name}, auto as shipped"] = pool.auto(each)
        choices[f"{name}, auto with target 99%"] = pool.auto(each, 0.99)
        choices[f"{name}, auto:cheap"] = pool.auto(each, CHEAP_SHARE)
        choices[f"{name}, the target for each prompt"] = pool.for_each_prompt(each)
        for keep in (0.95, 0.99, 1.0):
            choices[f"{name}, weighed for {keep:.0%}"] = pool.at(each, keep)
    choices["oracle"] = oracle
    strong, cheap = (pool.outcome([model] * size, found.test) for model in (pool.strong, pool.cheap))
    rows = {}
    for name, choice in choices.items():
        quality, cost = pool.outcome(choice, found.test)
        rows[name] = {
            "kept": round(quality / strong[0], 4), "interval": pool.kept_interval(choice),
            "saved": round(1 - cost / strong[1], 4),
            "worse_and_dearer_than_cheap": quality < cheap[0] and cost > cheap[1],
            "most_used": max(set(choice), key=list(choice).count),
        }  # fmt: skip
    return rows
