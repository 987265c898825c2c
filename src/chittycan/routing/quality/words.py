"""What the words of a prompt say about each model: one small number per model and word, and how to add them up.

A prompt is the vector of its known features, each weighing 3 + log(prompts / prompts with it), scaled to length 1.
Rare words so weigh more, but not so much more that a small collection is all rare words.
"""

import math
from collections.abc import Mapping, Sequence
from operator import itemgetter

from msgspec import Struct

STEPS = 127  # a weight is kept as a signed byte, in steps of its model's scale


class Words(Struct, frozen=True):
    """Columns of signed bytes over the features in `places`; `squares` are the squared weights of the features."""

    places: Mapping[int, int]  # bucket → place in the columns
    squares: Sequence[float]
    columns: Mapping[str, memoryview]  # model → bytes, cast to signed
    scales: Mapping[str, float]

    def known(self, buckets: Sequence[int]) -> list[int]:
        """The places of those features that were seen in training."""
        places = self.places
        return [places[bucket] for bucket in buckets if bucket in places]

    def norm(self, known: Sequence[int]) -> float:
        return math.sqrt(sum(map(self.squares.__getitem__, known)))

    def said(self, model: str, known: Sequence[int], norm: float) -> float:
        """How much better than its mean the model is expected to be at this prompt: about -1 to 1."""
        column = self.columns.get(model)
        if column is None or not known:
            return 0.0
        total = sum(itemgetter(*known)(column)) if len(known) > 1 else column[known[0]]
        return total * self.scales[model] / norm


NO_WORDS = Words({}, (), {}, {})


def weight(prompts: int, frequency: int) -> float:
    """Of a feature that `frequency` of `prompts` prompts have."""
    return 3.0 + math.log(prompts / frequency)


def column(weights: Sequence[float]) -> tuple[bytes, float]:
    """Weights as signed bytes, and what one step is worth."""
    scale = max(map(abs, weights), default=0.0) / STEPS or 1.0
    return bytes(round(each / scale) & 0xFF for each in weights), scale
