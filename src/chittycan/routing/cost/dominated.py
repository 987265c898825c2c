"""Models that nobody needs: dearer than another, and worse by more than chance."""

import math
from collections.abc import Mapping

from chittycan.catalogue import Catalogue
from chittycan.routing.cost.policy import Policy
from chittycan.routing.quality.estimate import Estimate

ENOUGH_SCORED = 50  # scored calls of each of the two
USUAL_INPUT, USUAL_OUTPUT = 1_000, 400  # tokens of the call that prices are compared with


def dominated(catalogue: Catalogue, policy: Policy) -> Mapping[str, str]:
    """By model, the words that say which other one is better and cheaper."""
    known = [
        (name, cost, average)
        for name, average in policy.quality.averages().items()
        if average.scored >= ENOUGH_SCORED and (cost := _cost(name, catalogue, policy)) is not None
    ]
    found = {}
    for name, cost, average in known:
        better = [each for each in known if each[1] < cost and _worse(average, each[2])]
        if better:
            other, less, more = max(better, key=lambda each: (each[2].quality, -each[1]))
            found[name] = (
                f"dearer and worse than {other}: {average.quality:.2f} at ${_dollars(cost)}, "
                f"{more.quality:.2f} at ${_dollars(less)} per 1,000 calls"
            )
    return found


def _cost(name: str, catalogue: Catalogue, policy: Policy) -> int | None:
    model = catalogue.models.get(name)
    if model is None:
        return None
    return policy.cost(model, catalogue.providers[model.provider], USUAL_INPUT, USUAL_OUTPUT)


def _worse(one: Estimate, other: Estimate) -> bool:
    """By more than twice the widest standard error that the difference of two such averages can have."""
    chance = math.sqrt(0.25 / one.scored + 0.25 / other.scored)
    return other.quality - one.quality > 2 * chance


def _dollars(nano: int) -> str:
    return f"{nano / 1e6:.3g}"  # nano-dollars of one call, as dollars of a thousand
