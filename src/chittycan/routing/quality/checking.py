"""How well what is learnt holds for prompts that it was not learnt from: by parts, each left out once.

First parts of the prompts, then of the kinds of work. The first says how much of what words say holds beyond the kind
and whether that is worth using, how many of its features a usual prompt shares with others, and what quality costs; the
second how much of it holds for kinds never seen, and whether that earns money.
"""

import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from chittycan.routing.quality.earning import Judged, earns
from chittycan.routing.quality.estimate import Quality
from chittycan.routing.quality.fitting import fitted
from chittycan.routing.quality.frontier import Foretold, Frontier, frontier
from chittycan.routing.quality.learnt import NO_LENGTHS, Learnt, Lengths
from chittycan.routing.quality.lengths import lengths
from chittycan.routing.quality.prompts import Prompt

PARTS = 4
MOST, MOST_OF_KINDS = 3_000, 6_000  # prompts that are looked at: four times each
LEAST = 200  # prompts, or nothing can be said
KIND_LEAST, KINDS_LEAST = 20, 4  # prompts of a kind, and kinds, to look at what holds for others
WORTH = 0.1  # of what words say has to hold for kinds left out, or nothing is said of kinds never seen
# A prompt is familiar where it shares three quarters of what all but 2 % of the prompts left out shared with others.
RARE, FAMILIAR = 0.02, 0.75

Progress = Callable[[int, int], None]  # steps done, steps in all
Expected = Mapping[str, float]  # by model


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
    told: float = 1.0
    transfer: float = 0.0
    lengths: Lengths = NO_LENGTHS
    frontier: Frontier | None = None

    @property
    def words(self) -> bool:
        """Whether words are worth using."""
        return self.by_words is not None and self.by_kind is not None and self.by_words < self.by_kind


class LeftOut(Struct, frozen=True):
    """A prompt left out, and what was expected of those who answered it: by each one's mean, by its mean for the kind
    of work, and with all that words say."""

    prompt: Prompt
    by_model: Expected
    by_kind: Expected
    by_words: Expected

    def trusting(self, told: float) -> Expected:
        """With this much of what words say beyond the kind."""
        return {name: mean + told * (self.by_words[name] - mean) for name, mean in self.by_kind.items()}


def check(
    prompts: Sequence[Prompt],
    progress: Progress = lambda done, total: None,
    pool: Collection[str] | None = None,
) -> Checked:
    """`pool`: the models between which there will be a choice; None: all that were scored."""
    several = sorted((each for each in prompts if each.buckets), key=lambda each: (each.number, each.kind or ""))
    asked = several[:MOST]
    if len(asked) < LEAST:
        return Checked(prompts=len(asked))
    steps = 2 * PARTS
    compared = sum(len(each.scores) > 1 for each in asked) > len(asked) / 2
    parts, shares = [], []
    for part in range(PARTS):
        inside = [each for number, each in enumerate(asked) if number % PARTS != part]
        outside = asked[part::PARTS]
        learnt = fitted(inside)
        shares += [_share(prompt, learnt) for prompt in outside]
        sources = (Learnt(models=learnt.models), learnt.by_means(), learnt)
        parts.append([LeftOut(prompt, *(_expected(prompt, Quality(each)) for each in sources)) for prompt in outside])
        progress(part + 1, steps)
    slopes = [_slope(_beyond(part, compared)) for part in parts]
    # How much of words is trusted in a part is found in the others, or the check would flatter itself.
    trusted = [_trusted(slopes[:part] + slopes[part + 1 :]) for part in range(PARTS)]
    by_model = [(each.prompt, each.by_model) for part in parts for each in part]
    by_kind = [(each.prompt, each.by_kind) for part in parts for each in part]
    by_words = [(each.prompt, each.trusting(told)) for part, told in zip(parts, trusted, strict=True) for each in part]
    errors = [_mean_error(each, compared) for each in (by_model, by_kind, by_words)]
    words = errors[2] < errors[1]
    longer = lengths(several)
    transfer = _transfer(several[:MOST_OF_KINDS], longer, compared, progress, pool) if words else 0.0
    progress(steps, steps)
    return Checked(
        prompts=len(asked), compared=compared, by_model=errors[0], by_kind=errors[1], by_words=errors[2],
        familiar=round(FAMILIAR * sorted(shares)[int(RARE * len(shares))], 3), told=_trusted(slopes), transfer=transfer,
        lengths=longer, frontier=frontier([_foretold(*each, pool) for each in (by_words if words else by_kind)]),
    )  # fmt: skip


def _share(prompt: Prompt, learnt: Learnt) -> float:
    return len(learnt.words.known(prompt.buckets)) / len(prompt.buckets)


def _expected(prompt: Prompt, quality: Quality) -> Expected:
    found = quality.of_features(prompt.buckets, prompt.kind if quality.learnt.kinds else None, list(prompt.scores))
    return {name: each.quality for name, each in found.items()}


def _foretold(prompt: Prompt, expected: Expected, pool: Collection[str] | None) -> Foretold:
    names = [name for name in expected if pool is None or name in pool]
    return Foretold({name: expected[name] for name in names},
                    {name: prompt.score(name) for name in names}, prompt.costs)  # fmt: skip


def _beyond(prompts: Iterable[LeftOut], compared: bool) -> Iterable[tuple[float, float]]:
    """Of each answer, beyond the model's mean for the kind of work: what words say, and the score."""
    for each in prompts:
        said = [each.by_words[name] - mean for name, mean in each.by_kind.items()]
        scored = [each.prompt.score(name) - mean for name, mean in each.by_kind.items()]
        if compared:
            said, scored = _centred(said), _centred(scored)
        yield from zip(said, scored, strict=True)


def _mean_error(prompts: Sequence[tuple[Prompt, Expected]], compared: bool) -> float:
    return sum(_error(prompt, expected, compared) for prompt, expected in prompts) / len(prompts)


def _error(prompt: Prompt, expected: Expected, compared: bool) -> float:
    """The mean squared error of what is expected of the models that answered."""
    wrong = [prompt.score(name) - quality for name, quality in expected.items()]
    if compared:
        wrong = _centred(wrong)
    return sum(each**2 for each in wrong) / len(wrong) if wrong else 0.0


def _slope(pairs: Iterable[tuple[float, float]]) -> float:
    """Of what was scored over what was said."""
    several = list(pairs)
    width = sum(x * x for x, _ in several)
    return sum(x * y for x, y in several) / width if width else 0.0


def _trusted(slopes: Sequence[float]) -> float:
    """The mean of the parts' slopes, as a share."""
    return round(min(max(statistics.fmean(slopes), 0.0), 1.0), 3)


class Unseen(Struct, frozen=True):
    """A prompt of a kind left out. By model: what is expected without words, and what words say besides."""

    prompt: Prompt
    plain: Expected
    said: Expected

    def trusting(self, share: float) -> Judged:
        more = {name: quality + share * self.said[name] for name, quality in self.plain.items()}
        return Judged(self.prompt, self.plain, more)


def _transfer(
    prompts: Sequence[Prompt], longer: Lengths, compared: bool, progress: Progress, pool: Collection[str] | None
) -> float:
    """How much of what words say holds for kinds left out: the slope of what was scored, beyond what the length says
    already, over what was said. Nothing, where trusting that much earns no money."""
    by_kind: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        by_kind.setdefault(prompt.kind or "", []).append(prompt)
    kinds = sorted((name for name, each in by_kind.items() if name and len(each) >= KIND_LEAST),
                   key=lambda name: (-len(by_kind[name]), name))  # fmt: skip
    if len(kinds) < KINDS_LEAST:
        return 0.0
    parts = []
    for part in range(PARTS):
        out = set(kinds[part::PARTS])
        learnt = fitted([prompt for prompt in prompts if prompt.kind not in out])
        parts.append([_unseen(prompt, learnt, longer) for prompt in prompts if prompt.kind in out])
        progress(PARTS + part + 1, 2 * PARTS)
    slopes = [_slope(_said_and_scored(part, compared)) for part in parts]
    found = _trusted(slopes)
    if found < WORTH:
        return 0.0
    judged = []
    for number, unseen in enumerate(parts):
        share = _trusted(slopes[:number] + slopes[number + 1 :])
        judged.append([each.trusting(share) for each in unseen])
    return 0.0 if earns(judged, pool) is False else found


def _unseen(prompt: Prompt, learnt: Learnt, longer: Lengths) -> Unseen:
    known = learnt.words.known(prompt.buckets)
    norm = learnt.words.norm(known)
    names = [name for name in prompt.scores if name in learnt.models]
    plain = {name: learnt.models[name].quality + longer.said(name, len(prompt.buckets)) for name in names}
    return Unseen(prompt, plain, {name: learnt.words.said(name, known, norm) for name in names})


def _said_and_scored(prompts: Iterable[Unseen], compared: bool) -> Iterable[tuple[float, float]]:
    """Of each answer, beyond the model's mean here: what words say, and the score beyond what the length says."""
    found: dict[str, list[tuple[float, float]]] = {}
    for each in prompts:
        said = [*each.said.values()]
        scored = [each.prompt.score(name) - plain for name, plain in each.plain.items()]
        if compared:
            said, scored = _centred(said), _centred(scored)
        for name, *pair in zip(each.plain, said, scored, strict=True):
            found.setdefault(name, []).append((pair[0], pair[1]))
    for several in found.values():
        yield from zip(_centred([each[0] for each in several]), _centred([each[1] for each in several]), strict=True)


def _centred(values: Sequence[float]) -> list[float]:
    middle = sum(values) / len(values) if values else 0.0
    return [value - middle for value in values]
