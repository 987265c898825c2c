"""What a choice by cost and quality is made from, beyond the catalogue."""

from collections.abc import Callable

from msgspec import Struct

from chittycan.catalogue import Model, Provider
from chittycan.routing.quality.estimate import NO_QUALITY, Quality

AUTO, CHEAP, BEST = "auto", "auto:cheap", "auto:best"  # the names that leave the choice to us
TARGET = 0.95  # of the strong model's quality

# (model, its provider, input tokens, output tokens) → nano-dollars; None where no price is known.
Cost = Callable[[Model, Provider, int, int], int | None]


def _unknown(model: Model, provider: Provider, given: int, written: int) -> int | None:
    return None


class Policy(Struct, frozen=True, kw_only=True):
    """`strong` None: the model of which most is expected. `tiered`: the models whose tier the owner wrote himself.

    `cost` is what a call of such a size costs, `worst` the most that it may.
    """

    quality: Quality = NO_QUALITY
    target: float = TARGET
    strong: str | None = None
    tiered: frozenset[str] = frozenset()
    cost: Cost = _unknown
    worst: Cost = _unknown


NO_POLICY = Policy()
