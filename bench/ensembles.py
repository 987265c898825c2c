"""What ensembles keep and save, on recorded answers: `python -m bench.ensembles`.

Replays the answers of 28 models to the 12,002 questions of MMLU-Pro that all of them were asked (TIGER-AI-Lab,
Apache-2.0) through the code that serves calls: `routing.ensembles` reads and counts them. No model is asked.

Members are chosen on one half of the questions and measured on the other: 20 seeded splits, both ways round, so that
no figure rests on one lucky half. Intervals are 95 %, from the spread of paired differences over questions.

What is assumed, because the data does not say it: costs are list prices of 2024 on the number of characters / 4 (the
set's own field `cost`), so that ratios count and dollars do not; each model answered once; a recorded letter stands
for a whole answer ("The answer is (C)."); nothing was written by today's models. Not measured, because no public
data allows it: median and mean, and judge and fuse, whose judges would cost money here.
"""

import argparse
import gzip
import json
import math
import os
import random
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

from bench.run import machine, save
from chittycan.catalogue import Ensemble, Mode
from chittycan.routing.ensembles.counting import Ballot, count, settled
from chittycan.routing.ensembles.extraction import Reading, read

DATA = Path(os.environ.get("CHITTY_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
STRONG = "gemini-1.5-pro-002"
KEEPS, COSTS, GAIN = 0.99, 0.80, 1.5  # the goals: of the strong model's quality, of its cost; percentage points
CHEAP = 0.25  # of the strong model's cost: who may be one of a cascade's two
ALIKE = 5.0  # percentage points between the best and the worst of models of like strength
SPLITS = 20

# Sets of members that nothing was chosen for: small and large ones, the best three, and one that should lose.
FIXED: dict[str, tuple[str, ...]] = {
    "five small": ("Meta-Llama-3_1-8B-Instruct", "mathstral-7B", "Mixtral-8x7B-Instruct-v0.1",
                   "Phi-3-mini-4k-instruct", "c4ai-command-r-v01"),
    "four large": ("Meta-Llama-3_1-70B", "Meta-Llama-3-70B", "jamba-1.5-large", "Qwen1.5-110B"),
    "three small": ("Meta-Llama-3_1-8B-Instruct", "mathstral-7B", "Phi-3-mini-4k-instruct"),
    "three large": ("Meta-Llama-3_1-70B", "Meta-Llama-3-70B", "Qwen1.5-110B"),
    "the three best": (STRONG, "gemini-1.5-flash-002", "Meta-Llama-3_1-70B-Instruct"),
    "one good among weaker": ("Meta-Llama-3_1-70B-Instruct", "Meta-Llama-3_1-8B-Instruct", "mathstral-7B",
                              "Phi-3-mini-4k-instruct", "Mixtral-8x7B-Instruct-v0.1"),
}  # fmt: skip


class Answers:
    """What every model said to every question; `right` is 0 or 1, `cost` dollars, by model and question."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.models = sorted(set.intersection(*(set(row["pred"]) for row in rows)))
        self.key = [row["answer"] for row in rows]
        self.right = {model: [int(row["quality"][model]) for row in rows] for model in self.models}
        self.cost = {model: [float(row["cost"][model]) for row in rows] for model in self.models}
        self.ballots = {model: [_ballot(model, row["pred"][model]) for row in rows] for model in self.models}

    def __len__(self) -> int:
        return len(self.key)

    def quality(self, model: str, places: Iterable[int]) -> float:
        return statistics.fmean(self.right[model][place] for place in places)


@cache
def _read(letter: str) -> Reading | None:
    return read(f"The answer is ({letter}).", "choice")


def _ballot(model: str, letter: str | None) -> Ballot | None:
    reading = _read(letter) if letter else None
    return Ballot(model=model, reading=reading, text=letter or "") if reading is not None else None


def load() -> Answers:
    """The questions that all models but the one with gaps were asked."""
    with gzip.open(DATA / "routing" / "mmlu_pro.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    most = max(len(row["pred"]) for row in rows)
    asked = {model: sum(model in row["pred"] for row in rows) for row in rows[:1] for model in row["pred"]}
    complete = {model for model, times in asked.items() if times > 0.99 * len(rows)}
    kept = [row for row in rows if complete <= set(row["pred"])]
    print(f"{len(kept)} of {len(rows)} questions, {len(complete)} of {most} models")
    for row in kept:
        row["pred"] = {model: row["pred"][model] for model in complete}
    return Answers(kept)


def spread(values: Sequence[float]) -> float:
    """Half of the 95 % interval of their mean."""
    return 1.96 * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.inf


# the cascade


def cascaded(answers: Answers, pair: tuple[str, str]) -> tuple[list[int], list[float]]:
    """Right or wrong, and dollars, per question, where these two are asked first and the strong model decides."""
    ensemble = Ensemble(models=(*pair, STRONG), extract="choice")
    right, cost = [], []
    for place, key in enumerate(answers.key):
        verdict = settled([each for model in pair if (each := answers.ballots[model][place])], ensemble)
        right.append(int(verdict.answer == key) if verdict is not None else answers.right[STRONG][place])
        last = 0.0 if verdict is not None else answers.cost[STRONG][place]
        cost.append(last + sum(answers.cost[model][place] for model in pair))
    return right, cost


Outcomes = dict[tuple[str, str], tuple[list[int], list[float]]]


def kept_and_cost(answers: Answers, found: tuple[list[int], list[float]], places: Sequence[int]) -> tuple[float, float]:
    """The shares of the strong model's quality and cost."""
    quality = sum(found[0][place] for place in places) / sum(answers.right[STRONG][place] for place in places)
    return quality, sum(found[1][place] for place in places) / sum(answers.cost[STRONG][place] for place in places)


def chosen_pair(answers: Answers, outcomes: Outcomes, places: Sequence[int]) -> tuple[str, str]:
    """The cheapest pair that keeps what it should on these questions; else the one that keeps most."""
    seen = {pair: kept_and_cost(answers, found, places) for pair, found in outcomes.items()}
    good = {pair: cost for pair, (kept, cost) in seen.items() if kept >= KEEPS}
    return min(good, key=lambda pair: good[pair]) if good else max(seen, key=lambda pair: seen[pair][0])


def cascade(answers: Answers, splits: int) -> dict[str, Any]:
    everything = range(len(answers))
    limit = CHEAP * statistics.fmean(answers.cost[STRONG])
    cheap = [model for model in answers.models if statistics.fmean(answers.cost[model]) < limit]
    best = sorted(cheap, key=lambda model: -answers.quality(model, everything))
    outcomes: Outcomes = {pair: cascaded(answers, pair) for pair in combinations(best, 2)}
    held_out, pairs = [], []
    for chosen_on, measured_on in halves(len(answers), splits):
        pair = chosen_pair(answers, outcomes, chosen_on)
        pairs.append(" + ".join(pair))
        held_out.append(kept_and_cost(answers, outcomes[pair], measured_on))
    whole = {" + ".join(pair): kept_and_cost(answers, found, everything) for pair, found in outcomes.items()}
    top = max(set(pairs), key=pairs.count)
    right = next(found[0] for pair, found in outcomes.items() if " + ".join(pair) == top)
    difference = [a - b for a, b in zip(right, answers.right[STRONG], strict=True)]
    kept, cost = (statistics.fmean(each[place] for each in held_out) for place in (0, 1))
    return {
        "held_out_quality_kept": round(kept, 4),
        "held_out_cost": round(cost, 4),
        "lowest_and_highest_quality_kept": [round(low(each[0] for each in held_out), 4) for low in (min, max)],
        "lowest_and_highest_cost": [round(low(each[1] for each in held_out), 4) for low in (min, max)],
        "halves": len(held_out),
        "halves_that_meet_both_goals": sum(each[0] >= KEEPS and each[1] <= COSTS for each in held_out),
        "chosen": {pair: pairs.count(pair) for pair in sorted(set(pairs))},
        "all_questions": {
            "pair": top,
            "quality_kept": round(whole[top][0], 4),
            "interval": round(spread(difference) / answers.quality(STRONG, everything), 4),
            "cost": round(whole[top][1], 4),
        },
        "without_a_cascade": {
            model: {"quality_kept": round(answers.quality(model, everything) / answers.quality(STRONG, everything), 4),
                    "cost": round(sum(answers.cost[model]) / sum(answers.cost[STRONG]), 4)}
            for model in best[:2]
        },
    }  # fmt: skip


def halves(size: int, splits: int) -> Iterable[tuple[Sequence[int], Sequence[int]]]:
    """(chosen on, measured on), each split both ways round."""
    for seed in range(splits):
        places = list(range(size))
        random.Random(seed).shuffle(places)
        one, other = places[: size // 2], places[size // 2 :]
        yield one, other
        yield other, one


# votes


def voted(answers: Answers, members: Sequence[str], places: Sequence[int], mode: Mode, weigh: Any) -> list[int]:
    """Right or wrong per question. Ties go to the first member, or to the heavier one."""
    ensemble = Ensemble(models=tuple(members), mode=mode, extract="choice")
    right = []
    for place in places:
        ballots = [each for model in members if (each := answers.ballots[model][place])]
        if mode == "weighted":
            ballots = [
                Ballot(model=each.model, reading=each.reading, text=each.text, weight=weigh(each.model))
                for each in ballots
            ]
        right.append(int(bool(ballots) and count(ballots, ensemble).answer == answers.key[place]))
    return right


def gain(
    answers: Answers, members: Sequence[str], places: Sequence[int], mode: Mode = "vote", weigh: Any = None
) -> dict[str, Any]:
    """Percentage points above the member that is best on these very questions, which nobody could have known."""
    right = voted(answers, members, places, mode, weigh)
    best = max(members, key=lambda model: answers.quality(model, places))
    difference = [100.0 * (a - answers.right[best][place]) for a, place in zip(right, places, strict=True)]
    spent = sum(answers.cost[model][place] for model in members for place in places)
    return {
        "members": list(members), "mode": mode, "quality": round(statistics.fmean(right), 4),
        "best_member": best, "gain": round(statistics.fmean(difference), 2), "interval": round(spread(difference), 2),
        "cost_of_best": round(spent / sum(answers.cost[best][place] for place in places), 2),
    }  # fmt: skip


def alike(answers: Answers, size: int, places: Sequence[int]) -> list[tuple[str, ...]]:
    """Neighbours in the ranking of these questions that lie close together, the best first."""
    quality = {model: 100 * answers.quality(model, places) for model in answers.models}
    order = sorted(quality, key=lambda model: -quality[model])
    windows = [tuple(order[start : start + size]) for start in range(len(order) - size + 1)]
    return [each for each in windows if quality[each[0]] - quality[each[-1]] <= ALIKE]


def votes(answers: Answers, splits: int) -> dict[str, Any]:
    everything = range(len(answers))
    rows: list[dict[str, Any]] = []
    for chosen_on, measured_on in list(halves(len(answers), splits))[:2]:
        weigh = log_odds(answers, chosen_on)
        for size in (3, 5):
            for members in alike(answers, size, chosen_on):
                rows.append(gain(answers, members, measured_on))
                rows.append(gain(answers, members, measured_on, "weighted", weigh))
    by_mode = {mode: [row["gain"] for row in rows if row["mode"] == mode] for mode in ("vote", "weighted")}
    fixed = {name: gain(answers, members, everything) for name, members in FIXED.items()}
    fixed["all 28"] = gain(answers, by_quality(answers), everything)
    return {
        mode: {"sets": len(gains), "mean_gain": round(statistics.fmean(gains), 2), "lowest_gain": min(gains),
               "sets_that_meet_the_goal": sum(each >= GAIN for each in gains)}
        for mode, gains in by_mode.items()
    } | {"fixed_before": fixed, "like_strength_sets": rows}  # fmt: skip


def by_quality(answers: Answers) -> list[str]:
    return sorted(answers.models, key=lambda model: -answers.quality(model, range(len(answers))))


def log_odds(answers: Answers, places: Sequence[int]) -> Callable[[str], float]:
    """The weight of a model: how much more often it is right than a guess among ten, on these questions."""
    quality = {model: answers.quality(model, places) for model in answers.models}
    return lambda model: max(0.01, math.log(9 * quality[model] / (1 - quality[model])))


def main(quick: bool) -> int:
    if not (DATA / "routing").is_dir():
        print(f"skipped: no data folder at {DATA}; set CHITTY_DATA to one")
        return 0
    answers = load()
    result: dict[str, Any] = {"machine": machine(), "assumptions": __doc__, "questions": len(answers)}
    result["cascade"] = first = cascade(answers, 3 if quick else SPLITS)
    result["vote"] = second = votes(answers, 1)
    kept, cost, plain = first["held_out_quality_kept"], first["held_out_cost"], second["vote"]
    top = second["fixed_before"]["the three best"]
    result["goals"] = [
        {"goal": f"a cascade keeps ≥ {KEEPS:.0%} of the strong model's quality at ≤ {COSTS:.0%} of its cost (mean of "
                 f"{first['halves']} held-out halves)",
         "measured": f"{kept:.1%} at {cost:.1%}", "holds": kept >= KEEPS and cost <= COSTS},
        {"goal": f"a vote beats its best member by ≥ {GAIN} points (mean of {plain['sets']} sets of like strength)",
         "measured": f"+{plain['mean_gain']}; {plain['sets_that_meet_the_goal']} sets reach it, the lowest has "
                     f"{plain['lowest_gain']:+}",
         "holds": plain["mean_gain"] >= GAIN},
        {"goal": f"so does a vote of the three best, {STRONG} among them (all questions)",
         "measured": f"{top['gain']:+} ± {top['interval']}", "holds": top["gain"] >= GAIN},
    ]  # fmt: skip
    print((__doc__ or "").partition("\n\n")[2])
    print(json.dumps(first, indent=1, ensure_ascii=False))
    for name, row in second["fixed_before"].items():
        gained = f"{row['gain']:+} ± {row['interval']} points"
        print(f"vote, {name}: {row['quality']:.3f}, {gained}, {row['cost_of_best']} × the cost of its best")
    print(json.dumps(result["goals"], indent=1, ensure_ascii=False))
    print(f"raw numbers: {save('ensembles', result, quick)}")
    return 0 if all(row["holds"] for row in result["goals"]) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.ensembles", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three splits in place of twenty")
    sys.exit(main(parser.parse_args().quick))
