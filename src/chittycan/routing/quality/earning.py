"""Whether knowing more earns money: do the same dollars buy more quality?

Prompts go to the strong model in the order of what it is expected to gain there for each extra dollar. The area under
the quality that is gained, over the dollars spent, is what that order earns over all budgets. It is a sum over prompts
(what is gained there, times the share of the dollars that is still to be spent), and so its error is known.
"""

import math
import statistics
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from chittycan.routing.quality.prompts import Prompt

LEAST = 200  # prompts that both models answered at a known price, or nothing can be said
LITTLE = 1e-3  # quality: where less is expected to be gained, the cheapest come first


class Judged(Struct, frozen=True):
    """A prompt left out of training. By model: what is expected `plain`ly, and by who knows `more`."""

    prompt: Prompt
    plain: Mapping[str, float]
    more: Mapping[str, float]


def earns(parts: Sequence[Sequence[Judged]], pool: Collection[str] | None = None) -> bool | None:
    """Whether knowing more buys more, by more than one standard error: the best model against each that is cheaper.

    Orders count within each part. `pool`: the models between which there will be a choice. None where scores and
    prices say too little.
    """
    both = _pairs([each for part in parts for each in part], pool)
    if not both:
        return None
    added: list[float] = [
        sum(each)
        for part in parts
        for each in zip(*(_added(part, strong, weak, line) for strong, weak, line in both), strict=True)
    ]
    return sum(added) > math.sqrt(len(added)) * statistics.pstdev(added)


Line = tuple[float, float, float]  # extra cost: without a feature, for each one more, and at least


def _pairs(judged: Sequence[Judged], pool: Collection[str] | None) -> list[tuple[str, str, Line]]:
    """The best model, each one that is cheaper, and what is known of the extra cost beforehand: a line over length."""
    scores: dict[str, list[float]] = {}
    for each in judged:
        for name in each.plain:
            if name in each.prompt.costs and (pool is None or name in pool):
                scores.setdefault(name, []).append(each.prompt.score(name))
    often = {name: statistics.fmean(several) for name, several in scores.items() if len(several) >= LEAST}
    if not often:
        return []
    strong = max(often, key=lambda name: (often[name], name))
    found = ((strong, weak, _line(judged, strong, weak)) for weak in sorted(often) if weak != strong)
    return [(strong, weak, line) for strong, weak, line in found if line is not None]


def _line(judged: Sequence[Judged], strong: str, weak: str) -> Line | None:
    prompts = [each.prompt for each in judged if _answered(each, strong, weak)]
    extra = [each.costs[strong] - each.costs[weak] for each in prompts]
    lengths = [float(len(each.buckets)) for each in prompts]
    if len(prompts) < LEAST or sum(extra) <= 0 or min(lengths) == max(lengths):
        return None
    line = statistics.linear_regression(lengths, extra)
    return line.intercept, line.slope, 0.1 * statistics.fmean(extra)


def _answered(judged: Judged, strong: str, weak: str) -> bool:
    return all(name in judged.plain and name in judged.prompt.costs for name in (strong, weak))


def _added(part: Sequence[Judged], strong: str, weak: str, line: Line) -> list[float]:
    """By prompt, what knowing more adds to the area."""
    places = [place for place, each in enumerate(part) if _answered(each, strong, weak)]
    added = [0.0] * len(part)
    for sign, more in ((1, True), (-1, False)):
        for place, share in _unspent(part, places, more, strong, weak, line):
            scores = part[place].prompt.score
            added[place] += sign * share * (scores(strong) - scores(weak))
    return added


def _unspent(
    part: Sequence[Judged], places: Sequence[int], more: bool, strong: str, weak: str, line: Line
) -> list[tuple[int, float]]:
    """By prompt, the share of the dollars that is still to be spent when it is its turn."""
    start, slope, least = line

    def turn(place: int) -> tuple[float, int]:
        each = part[place]
        expected = each.more if more else each.plain
        extra = max(start + slope * len(each.prompt.buckets), least)
        return -max(expected[strong] - expected[weak], LITTLE) / extra, each.prompt.number

    paid = {place: part[place].prompt.costs[strong] - part[place].prompt.costs[weak] for place in places}
    total, spent, found = sum(paid.values()), 0.0, []
    for place in sorted(places, key=turn):
        found.append((place, 1 - (spent + paid[place] / 2) / total if total else 0.0))
        spent += paid[place]
    return found
