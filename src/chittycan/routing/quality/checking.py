"""How well what is learnt holds for prompts that it was not learnt from: by parts, each left out once.

First parts of the prompts, then of the kinds of work. The first says whether words tell more than the kind alone, how
many of its features a usual prompt shares with others, and what quality costs; the second how much of it holds for
kinds never seen.
"""

import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from chittycan.routing.quality.estimate import Estimate, Quality
from chittycan.routing.quality.fitting import fitted
from chittycan.routing.quality.frontier import Foretold, Frontier, frontier
from chittycan.routing.quality.learnt import Learnt
from chittycan.routing.quality.prompts import Prompt

PARTS = 4
MOST = 3_000  # prompts that are looked at: it is done eight times
LEAST = 200  # prompts, or nothing can be said
KIND_LEAST, KINDS_LEAST = 20, 4  # prompts of a kind, and kinds, to look at what holds for others
# How much of what words say held for kinds left out, in four public sets: mean and spread. Some kinds alone are too
# few to tell. Below a fifth, nothing is said of kinds never seen.
USUAL, WORTH = (0.4, 0.25), 0.2
# A prompt is familiar where it shares three quarters of what all but 2 % of the prompts left out shared with others.
RARE, FAMILIAR = 0.02, 0.75

Progress = Callable[[int, int], None]  # steps done, steps in all


class Checked(Struct, frozen=True, kw_only=True):
    """Mean squared errors of the expected score on prompts left out: by each model's mean alone, by its mean for the
    kind of work, and with words; None where there was too little to learn from.

    `compared`: the errors are of differences between models that answered the same prompt: what choosing needs.
    """

    prompts: int = 0
    compared: bool = False
    by_model: float | None = None
    by_kind: float | None = None
    by_words: float | None = None
    familiar: float = 0.0
    transfer: float = 0.0
    frontier: Frontier | None = None

    @property
    def words(self) -> bool:
        """Whether words are worth using."""
        return self.by_words is not None and self.by_kind is not None and self.by_words < self.by_kind


def check(
    prompts: Sequence[Prompt],
    progress: Progress = lambda done, total: None,
    pool: Collection[str] | None = None,
) -> Checked:
    """`pool`: the models between which there will be a choice; None: all that were scored."""
    asked = sorted((each for each in prompts if each.buckets), key=lambda each: (each.number, each.kind or ""))[:MOST]
    if len(asked) < LEAST:
        return Checked(prompts=len(asked))
    steps = 2 * PARTS
    compared = sum(len(each.scores) > 1 for each in asked) > len(asked) / 2
    errors, shares = [0.0, 0.0, 0.0], []
    foretold: tuple[list[Foretold], list[Foretold]] = [], []  # by kind, with words
    for part in range(PARTS):
        inside = [each for number, each in enumerate(asked) if number % PARTS != part]
        outside = asked[part::PARTS]
        learnt = fitted(inside)
        shares += [_share(prompt, learnt) for prompt in outside]
        plain = Learnt(models=learnt.models, kinds=learnt.kinds)
        for place, quality in enumerate((Quality(Learnt(models=learnt.models)), Quality(plain), Quality(learnt))):
            for prompt in outside:
                found = _expected(prompt, quality)
                errors[place] += _error(prompt, found, compared)
                if place:
                    foretold[place - 1].append(_foretold(prompt, found, pool))
        progress(part + 1, steps)
    by_model, by_kind, by_words = (each / len(asked) for each in errors)
    transfer = _transfer(asked, compared, progress)
    progress(steps, steps)
    return Checked(
        frontier=frontier(foretold[by_words < by_kind]),
        prompts=len(asked), compared=compared, by_model=by_model, by_kind=by_kind, by_words=by_words,
        familiar=round(FAMILIAR * sorted(shares)[int(RARE * len(shares))], 3), transfer=transfer,
    )  # fmt: skip


def _share(prompt: Prompt, learnt: Learnt) -> float:
    return len(learnt.words.known(prompt.buckets)) / len(prompt.buckets)


def _expected(prompt: Prompt, quality: Quality) -> Mapping[str, Estimate]:
    """Of the models that answered."""
    return quality.of_features(prompt.buckets, prompt.kind if quality.learnt.kinds else None, list(prompt.scores))


def _foretold(prompt: Prompt, found: Mapping[str, Estimate], pool: Collection[str] | None) -> Foretold:
    names = [name for name in found if pool is None or name in pool]
    return Foretold({name: found[name].quality for name in names},
                    {name: prompt.score(name) for name in names}, prompt.costs)  # fmt: skip


def _error(prompt: Prompt, found: Mapping[str, Estimate], compared: bool) -> float:
    """The mean squared error of what is expected of the models that answered."""
    names = [name for name in prompt.scores if name in found]
    if not names:
        return 0.0
    wrong = [prompt.score(name) - found[name].quality for name in names]
    middle = sum(wrong) / len(wrong) if compared else 0.0
    return sum((each - middle) ** 2 for each in wrong) / len(wrong)


def _transfer(prompts: Sequence[Prompt], compared: bool, progress: Progress) -> float:
    """How much of what words say holds for kinds left out: the slope of what was scored over what was said."""
    by_kind: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        by_kind.setdefault(prompt.kind or "", []).append(prompt)
    kinds = sorted((name for name, each in by_kind.items() if name and len(each) >= KIND_LEAST),
                   key=lambda name: (-len(by_kind[name]), name))  # fmt: skip
    if len(kinds) < KINDS_LEAST:
        return 0.0
    slopes = []
    for part in range(PARTS):
        out = set(kinds[part::PARTS])
        learnt = fitted([prompt for prompt in prompts if prompt.kind not in out])
        pairs = list(_said_and_scored([prompt for prompt in prompts if prompt.kind in out], learnt, compared))
        width = sum(x * x for x, _ in pairs)
        slopes.append(sum(x * y for x, y in pairs) / width if width else 0.0)
        progress(PARTS + part + 1, 2 * PARTS)
    return _trusted(slopes)


def _said_and_scored(prompts: Sequence[Prompt], learnt: Learnt, compared: bool) -> Iterable[tuple[float, float]]:
    """Of each answer, beyond the model's mean here: what words say, and the score."""
    found: dict[str, list[tuple[float, float]]] = {}
    for prompt in prompts:
        known = learnt.words.known(prompt.buckets)
        norm = learnt.words.norm(known)
        names = [name for name in prompt.scores if name in learnt.models]
        said = [learnt.words.said(name, known, norm) for name in names]
        scored = [prompt.score(name) - learnt.models[name].quality for name in names]
        if compared:
            said, scored = _centred(said), _centred(scored)
        for name, *pair in zip(names, said, scored, strict=True):
            found.setdefault(name, []).append((pair[0], pair[1]))
    for several in found.values():
        yield from zip(_centred([each[0] for each in several]), _centred([each[1] for each in several]), strict=True)


def _trusted(slopes: Sequence[float]) -> float:
    """The mean of the parts' slopes, weighed against what is usual; 0 where it is too little to be worth the risk."""
    error = statistics.variance(slopes) / len(slopes)
    usual, spread = USUAL
    found = (statistics.fmean(slopes) * spread**2 + usual * error) / (spread**2 + error)
    return round(min(found, 1.0), 3) if found >= WORTH else 0.0


def _centred(values: Sequence[float]) -> list[float]:
    middle = sum(values) / len(values) if values else 0.0
    return [value - middle for value in values]
