"""The shape of what was learnt from scored answers."""

import math
from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from chittycan.routing.quality.frontier import Frontier
from chittycan.routing.quality.words import NO_WORDS, Words


class Mean(Struct, frozen=True):
    """Of one model's scores, shrunk towards what is known beyond it. `said`: the mean of what words said of them."""

    quality: float
    scored: int
    said: float = 0.0


class Lengths(Struct, frozen=True):
    """What the length of a prompt says: by model, quality beside the others for each e-fold of the number of features.

    It counts from `usual` on, and between `least` and `most`; all three are logarithms.
    """

    slopes: Mapping[str, float] = {}
    usual: float = 0.0
    least: float = 0.0
    most: float = 0.0

    def said(self, model: str, features: int) -> float:
        slope = self.slopes.get(model)
        return slope * (min(max(size(features), self.least), self.most) - self.usual) if slope else 0.0


NO_LENGTHS = Lengths()


def size(features: int) -> float:
    """A prompt's length, as a logarithm."""
    return math.log(max(features, 1))


class Learnt(Struct, frozen=True, kw_only=True):
    """All that training found.

    `familiar`: the share of a prompt's features that must be known, or it is unlike anything seen. `told`: how much of
    what words say beyond the kind of work holds where that is known, 0 to 1. `transfer`: how much of what they say
    holds for kinds that were not trained on; 0: nothing does. `lengths`: what counts there besides.
    `frontier`: what quality costs; None where that is not known.
    """

    models: Mapping[str, Mean] = field(default_factory=dict)
    kinds: Mapping[str, Mapping[str, Mean]] = field(default_factory=dict)
    words: Words = NO_WORDS
    familiar: float = 0.0
    told: float = 1.0
    transfer: float = 0.0
    lengths: Lengths = NO_LENGTHS
    frontier: Frontier | None = None

    def by_means(self) -> "Learnt":
        """The means alone, as if words had said nothing."""
        kinds = {
            kind: {name: replace(mean, said=0.0) for name, mean in means.items()} for kind, means in self.kinds.items()
        }
        return Learnt(models=self.models, kinds=kinds)
