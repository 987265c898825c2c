"""Models that nobody needs: dearer than another, and worse by more than chance."""

import math
from collections.abc import Mapping

from msgspec import Struct

from chittycan.catalogue import Catalogue
from chittycan.routing.cost.policy import Policy
from chittycan.routing.quality.learnt import Learnt

ENOUGH_SCORED = 50  # calls of each of the two, over the kinds of work that both were scored on
USUAL_INPUT, USUAL_OUTPUT = 1_000, 400  # tokens of the call that prices are compared with


class Compared(Struct, frozen=True):
    """Two models on the same kinds of work: mean quality of each, and the fewer scored calls of the two."""

    one: float
    other: float
    scored: int

    @property
    def worse(self) -> bool:
        """By more than twice the widest standard error that the difference of two such means can have."""
        return self.scored >= ENOUGH_SCORED and self.other - self.one > 2 * math.sqrt(0.5 / self.scored)


def dominated(catalogue: Catalogue, policy: Policy) -> Mapping[str, str]:
    """By model, the words that say which other one is better and cheaper."""
    learnt = policy.quality.learnt
    costs = {name: cost for name in learnt.models if (cost := _cost(name, catalogue, policy)) is not None}
    found = {}
    for one, dear in costs.items():
        better = [
            (compared, other)
            for other, cheap in costs.items()
            if cheap < dear and (compared := _compared(one, other, learnt)).worse
        ]
        if better:
            compared, other = max(better, key=lambda each: (each[0].other, -costs[each[1]]))
            found[one] = (
                f"dearer and worse than {other}: {compared.one:.2f} at ${_dollars(dear)}, "
                f"{compared.other:.2f} at ${_dollars(costs[other])} per 1,000 calls"
            )
    return found


def _compared(one: str, other: str, learnt: Learnt) -> Compared:
    """Each kind counts as often as the less scored of the two was scored on it."""
    kinds = learnt.kinds.values() if learnt.kinds else [learnt.models]
    pairs = [(means[one], means[other]) for means in kinds if one in means and other in means]
    counts = [min(a.scored, b.scored) for a, b in pairs]
    total = sum(counts)
    if not total:
        return Compared(0.0, 0.0, 0)
    means = [sum(pair[place].quality * count for pair, count in zip(pairs, counts, strict=True)) / total
             for place in (0, 1)]  # fmt: skip
    return Compared(means[0], means[1], total)


def _cost(name: str, catalogue: Catalogue, policy: Policy) -> int | None:
    model = catalogue.models.get(name)
    if model is None:
        return None
    return policy.cost(model, catalogue.providers[model.provider], USUAL_INPUT, USUAL_OUTPUT)


def _dollars(nano: int) -> str:
    return f"{nano / 1e6:.3g}"  # nano-dollars of one call, as dollars of a thousand
