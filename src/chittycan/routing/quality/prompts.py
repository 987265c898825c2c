"""Scored answers, put together by prompt, and the means of their scores."""

from collections.abc import Iterable, Mapping, Sequence
from zlib import crc32

from msgspec import Struct

from chittycan.routing.quality.features import unpacked
from chittycan.routing.quality.learnt import Mean

# How many scores it takes to believe a mean half: of a model among all, of a kind, of a model at a kind of work.
EVIDENCE = 10.0


class Scored(Struct, frozen=True):
    """One answer that was judged: `score` 0 to 1. `sketch` None: only its model, kind and score are known."""

    model: str
    kind: str | None
    sketch: bytes | None
    score: float
    cost_nano: int | None = None


class Prompt(Struct, frozen=True):
    """What was asked, as features in order, and the sum and number of each model's scores. `number`: of its sketch.

    `costs`: the mean price of a model's answers, in nano-dollars, where that is known.
    """

    buckets: tuple[int, ...]
    kind: str | None
    scores: Mapping[str, tuple[float, int]]
    number: int
    costs: Mapping[str, float] = {}

    def score(self, model: str) -> float:
        total, count = self.scores[model]
        return total / count


def collected(rows: Iterable[Scored]) -> list[Prompt]:
    """Rows with the same sketch and kind become one prompt, in a fixed order. Scores are brought to 0 to 1."""
    found: dict[tuple[bytes, str | None], dict[str, tuple[float, int]]] = {}
    costs: dict[tuple[bytes, str | None], dict[str, list[int]]] = {}
    for row in rows:
        asked = (row.sketch or b"", row.kind)
        scores = found.setdefault(asked, {})
        total, count = scores.get(row.model, (0.0, 0))
        scores[row.model] = (total + min(max(row.score, 0.0), 1.0), count + 1)
        if row.cost_nano is not None:
            costs.setdefault(asked, {}).setdefault(row.model, []).append(row.cost_nano)
    prompts = [
        Prompt(
            tuple(sorted(set(unpacked(sketch)))), kind, scores, crc32(sketch),
            {name: sum(each) / len(each) for name, each in costs.get((sketch, kind), {}).items()},
        )
        for (sketch, kind), scores in found.items()
    ]  # fmt: skip
    return sorted(prompts, key=lambda each: (each.number, each.kind or ""))


def means(prompts: Sequence[Prompt]) -> tuple[dict[str, Mean], dict[str, dict[str, Mean]]]:
    """Of every model, and of every model at each kind of work.

    A model's mean is shrunk to that of all models. Its mean at a kind is shrunk to its own, moved by how much harder or
    easier the kind is for all models together.
    """
    overall, at_kind = _sums(prompts)
    total, count = _added(overall.values())
    middle = total / count if count else 0.0
    models = {name: Mean(_shrunk(each, middle), each[1]) for name, each in overall.items()}
    kinds: dict[str, dict[str, Mean]] = {}
    for kind, sums in at_kind.items():
        total, count = _added(sums.values())
        expected = sum(models[name].quality * each[1] for name, each in sums.items())
        harder = (total - expected) / (count + EVIDENCE)
        kinds[kind] = {name: Mean(_shrunk(each, models[name].quality + harder), each[1]) for name, each in sums.items()}
    return models, kinds


def _sums(prompts: Sequence[Prompt]) -> tuple[dict[str, tuple[float, int]], dict[str, dict[str, tuple[float, int]]]]:
    overall: dict[str, tuple[float, int]] = {}
    kinds: dict[str, dict[str, tuple[float, int]]] = {}
    for prompt in prompts:
        for name, each in prompt.scores.items():
            overall[name] = _added((overall.get(name, (0.0, 0)), each))
            if prompt.kind is not None:
                sums = kinds.setdefault(prompt.kind, {})
                sums[name] = _added((sums.get(name, (0.0, 0)), each))
    return overall, kinds


def _added(sums: Iterable[tuple[float, int]]) -> tuple[float, int]:
    several = list(sums)
    return sum(each[0] for each in several), sum(each[1] for each in several)


def _shrunk(sums: tuple[float, int], towards: float) -> float:
    return (sums[0] + EVIDENCE * towards) / (sums[1] + EVIDENCE)
