"""Two models on one set: in which order prompts should go to the strong one."""

import random
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from bench.routing_curves import Point, aiq
from bench.routing_sets import Set, random_parts, topic_parts
from chittycan.routing.quality.checking import Checked, check
from chittycan.routing.quality.estimate import Quality
from chittycan.routing.quality.fitting import fitted
from chittycan.routing.quality.prompts import Prompt
from chittycan.routing.quality.train import trained

RESAMPLES, OF_TOPICS = 100, 400
FREE = ("length", "hand rule", "least extra cost first")  # rules that need no data

Scores = Sequence[float]  # per prompt: the higher, the sooner it goes to the strong model
Swept = tuple[float, float, float]  # the area under quality gained over dollars spent, and both in all


class Pair:
    """A weak and a strong model on a set."""

    def __init__(self, found: Set, weak: str, strong: str) -> None:
        self.set, self.weak, self.strong = found, weak, strong
        self.gain = [s - w for s, w in zip(found.score[strong], found.score[weak], strict=True)]
        self.extra = [s - w for s, w in zip(found.cost[strong], found.cost[weak], strict=True)]
        # What a router can know of the extra cost: a line over the prompt's length, from the choosing half.
        self.expected_extra = fitted_cost(found, self.extra)
        # Equal scores are ordered by chance: the files are sorted by topic.
        dice = random.Random(3)
        self.ties = [dice.random() for _ in self.gain]

    def ordered(self, scores: Scores, places: Sequence[int]) -> list[int]:
        """Where among the places the next one to go to the strong model is."""
        return sorted(range(len(places)), key=lambda each: (-scores[places[each]], self.ties[places[each]]))

    def swept(self, order: Sequence[int], places: Sequence[int], weights: Sequence[int] | None = None) -> Swept:
        """`weights`: how often each place counts."""
        gained = spent = area = 0.0
        for each in order:
            times, place = (1 if weights is None else weights[each]), places[each]
            area += times * self.extra[place] * (gained + times * self.gain[place] / 2)
            gained += times * self.gain[place]
            spent += times * self.extra[place]
        return area, gained, spent

    def apgr(self, scores: Scores, places: Sequence[int], weights: Sequence[int] | None = None) -> float:
        """The area under quality gained over dollars spent, both as shares. `weights`: how often each place counts."""
        area, gained, spent = self.swept(self.ordered(scores, places), places, weights)
        return area / (gained * spent)

    def _drawn(self, dice: random.Random, places: Sequence[int]) -> list[int]:
        """How often each place is drawn, with replacement; again, where the strong model gains nothing then."""
        while True:
            weights = [0] * len(places)
            for each in dice.choices(range(len(places)), k=len(places)):
                weights[each] += 1
            if abs(sum(times * self.gain[place] for times, place in zip(weights, places, strict=True))) > 1e-9:
                return weights

    def mean_apgr(self, scores: Scores, several: Sequence[Sequence[int]]) -> float:
        """Over parts, by their sizes."""
        return sum(self.apgr(scores, places) * len(places) for places in several) / sum(map(len, several))

    def resampled(self, scores: Scores, several: Sequence[Sequence[int]]) -> list[float]:
        """`mean_apgr` on samples with replacement, the same for every order: differences can be taken."""
        dice, found = random.Random(1), []
        orders = [self.ordered(scores, places) for places in several]
        for _ in range(RESAMPLES):
            total = 0.0
            for order, places in zip(orders, several, strict=True):
                area, gained, spent = self.swept(order, places, self._drawn(dice, places))
                total += area / (gained * spent) * len(places)
            found.append(total / sum(map(len, several)))
        return found

    def closed(self, scores: Scores, several: Sequence[Sequence[int]]) -> tuple[float, list[float]]:
        """APGR$ of all parts together, of which each spends the same share of its dollars; and the same on samples of
        whole topics with replacement, the same for every order.

        A mean of the parts' own APGR$ lets a part decide where there is next to nothing to gain, and takes the topics
        for all there are.
        """
        dice = random.Random(1)
        found: list[float] = []
        orders = [self.ordered(scores, places) for places in several]
        topics = [sorted({self.set.topics[place] for place in places}) for places in several]
        while len(found) < OF_TOPICS:
            sweeps = []
            for order, places, names in zip(orders, several, topics, strict=True):
                drawn = Counter(dice.choices(names, k=len(names)))
                sweeps.append(self.swept(order, places, [drawn[self.set.topics[place]] for place in places]))
            if sum(gained for _, gained, _ in sweeps) > 0:
                found.append(_together(sweeps))
        return _together([self.swept(*each) for each in zip(orders, several, strict=True)]), found

    def at(self, threshold: float, scores: Scores, places: Sequence[int]) -> tuple[float, float]:
        """The shares of the strong model's quality kept and of its cost saved, where it answers from a score on."""
        up = [each for each in places if scores[each] >= threshold]
        quality = sum(self.set.score[self.weak][each] for each in places) + sum(self.gain[each] for each in up)
        cost = self.set.spent(self.weak, places) + sum(self.extra[each] for each in up)
        strong = self.set.mean(self.strong, places) * len(places)
        return quality / strong, 1 - cost / self.set.spent(self.strong, places)

    def threshold(self, scores: Scores, keep: float) -> float:
        """The highest score from which on the strong model has to answer, to keep this share on the choosing half."""
        places = sorted(self.set.choose, key=lambda each: -scores[each])
        quality = sum(self.set.score[self.weak][each] for each in places)
        enough = keep * sum(self.set.score[self.strong][each] for each in places)
        if quality >= enough:
            return float("inf")
        for place in places:
            quality += self.gain[place]
            if quality >= enough:
                return scores[place]
        return float("-inf")


def fitted_cost(found: Set, cost: Sequence[float]) -> list[float]:
    """Cost as a line over the text's length, by least squares on the choosing half; never below a tenth of its mean."""
    lengths = [float(len(text)) for text in found.texts]
    x, y = ([each[place] for place in found.choose] for each in (lengths, cost))
    line = statistics.linear_regression(x, y)
    least = 0.1 * statistics.fmean(y)
    return [max(line.intercept + line.slope * length, least) for length in lengths]


def hand_rule(text: str) -> float:
    """What one would write without data: length, formulas, code, and verbs of hard work."""
    symbols = len(re.findall(r"[=+*/^<>\\]|\d", text)) > 8
    code = "```" in text or "def " in text
    verbs = len(re.findall(r"\b(prove|derive|explain|compute|calculate|why|analy[sz]e|design)\b", text.lower()))
    return 0.4 * min(len(text), 2000) / 2000 + 0.3 * symbols + 0.2 * code + 0.2 * verbs


def left_out(
    prompts: Sequence[Prompt], parts: Sequence[int], learn: Callable[[list[Prompt]], Quality]
) -> Iterable[tuple[list[int], Quality]]:
    """Each part's places, and what was learnt from the others."""
    for part in sorted(set(parts)):
        inside = [prompt for prompt, where in zip(prompts, parts, strict=True) if where != part]
        yield [place for place, where in enumerate(parts) if where == part], learn(inside)


def plain_orders(pair: Pair) -> dict[str, Scores]:
    """Orders that need no training."""
    texts = pair.set.texts
    return {
        "length": [float(len(text)) for text in texts],
        "hand rule": [hand_rule(text) for text in texts],
        "least extra cost first": [1 / each for each in pair.expected_extra],
        "oracle": [gain / max(extra, 1e-12) for gain, extra in zip(pair.gain, pair.extra, strict=True)],
    }


def learnt_orders(pair: Pair, expected: Mapping[str, Mapping[int, float]]) -> dict[str, Scores]:
    """From what is expected to be gained by the strong model, and that per extra dollar."""
    found: dict[str, Scores] = {}
    for name, gains in expected.items():
        found[name] = [gains[place] for place in range(len(pair.set))]
        found[f"{name}, per dollar"] = [
            max(gains[place], 1e-3) / pair.expected_extra[place] for place in range(len(pair.set))
        ]
    return found


def expected_gain(quality: Quality, pair: Pair, place: int, kind: str | None) -> float:
    """Where nothing is expected of this prompt, what the strong model gains on average."""
    names = [pair.weak, pair.strong]
    found = quality.of_features(pair.set.prompts[place].buckets, kind, names)
    if len(found) < 2:
        models = quality.learnt.models
        return models[pair.strong].quality - models[pair.weak].quality
    return found[pair.strong].quality - found[pair.weak].quality


def checked(found: Set) -> Checked:
    """What training finds out, on the choosing half."""
    return check([found.prompts[place] for place in found.choose])


def learner(found: Checked) -> Callable[[Sequence[Prompt]], Quality]:
    """Learns what holds in-domain, as training does once it is known how well it holds."""
    return lambda prompts: Quality(replace(fitted(prompts, found.words), told=found.told))


def in_domain(pair: Pair) -> dict[str, Scores]:
    names = ("topic mean", "ours, topic unknown", "ours")
    expected: dict[str, dict[int, float]] = {name: {} for name in names}
    found = left_out(pair.set.prompts, random_parts(len(pair.set)), learner(checked(pair.set)))
    for places, quality in found:
        means = Quality(quality.learnt.by_means())
        for place in places:
            topic = pair.set.topics[place]
            for name, source, kind in zip(names, (means, quality, quality), (topic, None, topic), strict=True):
                expected[name][place] = expected_gain(source, pair, place, kind)
    return plain_orders(pair) | learnt_orders(pair, expected)


def unseen(pair: Pair) -> tuple[dict[str, Scores], list[list[int]], list[float]]:
    """Orders, the parts of whole topics, and how much of what words say was trusted in each."""
    names = ("ours", "ours, nobody says that the topic is new")
    expected: dict[str, dict[int, float]] = {name: {} for name in names}
    parts, trusted = [], []
    found = left_out(pair.set.prompts, topic_parts(pair.set.topics), lambda p: trained(p, check(p)))
    for places, quality in found:
        parts.append(places)
        trusted.append(quality.learnt.transfer)
        for place in places:
            expected[names[0]][place] = expected_gain(quality, pair, place, pair.set.topics[place])
            expected[names[1]][place] = expected_gain(quality, pair, place, None)
    return plain_orders(pair) | learnt_orders(pair, expected), parts, trusted


def measured(pair: Pair, orders: Mapping[str, Scores], parts: Sequence[Sequence[int]] | None = None) -> dict[str, Any]:
    """Each order on the test half; `parts`: APGR$ is the mean of these parts' own. `apgr_all`: on all prompts."""
    several, choosing, everywhere = (
        [[place for place in part if place in half] for part in parts or [range(len(pair.set))]]
        for half in (set(pair.set.test), set(pair.set.choose), range(len(pair.set)))
    )
    dice = random.Random(2)
    chance = [[dice.random() for _ in range(len(pair.set))] for _ in range(20)]
    rows: dict[str, Any] = {"random": _chance(pair, chance, several)}
    samples = {name: pair.resampled(scores, several) for name, scores in orders.items()}
    best = max(FREE, key=lambda name: pair.mean_apgr(orders[name], several))
    for name, scores in orders.items():
        beyond = [mine - theirs for mine, theirs in zip(samples[name], samples[best], strict=True)]
        rows[name] = {
            "apgr": round(pair.mean_apgr(scores, several), 3), "interval": half_width(samples[name]),
            "apgr_choosing": round(pair.mean_apgr(scores, choosing), 3),
            "apgr_all": round(pair.mean_apgr(scores, everywhere), 3),
            "beyond": best, "beyond_interval": half_width(beyond), "aiq": order_aiq(pair, scores, several),
        }  # fmt: skip
        for keep in (0.95, 0.99):
            kept, saved = pair.at(pair.threshold(scores, keep), scores, pair.set.test)
            rows[name] |= {f"kept@{keep:.0%}": round(kept, 4), f"save@{keep:.0%}": round(saved, 4)}
    return rows


def over_topics(pair: Pair, orders: Mapping[str, Scores], parts: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Each order on the test half, all parts together; and beyond the best rule, as far as other topics may differ."""
    test = set(pair.set.test)
    several = [[place for place in part if place in test] for part in parts]
    found = {name: pair.closed(scores, several) for name, scores in orders.items()}
    best = max(FREE, key=lambda name: found[name][0])
    rows = {}
    for name, (closed, samples) in found.items():
        beyond = [mine - theirs for mine, theirs in zip(samples, found[best][1], strict=True)]
        rows[name] = {
            "apgr": round(closed, 3), "interval": half_width(samples), "beyond": best,
            "difference": round(closed - found[best][0], 3), "difference_interval": half_width(beyond),
        }  # fmt: skip
    return rows


def _together(sweeps: Sequence[Swept]) -> float:
    return sum(area / spent for area, _, spent in sweeps) / sum(gained for _, gained, _ in sweeps)


def order_points(pair: Pair, scores: Scores, places: Sequence[int]) -> list[Point]:
    """What is spent and had when 0, 1, 2… of the prompts go to the strong model, in this order."""
    size = len(places)
    cost, quality = pair.set.spent(pair.weak, places), pair.set.mean(pair.weak, places) * size
    points = [(cost / size, quality / size)]
    for place in sorted(places, key=lambda each: (-scores[each], pair.ties[each])):
        cost, quality = cost + pair.extra[place], quality + pair.gain[place]
        points.append((cost / size, quality / size))
    return points


def order_aiq(pair: Pair, scores: Scores, several: Sequence[Sequence[int]]) -> float:
    """Between always the weak and always the strong model; the mean of several parts."""
    total = 0.0
    for places in several:
        low, high = (pair.set.spent(model, places) / len(places) for model in (pair.weak, pair.strong))
        total += aiq(order_points(pair, scores, places), low, high) * len(places)
    return round(total / sum(map(len, several)), 4)


def half_width(samples: Iterable[float]) -> float:
    """Half of the interval that holds 95 % of these."""
    found = sorted(samples)
    return round((found[int(0.975 * len(found))] - found[int(0.025 * len(found))]) / 2, 3)


def _chance(pair: Pair, chance: Sequence[Scores], several: Sequence[Sequence[int]]) -> dict[str, float]:
    def mean(values: Iterable[float]) -> float:
        return round(statistics.fmean(values), 4)

    row = {"apgr": round(statistics.fmean(pair.mean_apgr(scores, several) for scores in chance), 3),
           "aiq": mean(order_aiq(pair, scores, several) for scores in chance)}  # fmt: skip
    for keep in (0.95, 0.99):
        found = [pair.at(pair.threshold(scores, keep), scores, pair.set.test) for scores in chance]
        row |= {
            f"kept@{keep:.0%}": mean(each[0] for each in found),
            f"save@{keep:.0%}": mean(each[1] for each in found),
        }
    return row
