"""What the traffic cost, against what it would have cost at one model: a named one, and the best of the cheap ones.

Every comparison uses the tokens that were really used: another model is taken to have read and written as much. What
cannot be compared (embeddings, ensembles, answers whose price nobody knows) is counted and left out of both sides.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from chittycan.catalogue import ENSEMBLE, Catalogue
from chittycan.chat import Usage
from chittycan.store.feedback import Judged
from chittycan.store.traffic import Flow
from chittycan.usage.prices import Prices

ENOUGH = 10  # scores from which a model's mean says something
Why = Literal["score", "use"]
PAID = ("ok", "cancelled")  # a client that left in the middle pays for what was written


class Quality(Struct, frozen=True):
    """The mean of `scored` scores; None where there are none."""

    mean: float | None = None
    scored: int = 0


class Line(Struct, kw_only=True):
    """One model, or one kind of work: what its answers cost, and what they would have cost at the other models."""

    name: str | None
    answers: int
    input: int
    output: int
    cost_nano: int
    baseline_nano: int | None
    cheap_nano: int | None
    quality: Quality
    baseline_quality: Quality


class AtOne(Struct, kw_only=True):
    """All that could be compared, at one model: None where its price is unknown."""

    model: str
    cost_nano: int | None
    quality: Quality
    answers: int  # that it really gave


class Savings(Struct, kw_only=True):
    """`cost_nano` is what `answers` cost, with `absorbed_nano`, what attempts cost that another one made good.

    `unpriced`, `embeddings` and `ensembles` count the answers that are left out. `cache_nano` is about what the
    `cache_hits` would have cost: as much each as the answers that the same model gave to the same kind of work.
    `baseline` None: no model of known price was used.
    """

    answers: int
    cost_nano: int
    absorbed_nano: int
    unpriced: int
    embeddings: int
    ensembles: int
    cache_hits: int
    cache_nano: int | None
    quality: Quality
    baseline: AtOne | None
    best_cheap: AtOne | None
    chosen_by: Why | None  # `best_cheap` is the best
    at_one: list[AtOne]
    models: list[Line]
    kinds: list[Line]


Price = Callable[[Iterable[Flow]], int | None]


def reckon(
    flows: Sequence[Flow], judged: Sequence[Judged], catalogue: Catalogue, prices: Prices, baseline: str | None
) -> Savings:
    """`baseline` None: the dearest of the models that were used, for this very traffic."""
    chat, left_out = _sorted(flows)
    paid = [flow for flow in chat if flow.outcome in PAID]
    answers = sum(flow.count for flow in paid)
    cost = sum(flow.cost_nano for flow in chat)
    at = {name: _at(name, catalogue, prices) for name in {flow.model for flow in paid} | {baseline} if name is not None}
    used = {name: sum(flow.count for flow in paid if flow.model == name) for name in at}
    scores = _Scores(judged)
    at_one = [
        AtOne(model=name, cost_nano=price(chat), quality=scores.of(model=name), answers=used[name])
        for name, price in at.items()
    ]
    at_one.sort(key=lambda each: (each.cost_nano is None, -(each.cost_nano or 0), each.model))
    known = [each for each in at_one if each.cost_nano is not None]
    against = next((each for each in at_one if each.model == baseline), known[0] if known and not baseline else None)
    cheap, chosen_by = _best_cheap([each for each in known if each.answers], against)
    lines = _Lines(chat, scores, at, against, cheap)
    hits = [flow for flow in flows if flow.outcome == "cached"]
    return Savings(
        answers=answers, cost_nano=cost, absorbed_nano=sum(flow.cost_nano for flow in chat if flow.outcome not in PAID),
        **left_out, cache_hits=sum(flow.count for flow in hits), cache_nano=_cached(hits, paid),
        quality=scores.of(), baseline=against, best_cheap=cheap, chosen_by=chosen_by, at_one=at_one,
        models=lines.by(lambda flow: flow.model), kinds=lines.by(lambda flow: flow.kind, kinds=True),
    )  # fmt: skip


def _sorted(flows: Sequence[Flow]) -> tuple[list[Flow], dict[str, int]]:
    """What can be compared, and how many answers of which kinds cannot."""
    chat: list[Flow] = []
    left_out = {"unpriced": 0, "embeddings": 0, "ensembles": 0}
    for flow in flows:
        if flow.outcome == "cached" or flow.gone:
            continue
        why = None
        if "embeddings" in (flow.needs or "").split(","):
            why = "embeddings"
        elif (flow.decision or "").startswith(ENSEMBLE) or flow.decision == "ensemble":
            why = "ensembles"
        elif flow.unpriced:
            why = "unpriced"
        if why is None:
            chat.append(flow)
        elif flow.outcome in PAID:
            left_out[why] += flow.count
    return chat, left_out


def _at(name: str, catalogue: Catalogue, prices: Prices) -> Price:
    """What traffic would have cost at this model. Of attempts that others made good only what was written counts:
    the client got it, unless a quicker answer came, and who went on from there was asked the whole question again."""
    model = catalogue.resolve(name)
    provider = catalogue.providers.get(model.provider) if model is not None else None

    def price(flows: Iterable[Flow]) -> int | None:
        total = 0
        for flow in flows:
            if model is None or provider is None:
                return None
            if flow.outcome in PAID:
                usage = Usage(flow.input, flow.output, flow.cached, flow.cache_write, 0, flow.reasoning)
                cost = prices.cost_nano(model, provider, usage, flow.count)
            else:
                used = flow.output if flow.outcome != "hedged" else 0  # which nobody needed
                cost = prices.cost_nano(model, provider, Usage(0, used)) if used else 0
            if cost is None:
                return None
            total += cost
        return total

    return price


def _best_cheap(used: Sequence[AtOne], baseline: AtOne | None) -> tuple[AtOne | None, Why | None]:
    """Of the models that were used and would have cost less than the baseline: the one with the best scores, where
    enough of them have any, else the one that was used most."""
    if baseline is None or baseline.cost_nano is None:
        return None, None
    cheaper = [each for each in used if each.cost_nano is not None and each.cost_nano < baseline.cost_nano]
    scored = [each for each in cheaper if each.quality.scored >= ENOUGH]
    if scored:
        return max(scored, key=lambda each: (each.quality.mean or 0.0, -(each.cost_nano or 0))), "score"
    if cheaper:
        return max(cheaper, key=lambda each: (each.answers, -(each.cost_nano or 0))), "use"
    return None, None


def _cached(hits: Sequence[Flow], paid: Sequence[Flow]) -> int | None:
    """None where a hit's model gave no answer of known price."""
    total = 0.0
    for hit in hits:
        alike = [flow for flow in paid if flow.model == hit.model and flow.outcome == "ok"]
        alike = [flow for flow in alike if flow.kind == hit.kind] or alike
        if not alike:
            return None
        total += hit.count * sum(flow.cost_nano for flow in alike) / sum(flow.count for flow in alike)
    return round(total)


class _Scores:
    """Mean scores of any part of the answers."""

    def __init__(self, judged: Sequence[Judged]) -> None:
        self._judged = judged

    def of(self, **part: str | None) -> Quality:
        """Of the answers with this `model`, of this `kind`, or of both."""
        mine = [each for each in self._judged if all(getattr(each, name) == value for name, value in part.items())]
        scored = sum(each.scored for each in mine)
        return Quality(sum(each.mean * each.scored for each in mine) / scored, scored) if scored else Quality()


class _Lines:
    """The comparison in parts."""

    def __init__(
        self,
        flows: Sequence[Flow],
        scores: _Scores,
        at: Mapping[str, Price],
        against: AtOne | None,
        cheap: AtOne | None,
    ) -> None:
        self._flows, self._scores = flows, scores
        self._against = against.model if against is not None else None
        self._baseline = at.get(self._against or "")
        self._cheap = at.get(cheap.model) if cheap is not None else None

    def by(self, part: Callable[[Flow], str | None], *, kinds: bool = False) -> list[Line]:
        """One line per part, the dearest first."""
        parts: dict[str | None, list[Flow]] = {}
        for flow in self._flows:
            parts.setdefault(part(flow), []).append(flow)
        lines = [self._line(name, flows, kinds) for name, flows in parts.items()]
        lines = [line for line in lines if line.answers or line.cost_nano]
        return sorted(lines, key=lambda line: (-line.cost_nano, -line.answers, line.name or ""))

    def _line(self, name: str | None, flows: Sequence[Flow], kinds: bool) -> Line:
        paid = [flow for flow in flows if flow.outcome in PAID]
        of: Any = {"kind": name} if kinds else {"model": name}
        other = {"kind": name} if kinds else {}
        return Line(
            name=name, answers=sum(flow.count for flow in paid), input=sum(flow.input for flow in paid),
            output=sum(flow.output for flow in flows), cost_nano=sum(flow.cost_nano for flow in flows),
            baseline_nano=self._baseline(flows) if self._baseline else None,
            cheap_nano=self._cheap(flows) if self._cheap else None, quality=self._scores.of(**of),
            baseline_quality=self._scores.of(model=self._against, **other) if self._against else Quality(),
        )  # fmt: skip
