"""The shape of what was learnt from scored answers."""

from collections.abc import Mapping

from msgspec import Struct, field

from chittycan.routing.quality.frontier import Frontier
from chittycan.routing.quality.words import NO_WORDS, Words


class Mean(Struct, frozen=True):
    """Of one model's scores, shrunk towards what is known beyond it. `said`: the mean of what words said of them."""

    quality: float
    scored: int
    said: float = 0.0


class Learnt(Struct, frozen=True, kw_only=True):
    """All that training found.

    `familiar`: the share of a prompt's features that must be known, or it is unlike anything seen. `transfer`: how much
    of what words say holds for kinds of work that were not trained on, 0 to 1; 0: nothing does.
    `frontier`: what quality costs; None where that is not known.
    """

    models: Mapping[str, Mean] = field(default_factory=dict)
    kinds: Mapping[str, Mapping[str, Mean]] = field(default_factory=dict)
    words: Words = NO_WORDS
    familiar: float = 0.0
    transfer: float = 0.0
    frontier: Frontier | None = None
