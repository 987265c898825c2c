"""The requests of the ledger, under another policy: what it would have cost, how fast, who would have answered.

Nothing is asked again. A request whose chain stays the same goes as it went. Another model costs what its prices say
for the tokens that were used, takes as long as its own answers took, and answers as often as it did in that hour (in
the whole time where it was not asked in that hour; always, where it was never asked: that is counted apart).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct, field

from chittycan.catalogue import ENSEMBLE, Catalogue, Model, Provider
from chittycan.chat import Usage
from chittycan.store.traffic import Flow
from chittycan.usage.prices import Prices

# Failures that say something of the model's availability, and nothing of the request.
BESIDE = frozenset({"absorbed", "hedged"})  # attempts beside the one that served
FAULTS = frozenset({"transient", "silent", "rate_limit", "quota", "credential", "model_gone", "truncated"})
# Why requests are left out on both sides.
Left = Literal["before", "cached", "ensemble", "listed", "rule", "refused", "gone"]


class Chosen(Struct, frozen=True):
    """The chain of names that a policy gives a request, or why nobody may answer it."""

    chain: tuple[str, ...] = ()
    refused: str | None = None
    ensemble: bool = False


Choose = Callable[[Flow], Chosen]


class Side(Struct, kw_only=True):
    """One policy. Counts may have fractions: they are what is expected. `unpriced`, `untimed` and `untried` count
    answers of models whose price is unknown, that never answered, and that were never asked."""

    answered: float = 0.0
    failed: float = 0.0
    cost_nano: float = 0.0
    unpriced: float = 0.0
    untimed: float = 0.0
    untried: float = 0.0
    ms_p50: float | None = None
    ms_p95: float | None = None
    models: dict[str, float] = field(default_factory=dict)

    @property
    def share(self) -> float | None:
        """Of the requests, those that were answered."""
        total = self.answered + self.failed
        return self.answered / total if total else None


class Change(Struct, kw_only=True):
    """Requests that `before` answered (None: nobody) and that `after` would be asked first (None: nobody may).

    `cost_nano`: how much more those would cost that are answered; None where a price is unknown, or nobody may answer.
    """

    before: str | None
    after: str | None
    count: int
    cost_nano: float | None
    why: str | None = None


class Both(Struct, kw_only=True):
    """What both policies answer at a known price: only of that can be said what is saved."""

    answers: float = 0.0
    now_nano: float = 0.0
    then_nano: float = 0.0

    def add(self, answers: float, now_nano: float, then_nano: float) -> None:
        self.answers += answers
        self.now_nano += now_nano
        self.then_nano += then_nano


class Simulation(Struct, kw_only=True):
    """`requests` were replayed; `left` counts those that were not, by the reason."""

    requests: int
    both: Both
    now: Side
    then: Side
    changes: list[Change]
    left: dict[Left, int]


class Availability:
    """How often models answered, by the hour."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        self._hours: dict[tuple[str, int], list[int]] = {}
        self._all: dict[str, list[int]] = {}
        for flow in flows:
            good = flow.outcome in ("ok", "cancelled")
            if flow.gone:
                continue
            if not good and (flow.outcome == "cached" or flow.failure not in FAULTS):
                continue
            for counts in (
                self._hours.setdefault((flow.model, flow.hour), [0, 0]),
                self._all.setdefault(flow.model, [0, 0]),
            ):
                counts[good] += flow.count

    def of(self, model: str, hour: int) -> float | None:
        """The share of its attempts that went well; None for a model that was never asked."""
        counts = self._hours.get((model, hour)) or self._all.get(model)
        return None if counts is None else counts[1] / sum(counts)


def simulate(
    flows: Sequence[Flow],
    latencies: Mapping[str, Mapping[float, int]],
    before: tuple[Catalogue, Choose],
    after: tuple[Catalogue, Choose],
    prices: Prices,
) -> Simulation:
    """`flows` by the hour; each side is a catalogue and whom it chooses. Pure but for looking prices up."""
    replay = _Replay(flows, before, after, prices)
    for flow in flows:
        replay.take(flow)
    for side in (replay.now, replay.then):
        _time(side, latencies)
    changes = sorted(replay.changes.values(), key=lambda change: (-change.count, change.before or ""))
    return Simulation(
        requests=replay.requests, both=replay.both, now=replay.now, then=replay.then, changes=changes, left=replay.left
    )  # fmt: skip


class _Replay:
    def __init__(
        self, flows: Iterable[Flow], before: tuple[Catalogue, Choose], after: tuple[Catalogue, Choose], prices: Prices
    ) -> None:
        self._old, self._choose_before = before
        self._new, self._choose_after = after
        self._prices, self._available = prices, Availability(flows)
        self.now, self.then, self.both = Side(), Side(), Both()
        self.changes: dict[tuple[str | None, str | None, str | None], Change] = {}
        self.left: dict[Left, int] = {}
        self.requests = 0

    def take(self, flow: Flow) -> None:
        left = _left(flow)
        after = Chosen() if left else self._choose_after(flow)
        if left is None and after.ensemble:
            left = "ensemble"
        if left is not None:
            if flow.outcome not in BESIDE:
                self.left[left] = self.left.get(left, 0) + flow.count
            return
        before = self._choose_before(flow)
        same = after.chain == before.chain and all(map(self._unchanged, after.chain))
        if flow.outcome in BESIDE:
            self.now.cost_nano += flow.cost_nano
            self.then.cost_nano += flow.cost_nano if same else 0
            if after.chain:
                self.both.add(0, flow.cost_nano, flow.cost_nano if same else 0)
            return
        self.requests += flow.count
        _went(flow, self.now)
        if same or (flow.outcome == "failed" and flow.failure not in FAULTS):
            _went(flow, self.then)
            if flow.outcome != "failed" and not flow.unpriced:
                self.both.add(flow.count, flow.cost_nano, flow.cost_nano)
        else:
            self._walk(flow, after)

    def _unchanged(self, name: str) -> bool:
        return self._old.resolve(name) == self._new.resolve(name)

    def _walk(self, flow: Flow, after: Chosen) -> None:
        """Through the new chain, as far as its models answer."""
        served = flow.model if flow.outcome != "failed" else None
        cost: float | None = 0.0
        remaining = float(flow.count)
        for name in after.chain:
            share = self._share(name, flow, served)
            if share is None:
                self.then.untried += remaining
            answers = remaining * (1.0 if share is None else share)
            remaining -= answers
            each = self._price(name, flow)
            if each is None:
                self.then.unpriced += answers
                cost = None if answers else cost
            else:
                self.then.cost_nano += each * answers
                if served is not None and not flow.unpriced:
                    self.both.add(answers, flow.cost_nano * answers / flow.count, each * answers)
                cost = None if cost is None else cost + each * answers
            self.then.answered += answers
            self.then.models[name] = self.then.models.get(name, 0.0) + answers
            if remaining <= 0:
                break
        self.then.failed += max(0.0, remaining)
        first = after.chain[0] if after.chain else None
        if first != served:
            answered = 1 - max(0.0, remaining) / flow.count
            more = None if cost is None or flow.unpriced or not answered else cost - flow.cost_nano * answered
            self._change(flow, served, first, more, after.refused)

    def _share(self, name: str, flow: Flow, served: str | None) -> float | None:
        """Of these requests, those that the model would answer; it did where it really answered them."""
        return 1.0 if name == served else self._available.of(name, flow.hour)

    def _price(self, name: str, flow: Flow) -> float | None:
        """Nano-dollars of one of these requests at this model."""
        model, provider = _found(name, self._new)
        if model is None or provider is None:
            return None
        if name == flow.model and self._unchanged(name) and flow.outcome != "failed":
            return None if flow.unpriced else flow.cost_nano / flow.count
        usage = Usage(flow.input, flow.output, flow.cached, flow.cache_write, 0, flow.reasoning)
        cost = self._prices.cost_nano(model, provider, usage, flow.count)
        return None if cost is None else cost / flow.count

    def _change(
        self, flow: Flow, served: str | None, first: str | None, more: float | None, refused: str | None
    ) -> None:
        place = served, first, refused
        change = self.changes.get(place)
        if change is None:
            change = self.changes[place] = Change(before=served, after=first, count=0, cost_nano=0.0, why=refused)
        change.count += flow.count
        change.cost_nano = None if more is None or change.cost_nano is None else change.cost_nano + more


def _left(flow: Flow) -> Left | None:
    """Why these requests cannot be replayed."""
    decision = flow.decision or ""
    if flow.outcome == "cached":
        return "cached"
    if flow.asked is None:
        return "before"
    if decision.startswith(ENSEMBLE) or decision == "ensemble":
        return "ensemble"
    if decision == "listed":
        return "listed"
    if decision.startswith("rule:"):
        return "rule"
    if flow.outcome == "failed" and not flow.provider:
        return "refused"
    if flow.gone:
        return "gone"
    return None


def _went(flow: Flow, side: Side) -> None:
    """As it really went."""
    side.cost_nano += flow.cost_nano
    if flow.outcome == "failed":
        side.failed += flow.count
        return
    side.unpriced += flow.count if flow.unpriced else 0
    side.answered += flow.count
    side.models[flow.model] = side.models.get(flow.model, 0.0) + flow.count


def _found(name: str, catalogue: Catalogue) -> tuple[Model | None, Provider | None]:
    model = catalogue.resolve(name)
    return model, catalogue.providers.get(model.provider) if model is not None else None


def _time(side: Side, latencies: Mapping[str, Mapping[float, int]]) -> None:
    """The latencies at the 50th and 95th percentile, by nearest rank, over the answers of models that ever answered."""
    together: dict[float, float] = {}
    for model, weight in side.models.items():
        counts = latencies.get(model, {})
        total = sum(counts.values())
        if not total:
            side.untimed += weight
        for ms, count in counts.items():
            together[ms] = together.get(ms, 0.0) + weight * count / total
    side.ms_p50, side.ms_p95 = _percentile(together, 0.5), _percentile(together, 0.95)


def _percentile(weights: Mapping[float, float], share: float) -> float | None:
    total, reached = sum(weights.values()), 0.0
    for ms in sorted(weights):
        reached += weights[ms]
        if reached >= total * share - 1e-9:
            return ms
    return None
