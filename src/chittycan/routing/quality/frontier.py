"""What quality costs: the most of it that can be had for the money, found on prompts left out of training.

A model is worth asking where the quality that it adds is worth its price. How much quality that has to be, decides how
much is kept and how much is spent over all prompts; each step of the frontier is one answer to that. Prices count as
shares of the strong model's: what a set's answers cost says little about what yours do, but much about their ratio.
"""

import math
import statistics
from collections.abc import Mapping, Sequence

from msgspec import Struct

LEAST = 200  # prompts that all models of the pool answered, or nothing is said
COMMON = 0.5  # of the prompts: a model that answered fewer is not of the pool
USED = 0.01  # of the prompts, at any step: who is chosen for fewer is not missed
CHEAPEST, DEAREST, FACTOR = 8.0, 0.002, 0.8  # quality that an answer of the dearest model has to add, step by step
SPARED = 0.01  # of the money: choosing has to save more, or one model that is as good answers everything
SHOWN = (0.9, 0.95, 0.97, 0.99)


class Foretold(Struct, frozen=True):
    """A prompt left out of training. By model: what was expected, what was scored, what was paid (nano-dollars)."""

    expected: Mapping[str, float]
    scored: Mapping[str, float]
    paid: Mapping[str, float]


class Paid(Struct, frozen=True):
    """A model's mean score, and the mean price of its answer, in nano-dollars.

    `sure`: the same score, less one standard error of its difference to the best model's.
    """

    quality: float
    cost: float
    sure: float = 0.0  # a training of before did not say


class Step(Struct, frozen=True):
    """`demand`: the quality that a nano-dollar has to add. What then is had and spent per prompt.

    `sure`: the same quality, less one standard error of its difference to the best model's. `alone`: the one model that
    answers everything there, for choosing would save nothing; None: there is a choice.
    """

    demand: float
    quality: float
    sure: float
    cost: float
    alone: str | None = None


class Kept(Struct, frozen=True):
    """At a `target` share of the strong model's quality: what share was `kept`, what share of its dollars `saved`.

    `alone`: the one model that then answers everything; null where there is a choice.
    """

    target: float
    kept: float
    saved: float
    alone: str | None = None


class Frontier(Struct, frozen=True):
    """`models`: the pool; `used`: those of it that are not to be missing; `steps`: the dearest first."""

    models: Mapping[str, Paid]
    used: frozenset[str]
    steps: tuple[Step, ...]

    @property
    def best(self) -> str:
        return max(self.models, key=lambda name: self.models[name].quality)

    def at(self, strong: str, target: float) -> Step | None:
        """Where this share of the strong model's is kept, for the least money; between two steps, in proportion.

        None where no step is that good, or one model for everything is better and cheaper without being sure to keep
        that share.
        """
        wanted = target * self.models[strong].quality
        able = [number for number, step in enumerate(self.steps) if step.sure >= wanted]
        if not able:
            return None
        found = self.steps[able[-1]]
        if able[-1] + 1 < len(self.steps):
            after = self.steps[able[-1] + 1]
            found = _between(found, after, (found.sure - wanted) / (found.sure - after.sure))
        sure = [name for name, each in self.models.items() if each.sure >= wanted]
        one = min(sure, key=lambda name: self.models[name].cost, default=None)
        if one is not None and self.models[one].cost <= (1 + SPARED) * found.cost:
            paid = self.models[one]
            return Step(found.demand, paid.quality, paid.sure, paid.cost, one)
        beaten = any(each.quality > found.quality and each.cost < found.cost for each in self.models.values())
        return None if beaten else found

    def kept(self, target: float) -> Kept | None:
        """What becomes of a target, against always the best model."""
        best, step = self.models[self.best], self.at(self.best, target)
        if step is None:
            return None
        return Kept(target, round(step.quality / best.quality, 4), round(1 - step.cost / best.cost, 4), step.alone)


def frontier(prompts: Sequence[Foretold]) -> Frontier | None:
    """None where too few prompts have scores and prices of the same models, or there is nothing to choose."""
    models = _pool(prompts)
    whole = [each for each in prompts if all(_whole(each, name) for name in models)]
    if len(models) < 2 or len(whole) < LEAST:
        return None
    best = max(models, key=lambda name: sum(each.scored[name] for each in whole))
    paid = {name: _paid(whole, name, best) for name in models}
    dearest = max(each.cost for each in paid.values())
    if not dearest or not any(each.quality for each in paid.values()):
        return None
    used, steps, demand = {best}, [], DEAREST
    while demand <= CHEAPEST:
        chosen = [_worth_most(each, paid, demand / dearest) for each in whole]
        used |= {name for name in models if chosen.count(name) >= USED * len(whole)}
        steps.append(_step(demand / dearest, whole, chosen, best))
        demand /= FACTOR
    return Frontier(paid, frozenset(used), tuple(steps))


def _pool(prompts: Sequence[Foretold]) -> list[str]:
    names = {name for each in prompts for name in each.scored}
    return sorted(name for name in names if sum(_whole(each, name) for each in prompts) >= COMMON * len(prompts))


def _whole(prompt: Foretold, name: str) -> bool:
    return name in prompt.expected and name in prompt.scored and name in prompt.paid


def _worth_most(prompt: Foretold, paid: Mapping[str, Paid], demand: float) -> str:
    return max(paid, key=lambda name: (prompt.expected[name] - demand * paid[name].cost, -paid[name].cost))


def _step(demand: float, prompts: Sequence[Foretold], chosen: Sequence[str], best: str) -> Step:
    pairs = list(zip(prompts, chosen, strict=True))
    quality = statistics.fmean(each.scored[name] for each, name in pairs)
    error = statistics.stdev(each.scored[name] - each.scored[best] for each, name in pairs) / math.sqrt(len(pairs))
    return Step(demand, quality, quality - error, statistics.fmean(each.paid[name] for each, name in pairs))


def _paid(prompts: Sequence[Foretold], name: str, best: str) -> Paid:
    everywhere = _step(0.0, prompts, [name] * len(prompts), best)
    return Paid(everywhere.quality, everywhere.cost, everywhere.sure)


def _between(first: Step, second: Step, share: float) -> Step:
    def mixed(a: float, b: float) -> float:
        return a + share * (b - a)

    demand = first.demand * (second.demand / first.demand) ** share
    return Step(demand, mixed(first.quality, second.quality), mixed(first.sure, second.sure),
                mixed(first.cost, second.cost))  # fmt: skip
