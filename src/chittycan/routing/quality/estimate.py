"""What a model's answer to a prompt is likely to be worth, from what scored answers taught (`train`).

The mean of the model's scores for this kind of work, and what the words of the prompt add to it or take away.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from msgspec import Struct

from chittycan.routing.kinds import KINDS
from chittycan.routing.quality.encoding import opened, sealed
from chittycan.routing.quality.features import features
from chittycan.routing.quality.learnt import Learnt, Mean


class Estimate(Struct, frozen=True):
    """`quality`: 0 to 1, what a scored answer of this model to such a prompt is worth on average."""

    quality: float
    scored: int  # scored calls of this kind that back it
    why: str  # "maths, 230 scored calls"
    foreign: bool = False  # kind or words are unlike what was scored: the kind is not told, say, while others were


class Quality:
    """What was learnt; immutable. `NO_QUALITY` knows nothing."""

    def __init__(self, learnt: Learnt) -> None:
        self.learnt = learnt

    def estimates(self, text: str, kind: str | None, models: Sequence[str]) -> Mapping[str, Estimate]:
        """By model. One that nobody scored is absent; {} where the prompt is unlike anything seen."""
        learnt = self.learnt
        asked = [name for name in models if name in learnt.models]
        return self.of_features(features(text), kind, asked) if asked else {}

    def of_kind(self, kind: str | None, models: Sequence[str]) -> dict[str, Estimate]:
        """The means alone, for work of which not a word is known."""
        place = _place(kind, self.learnt.kinds)
        means = self.learnt.models if kind is None else self.learnt.kinds[place] if place is not None else {}
        return {name: _by_mean(means[name], place) for name in models if name in means}

    def of_features(self, buckets: Sequence[int], kind: str | None, models: Sequence[str]) -> dict[str, Estimate]:
        """The same for a prompt of which only the features are known."""
        learnt = self.learnt
        place = _place(kind, learnt.kinds)
        means = learnt.kinds[place] if place is not None else {}
        foreign = place is None and kind is not None and kind not in KINDS
        if foreign and not learnt.transfer and not learnt.lengths.slopes:
            return {}
        known = learnt.words.known(buckets)
        if len(known) < learnt.familiar * len(buckets):
            # Of a kind that is known well, the mean says something, whatever the words are.
            return {name: _of_other_words(means[name], place) for name in models if name in means} if place else {}
        said_of = learnt.words.said_of_all(known, learnt.words.norm(known))
        untold = place is None and bool(learnt.kinds)
        share = learnt.transfer if foreign else 1.0 if untold else learnt.told
        found = {}
        for name in models:
            overall = learnt.models.get(name)
            if overall is None:
                continue
            mean = means.get(name, overall)
            quality = mean.quality + share * (said_of.get(name, 0.0) - mean.said)
            if foreign:
                quality += learnt.lengths.said(name, len(buckets))
            found[name] = _estimate(quality, mean.scored, place if name in means else None, untold)
        return found

    @classmethod
    def load(cls, data: bytes) -> "Quality":
        """Raises ChittyError where these bytes are damaged or of another version."""
        return cls(opened(data))

    def dump(self) -> bytes:
        return sealed(self.learnt)


NO_QUALITY = Quality(Learnt())


def _place(kind: str | None, kinds: Mapping[str, object]) -> str | None:
    """`code.review` is `code` where only that was scored."""
    if kind is None or kind in kinds:
        return kind
    first = kind.partition(".")[0]
    return first if first in kinds else None


def _by_mean(mean: Mean, kind: str | None) -> Estimate:
    return _estimate(mean.quality, mean.scored, kind)


def _of_other_words(mean: Mean, kind: str) -> Estimate:
    known = _by_mean(mean, kind)
    return Estimate(known.quality, known.scored, f"{known.why} of other words", foreign=True)


def _estimate(quality: float, scored: int, kind: str | None, foreign: bool = False) -> Estimate:
    return Estimate(min(max(quality, 0.0), 1.0), scored, _backing(scored, kind), foreign)


@lru_cache(1_024)
def _backing(scored: int, kind: str | None) -> str:
    calls = "1 scored call" if scored == 1 else f"{scored:,} scored calls"
    return f"{kind or 'all kinds'}, {calls}"
