"""RouterBench's measure: the quality that a router has for its money, over all that could be spent."""

from collections.abc import Sequence
from itertools import pairwise

Point = tuple[float, float]  # mean cost and mean quality, per prompt


def aiq(points: Sequence[Point], low: float, high: float) -> float:
    """Mean quality between two costs: the area under the non-decreasing convex hull, over its width.

    `points` hold one at most as dear as `low`. RouterBench, arXiv 2403.12031, section 3.
    """
    hull: list[Point] = []
    for cost, quality in sorted(points):
        if hull and quality <= hull[-1][1]:
            continue  # dearer and no better: the hull does not fall
        while len(hull) > 1 and _rise(hull[-2], hull[-1]) <= _rise(hull[-2], (cost, quality)):
            hull.pop()
        if hull and hull[-1][0] == cost:
            hull.pop()
        hull.append((cost, quality))
    hull.append((max(high, hull[-1][0]), hull[-1][1]))
    area = 0.0
    for (x, y), (to, top) in pairwise(hull):
        start, end = max(x, low), min(to, high)
        if end > start:
            rise = (top - y) / (to - x)
            area += (end - start) * (y + rise * ((start + end) / 2 - x))
    return area / (high - low)


def _rise(one: Point, other: Point) -> float:
    return (other[1] - one[1]) / (other[0] - one[0]) if other[0] > one[0] else float("inf")
