"""From several readings to one: votes, weights, medians, means, and when two cheap models agree.

A ballot stands for a member whose answer could be read. Ties go to the heavier ballot, then to the earlier one.
"""

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from chittycan.catalogue import Ensemble, Mode
from chittycan.routing.ensembles.extraction import Reading, json_in, shown, with_value

Role = Literal["member", "strong", "judge"]
NEAR = 0.1  # of a median or mean: who lies within agrees with it, where no tolerance is given


class Ballot(Struct, frozen=True, kw_only=True):
    """`text` is the answer that was read."""

    model: str
    reading: Reading
    text: str = ""
    weight: float = 1.0


class Member(Struct, frozen=True, kw_only=True):
    """One model's part in an ensemble. `error` says why it abstained. Times in milliseconds, money in nano-dollars
    (None where no price is known). `model` is our name; the judge's `text` is what it said, not an answer."""

    model: str
    role: Role = "member"
    text: str | None = None
    value: Any = None
    cost_nano: int | None = 0
    ms: float = 0.0
    error: str | None = None
    request_id: str | None = None


class Verdict(Struct, frozen=True, kw_only=True):
    """What several answers come to.

    `answer` is the text for the person, `value` what was read of it. `agreement` is the share of the ballots (by
    weight) that say the same, 0 to 1; `dissent` names the models that say something else. `decided_by`: agreement,
    majority, tie, weights, median, mean, strong, judge, fuse, or first (what should have decided was not there).
    """

    answer: str
    value: Any
    agreement: float
    dissent: tuple[str, ...]
    decided_by: str
    author: str | None = None  # the model whose own words the answer is
    members: tuple[Member, ...] = ()
    notes: tuple[str, ...] = ()


def count(ballots: Sequence[Ballot], ensemble: Ensemble) -> Verdict:
    """The verdict of at least one ballot, without asking anyone further.

    Judge, fuse and cascade count like a vote: that is what stands where nobody had the last word. A cascade's models
    are in rising order, so that its ties go to the later one.
    """
    if ensemble.mode in AVERAGES:
        return _averaged(ballots, ensemble)
    if ensemble.mode == "cascade":
        ballots = ballots[::-1]
    weigh = _weight if ensemble.mode == "weighted" else _one
    tolerance = ensemble.tolerance or 0.0
    support = [(_support(each, ballots, tolerance, weigh), weigh(each)) for each in ballots]
    best = max(support)
    winner = ballots[support.index(best)]
    rivals = [each for each, found in zip(ballots, support, strict=True) if found[0] == best[0]]
    tie = not all(same(each, winner, tolerance) for each in rivals)
    how = "tie" if tie else "weights" if ensemble.mode == "weighted" else "majority"
    return led_by(winner, ballots, ensemble, how)


def led_by(winner: Ballot, ballots: Sequence[Ballot], ensemble: Ensemble, how: str) -> Verdict:
    """The verdict where this ballot decides."""
    weigh = _weight if ensemble.mode == "weighted" else _one
    tolerance = ensemble.tolerance or 0.0
    others = [each.model for each in ballots if not same(each, winner, tolerance)]
    share = _support(winner, ballots, tolerance, weigh) / (sum(map(weigh, ballots)) or 1.0)
    answer, own = _answer(winner, winner.reading.value, ensemble.reads)
    if not others and len(ballots) > 1:
        how = "agreement"
    return Verdict(
        answer=answer, value=winner.reading.value, agreement=round(min(share, 1.0), 4), dissent=tuple(others),
        decided_by=how, author=winner.model if own else None,
    )  # fmt: skip


def settled(ballots: Sequence[Ballot], ensemble: Ensemble) -> Verdict | None:
    """A cascade's verdict without the strong model: at least two of its others agree, and they are more than half."""
    verdict = count(ballots, ensemble) if ballots else None
    if verdict is None or verdict.decided_by == "tie":
        return None
    agreeing = len(ballots) - len(verdict.dissent)
    if agreeing < 2 or agreeing * 2 <= len(ballots):
        return None
    return Verdict(**{**_fields(verdict), "decided_by": "agreement"})


def _fields(verdict: Verdict) -> dict[str, Any]:
    return {name: getattr(verdict, name) for name in verdict.__struct_fields__}


def same(one: Ballot, other: Ballot, tolerance: float) -> bool:
    """Whether two ballots say the same."""
    a, b = one.reading.key, other.reading.key
    if isinstance(a, float) and isinstance(b, float):
        return _close(a, b, tolerance)
    return a == b


def _close(a: float, b: float, tolerance: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=tolerance)


def _one(_: Ballot) -> float:
    return 1.0


def _weight(ballot: Ballot) -> float:
    return ballot.weight


def _support(ballot: Ballot, ballots: Sequence[Ballot], tolerance: float, weigh: Callable[[Ballot], float]) -> float:
    return math.fsum(weigh(each) for each in ballots if same(each, ballot, tolerance))


# numbers


def _averaged(ballots: Sequence[Ballot], ensemble: Ensemble) -> Verdict:
    """Every reading is a number. The author is whose number is nearest."""
    numbers = [float(each.reading.value) for each in ballots]
    weights = [each.weight for each in ballots]
    average = AVERAGES[ensemble.mode](numbers, weights)
    tolerance = ensemble.tolerance if ensemble.tolerance is not None else abs(average) * NEAR
    near = [_close(each, average, tolerance) for each in numbers]
    nearest = min(range(len(ballots)), key=lambda place: abs(numbers[place] - average))
    value = int(average) if average.is_integer() and abs(average) < 1e15 else average
    answer, own = _answer(ballots[nearest], value, ensemble.reads)
    share = math.fsum(weight for weight, agrees in zip(weights, near, strict=True) if agrees) / math.fsum(weights)
    return Verdict(
        answer=answer, value=value, agreement=round(min(share, 1.0), 4), decided_by=ensemble.mode,
        dissent=tuple(each.model for each, agrees in zip(ballots, near, strict=True) if not agrees),
        author=ballots[nearest].model if own else None,
    )  # fmt: skip


def median(numbers: Sequence[float], weights: Sequence[float]) -> float:
    """Half of the weight lies on either side; between two numbers that share the middle, their mean."""
    if len(set(weights)) == 1:
        return float(statistics.median(numbers))
    half, below = math.fsum(weights) / 2, 0.0
    ranked = sorted(zip(numbers, weights, strict=True))
    for place, (number, weight) in enumerate(ranked):
        below += weight
        if math.isclose(below, half) and place + 1 < len(ranked):
            return number / 2 + ranked[place + 1][0] / 2
        if below > half:
            return number
    return ranked[-1][0]


def mean(numbers: Sequence[float], weights: Sequence[float]) -> float:
    total = math.fsum(weights)
    found = math.fsum(number * (weight / total) for number, weight in zip(numbers, weights, strict=True))
    return min(max(found, min(numbers)), max(numbers))  # rounding must not leave the range


AVERAGES: Mapping[Mode, Callable[[Sequence[float], Sequence[float]], float]] = {"median": median, "mean": mean}


# the answer's text


def _answer(ballot: Ballot, value: Any, reads: str) -> tuple[str, bool]:
    """What the person gets, and whether it is the model's own words.

    A choice and a number stand alone; a value inside JSON comes in the model's whole object, so that a program that
    asked for that object gets one.
    """
    kind, _, path = reads.partition(":")
    if kind == "text":
        return ballot.text, True
    if kind == "number":
        return shown(value), False
    if kind == "choice":
        return str(value), False
    found = json_in(ballot.text)
    if path and found is not None:
        whole = found if value == ballot.reading.value else with_value(found, path, value)
        return json.dumps(whole, ensure_ascii=False), False
    return json.dumps(value, ensure_ascii=False), False
