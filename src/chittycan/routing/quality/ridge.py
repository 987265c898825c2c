"""Ridge regression on sparse rows, in plain Python: conjugate gradient, with sums that run in C.

Every row is a set of features. Its vector holds the features' weights, scaled to length 1, so that a product with it
is a sum over a selection: `operator.itemgetter` selects and `sum` adds, some 20 ns per feature.
"""

import math
from collections.abc import Callable, Sequence
from operator import itemgetter, mul

# Of the search. It hardly changes the answer after six; stopping early is itself a little shrinkage.
ROUNDS = 6
PENALTY = 4.0  # in rows: how much evidence a weight needs

Gather = Callable[[Sequence[float]], tuple[float, ...]]


class Rows:
    """Rows as sets of feature numbers, with the weight of each feature. Vectors are lists of floats."""

    def __init__(self, rows: Sequence[Sequence[int]], weights: Sequence[float]) -> None:
        self.weights = list(weights)
        self._norms = [1.0 / (math.sqrt(sum(weights[each] ** 2 for each in row)) or 1.0) for row in rows]
        self._rows = [_gather(row, len(weights)) for row in rows]
        having: list[list[int]] = [[] for _ in weights]
        for number, row in enumerate(rows):
            for each in row:
                having[each].append(number)
        self._columns = [_gather(each, len(rows)) for each in having]

    def times(self, vector: Sequence[float]) -> list[float]:
        """One number per row."""
        scaled = [*map(mul, vector, self.weights), 0.0]
        return [sum(gather(scaled)) * norm for gather, norm in zip(self._rows, self._norms, strict=True)]

    def back(self, vector: Sequence[float]) -> list[float]:
        """One number per feature: the transposed product."""
        scaled = [*map(mul, vector, self._norms), 0.0]
        return [sum(gather(scaled)) * weight for gather, weight in zip(self._columns, self.weights, strict=True)]

    def fit(self, targets: Sequence[float], penalty: float = PENALTY, rounds: int = ROUNDS) -> list[float]:
        """The weights w that make |rows·w - targets|² + penalty·|w|² small."""
        found = [0.0] * len(self.weights)
        residual = self.back(targets)
        direction, size = residual, _dot(residual, residual)
        for _ in range(rounds):
            if size < 1e-12:
                break
            seen = self.times(direction)
            curved = [a + penalty * b for a, b in zip(self.back(seen), direction, strict=True)]
            step = size / _dot(direction, curved)
            found = [a + step * b for a, b in zip(found, direction, strict=True)]
            residual = [a - step * b for a, b in zip(residual, curved, strict=True)]
            size, before = _dot(residual, residual), size
            direction = [a + size / before * b for a, b in zip(residual, direction, strict=True)]
        return found


def _gather(places: Sequence[int], end: int) -> Gather:
    """Selects these places of a vector. At least two, or itemgetter answers with no tuple: `end` holds a zero."""
    return itemgetter(*places, *[end] * (2 - len(places)))


def _dot(first: Sequence[float], second: Sequence[float]) -> float:
    total: float = sum(map(mul, first, second))
    return total
