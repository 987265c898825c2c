"""What the length of a prompt says of a model beside the others: what may still hold where the kind of work is new.

Within kinds that were scored, length stands for little else. Where it says the same in most of them, it is believed
for the next; anywhere else it says nothing.
"""

import math
import statistics
from collections.abc import Iterable, Sequence

from chittycan.routing.quality.learnt import NO_LENGTHS, Lengths, size
from chittycan.routing.quality.prompts import Prompt

KIND_LEAST, KINDS_LEAST = 20, 4  # prompts of a kind that several models answered, and kinds, to say anything
SURE = 2.0  # standard errors


def lengths(prompts: Sequence[Prompt]) -> Lengths:
    """What holds in most kinds: a mean slope beyond its errors, and beyond what slopes differ between kinds."""
    by_kind: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        if prompt.kind and prompt.buckets and len(prompt.scores) > 1:
            by_kind.setdefault(prompt.kind, []).append(prompt)
    kinds = [each for each in by_kind.values() if len(each) >= KIND_LEAST]
    if len(kinds) < KINDS_LEAST:
        return NO_LENGTHS
    sizes = sorted(size(len(prompt.buckets)) for each in kinds for prompt in each)
    names = sorted({name for each in kinds for prompt in each for name in prompt.scores})
    slopes = {name: slope for name in names if (slope := _common([_slope(name, each) for each in kinds]))}
    return Lengths(slopes, statistics.fmean(sizes), sizes[len(sizes) // 50], sizes[-1 - len(sizes) // 50])


def _slope(model: str, prompts: Iterable[Prompt]) -> tuple[float, float] | None:
    """The slope of the model's score, less the mean of all who answered, over size; and its squared standard error."""
    pairs = [
        (size(len(prompt.buckets)), prompt.score(model) - statistics.fmean(map(prompt.score, prompt.scores)))
        for prompt in prompts
        if model in prompt.scores
    ]
    if len(pairs) < KIND_LEAST:
        return None
    x, y = (statistics.fmean(each[place] for each in pairs) for place in (0, 1))
    width = sum((a - x) ** 2 for a, _ in pairs)
    if not width:
        return None
    slope = sum((a - x) * (b - y) for a, b in pairs) / width
    rest = sum((b - y - slope * (a - x)) ** 2 for a, b in pairs)
    return slope, rest / (len(pairs) - 2) / width


def _common(found: Iterable[tuple[float, float] | None]) -> float:
    """The mean of slopes that differ by chance and between kinds (random effects); 0 where it is none of most."""
    slopes = [each for each in found if each is not None]
    if len(slopes) < KINDS_LEAST:
        return 0.0
    between = max(statistics.variance(slope for slope, _ in slopes) - statistics.fmean(e for _, e in slopes), 0.0)
    weights = [1 / max(error + between, 1e-12) for _, error in slopes]
    mean = sum(weight * slope for weight, (slope, _) in zip(weights, slopes, strict=True)) / sum(weights)
    return mean if abs(mean) > max(SURE / math.sqrt(sum(weights)), math.sqrt(between)) else 0.0
