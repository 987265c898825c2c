"""What the words of a prompt say about each model: one small number per model and word, and how to add them up.

A prompt is the vector of its known features, each weighing 3 + log(prompts / prompts with it), scaled to length 1.
Rare words so weigh more, but not so much more that a small collection is all rare words.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from functools import cached_property
from operator import itemgetter

from msgspec import Struct

STEPS = 127  # a weight is kept as a signed byte, in steps of its model's scale


class _Rows(dict[int, int]):
    """By place, the weights of all models side by side in one integer, 32 bits for each: one addition adds up all.

    Weights count from -128 there, so that nothing is borrowed from a neighbour. A row is made when it is first needed.
    """

    def __init__(self, columns: Sequence[memoryview]) -> None:
        super().__init__()
        self._columns = columns
        self._lanes = struct.Struct(f"<{len(columns)}I")

    def __missing__(self, place: int) -> int:
        weights = [column[place] + 128 for column in self._columns]
        row = self[place] = int.from_bytes(self._lanes.pack(*weights), "little")
        return row

    def sums(self, places: Sequence[int]) -> list[int]:
        """By model, the sum of these weights."""
        total = sum(map(self.__getitem__, places))
        beyond = 128 * len(places)
        return [each - beyond for each in self._lanes.unpack(total.to_bytes(self._lanes.size, "little"))]


class Words(Struct, frozen=True, dict=True):
    """Columns of signed bytes over the features in `places`; `squares` are the squared weights of the features."""

    places: Mapping[int, int]  # bucket → place in the columns
    squares: Sequence[float]
    columns: Mapping[str, memoryview]  # model → bytes, cast to signed
    scales: Mapping[str, float]

    @cached_property
    def _rows(self) -> _Rows:
        return _Rows([*self.columns.values()])

    def known(self, buckets: Sequence[int]) -> list[int]:
        """The places of those features that were seen in training."""
        return [place for place in map(self.places.get, buckets) if place is not None]

    def norm(self, known: Sequence[int]) -> float:
        return math.sqrt(sum(map(self.squares.__getitem__, known)))

    def said(self, model: str, known: Sequence[int], norm: float) -> float:
        """How much better than its mean the model is expected to be at this prompt: about -1 to 1."""
        column = self.columns.get(model)
        if column is None or not known:
            return 0.0
        total = sum(itemgetter(*known)(column)) if len(known) > 1 else column[known[0]]
        return total * self.scales[model] / norm

    def said_of_all(self, known: Sequence[int], norm: float) -> dict[str, float]:
        """The same by model, of all that words say something of."""
        if not known:
            return dict.fromkeys(self.columns, 0.0)
        sums = zip(self.columns, self._rows.sums(known), strict=True)
        return {model: total * self.scales[model] / norm for model, total in sums}


NO_WORDS = Words({}, (), {}, {})


def weight(prompts: int, frequency: int) -> float:
    """Of a feature that `frequency` of `prompts` prompts have."""
    return 3.0 + math.log(prompts / frequency)


def column(weights: Sequence[float]) -> tuple[bytes, float]:
    """Weights as signed bytes, and what one step is worth."""
    scale = max(map(abs, weights), default=0.0) / STEPS or 1.0
    return bytes(round(each / scale) & 0xFF for each in weights), scale
