"""A fixed share of the prompts for each of three tiers of MMLU-Pro: 70 % small, 20 % middle, 10 % strong."""

import random
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.routing_pairs import Scores, hand_rule
from bench.routing_sets import MIDDLE, PRO, SMALL, Set
from chittycan.routing.quality.estimate import Estimate

SHARES = (0.1, 0.2)  # of the prompts: to the strong model, to the middle one; the rest to the small one
DRAWS = 20


def tier_rows(found: Set, expected: Sequence[Mapping[str, Estimate]]) -> dict[str, Any]:
    """70 % to the small model, 20 % to the middle one, 10 % to the strong one, on the test half: who goes where?"""
    dice = random.Random(4)
    chance = [_by_hardness(found, [dice.random() for _ in found.texts]) for _ in range(DRAWS)]
    ours = [{name: each[name].quality if name in each else 0.0 for name in found.models} for each in expected]
    truth = [{name: found.score[name][place] for name in found.models} for place in range(len(found))]
    choices = {
        "length": _by_hardness(found, [float(len(text)) for text in found.texts]),
        "hand rule": _by_hardness(found, [hand_rule(text) for text in found.texts]),
        "ours": _by_gain(found, ours),
        "oracle": _by_gain(found, truth),
    }
    outcomes = [_outcome(found, choice) for choice in chance]
    rows = {"random": tuple(statistics.fmean(each[place] for each in outcomes) for place in (0, 1))}
    rows |= {name: _outcome(found, choice) for name, choice in choices.items()}
    rows |= {f"always {name}": _outcome(found, dict.fromkeys(found.test, name)) for name in found.models}
    return {name: {"kept": round(kept, 4), "saved": round(saved, 4)} for name, (kept, saved) in rows.items()}


def _by_hardness(found: Set, scores: Scores) -> dict[int, str]:
    """The hardest to the strong model, the next to the middle one."""
    order = sorted(found.test, key=lambda place: -scores[place])
    strong, middle = _counts(found)
    return {
        place: PRO if number < strong else MIDDLE if number < strong + middle else SMALL
        for number, place in enumerate(order)
    }


def _by_gain(found: Set, quality: Sequence[Mapping[str, float]]) -> dict[int, str]:
    """To the strong model where it adds most to the others, then to the middle one where that adds most."""
    strong, middle = _counts(found)
    order = sorted(found.test, key=lambda p: max(quality[p][SMALL], quality[p][MIDDLE]) - quality[p][PRO])
    rest = sorted(order[strong:], key=lambda p: quality[p][SMALL] - quality[p][MIDDLE])
    return dict.fromkeys(order[:strong], PRO) | {p: MIDDLE if n < middle else SMALL for n, p in enumerate(rest)}


def _counts(found: Set) -> tuple[int, int]:
    strong, middle = (round(share * len(found.test)) for share in SHARES)
    return strong, middle


def _outcome(found: Set, choice: Mapping[int, str]) -> tuple[float, float]:
    """The shares of the strong model's quality kept and of its cost saved."""
    quality = statistics.fmean(found.score[name][place] for place, name in choice.items())
    cost = sum(found.cost[name][place] for place, name in choice.items())
    return quality / found.mean(PRO, found.test), 1 - cost / found.spent(PRO, found.test)
