"""What words say of each model, learnt from prompts with scores.

In two steps: what they say of a prompt for all models alike, then what they say of each model beyond that. Where every
model answered every prompt, the difference between two models so is the ridge regression on that difference; where
each prompt was answered by one model, a model with few answers takes part in what the others taught.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from chittycan.routing.quality.learnt import Learnt, Mean
from chittycan.routing.quality.prompts import Prompt, means
from chittycan.routing.quality.ridge import Rows
from chittycan.routing.quality.words import Words, column, weight

SEEN = 3  # prompts that have a feature, or nothing is learnt of it
FEATURES = 65_536  # at most, the most frequent
WEIGHTS = 1_700_000  # bytes at most, of all models together
OWN = 50  # prompts that a model has to have answered, or words say of it what they say of all


def fitted(prompts: Sequence[Prompt], words: bool = True) -> Learnt:
    """`words` False, or no word that several prompts have: means alone."""
    models, kinds = means(prompts)
    asked = [prompt for prompt in prompts if prompt.buckets]
    places, frequencies = _places(asked, len(models))
    if not words or not places:
        return Learnt(models=models, kinds=kinds)
    weights = [weight(len(asked), frequency) for frequency in frequencies]
    rows = Rows([_known(prompt, places) for prompt in asked], weights)
    shared = rows.fit([_harder(prompt, models) for prompt in asked])
    common = rows.times(shared)
    columns, scales = {}, {}
    said: dict[str, list[float]] = {}
    for name, mean in models.items():
        own = [number for number, prompt in enumerate(asked) if name in prompt.scores]
        beyond = [0.0] * len(weights)
        if len(own) >= OWN and len(models) > 1:
            mine = rows if len(own) == len(asked) else Rows([_known(asked[each], places) for each in own], weights)
            beyond = mine.fit([asked[each].score(name) - mean.quality - common[each] for each in own])
        total = [a + b for a, b in zip(shared, beyond, strict=True)]
        said[name] = rows.times(total)
        data, scales[name] = column([a * b for a, b in zip(total, weights, strict=True)])
        columns[name] = memoryview(data).cast("b")
    kinds = _with_words(kinds, asked, said)
    return Learnt(models=models, kinds=kinds, words=Words(places, [each**2 for each in weights], columns, scales))


def _places(prompts: Sequence[Prompt], models: int) -> tuple[dict[int, int], list[int]]:
    """The features worth learning, numbered in the order of their buckets, and how many prompts have each."""
    counted = Counter(bucket for prompt in prompts for bucket in prompt.buckets)
    most = min(FEATURES, WEIGHTS // (models + 5))
    often = [each for each in counted.items() if each[1] >= SEEN]
    kept = sorted(sorted(often, key=lambda each: (-each[1], each[0]))[:most])
    return {bucket: number for number, (bucket, _) in enumerate(kept)}, [frequency for _, frequency in kept]


def _known(prompt: Prompt, places: Mapping[int, int]) -> list[int]:
    return [places[bucket] for bucket in prompt.buckets if bucket in places]


def _harder(prompt: Prompt, models: Mapping[str, Mean]) -> float:
    """How much better than usual those who answered it did."""
    return sum(prompt.score(name) - models[name].quality for name in prompt.scores) / len(prompt.scores)


def _with_words(
    kinds: Mapping[str, Mapping[str, Mean]], prompts: Sequence[Prompt], said: Mapping[str, Sequence[float]]
) -> dict[str, dict[str, Mean]]:
    """The means of kinds, with the mean of what words say of each model there: the scores' mean holds that already."""
    numbers: dict[str, list[int]] = {}
    for number, prompt in enumerate(prompts):
        if prompt.kind is not None:
            numbers.setdefault(prompt.kind, []).append(number)
    found = {}
    for kind, by_model in kinds.items():
        here = numbers.get(kind, [])
        found[kind] = {
            name: replace(mean, said=sum(said[name][each] for each in here) / len(here) if here else 0.0)
            for name, mean in by_model.items()
        }
    return found
