"""What the traffic cost, against what it would have cost otherwise, never without what was said of the answers."""

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from chittycan.control.operation import operation, reach, usd

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.catalogue import Catalogue
    from chittycan.usage import savings as reckoning


class ScoreRow(Struct, kw_only=True):
    """The mean of so many scores from 0 to 1; null where there are none."""

    mean: float | None
    scored: int


class SavingsLine(Struct, kw_only=True):
    """One model, or one kind of work. `quality` is what was said of its answers, `baseline_quality` of the baseline's
    own answers (to the same kind of work). A null cost is of unknown price."""

    name: str | None
    answers: int
    input: int
    output: int
    cost_usd: float
    baseline_usd: float | None
    best_cheap_usd: float | None
    quality: ScoreRow
    baseline_quality: ScoreRow


class AtOneModel(Struct, kw_only=True):
    """All of it at one model. `saved_usd` and `saved_share`: against that; negative where it cost more.

    `answers`: those that the model really gave, and that `quality` is about.
    """

    model: str
    cost_usd: float | None
    saved_usd: float | None
    saved_share: float | None
    answers: int
    quality: ScoreRow


class SavingsReport(Struct, kw_only=True):
    """What `answers` cost since `since` (Unix seconds), `absorbed_usd` of it for attempts that another one made good.

    Other models are taken to have read and written as many tokens. `unpriced`, `embeddings` and `ensembles` count the
    answers that are left out on both sides. `cache_usd` is about what the `cache_hits` would have cost.
    `best_cheap_by`: its scores, or that it is used most.
    """

    since: float
    answers: int
    cost_usd: float
    absorbed_usd: float
    quality: ScoreRow
    baseline: AtOneModel | None
    best_cheap: AtOneModel | None
    best_cheap_by: Literal["score", "use"] | None
    unpriced: int
    embeddings: int
    ensembles: int
    cache_hits: int
    cache_usd: float | None
    at_one: list[AtOneModel]
    models: list[SavingsLine]
    kinds: list[SavingsLine]


@operation("GET", "/savings")
async def savings(
    network: "Network", caller: "Key | None", *, since: str = "30d", baseline: str | None = None
) -> SavingsReport:
    """What the traffic cost, against all of it at a baseline model and at the best of the cheap ones.

    `baseline` is that of models.json (`routing.baseline`) by default, else the dearest model that was used. A virtual
    key sees its own traffic.
    """
    import asyncio

    from chittycan.auth.limits import parse_duration
    from chittycan.routing.decide import not_callable
    from chittycan.store import feedback, traffic
    from chittycan.usage.savings import reckon

    begin = network.clock.now() - parse_duration(since)
    baseline = baseline or network.settings.routing.baseline
    catalogue = _priced(network)
    if baseline is not None and catalogue.resolve(baseline) is None:
        raise not_callable(baseline, catalogue)
    await network.ledger.flush()
    mine = reach(caller)
    flows = await network.database.read(traffic.flows, begin, network.clock.now() + 1, mine)
    judged = await network.database.read(feedback.judged, begin, mine)
    found = await asyncio.to_thread(reckon, flows, judged, catalogue, network.prices, baseline)
    return _report(found, begin)


def _priced(network: "Network") -> "Catalogue":
    """Every model that has a price, whether its provider can be called or not: nobody is asked."""
    from chittycan.app import embedded_missing
    from chittycan.providers.registry import build
    from chittycan.providers.vendors import vendors

    keys = {each.keys[0]: "none" for each in vendors().values() if each.keys}
    everyone = build(network.settings, {**keys, **network.env}, network.found, embedded_missing())
    ours = network.gateway.catalogue
    return type(ours)(
        providers={**everyone.providers, **ours.providers}, models={**everyone.models, **ours.models},
        patterns=everyone.patterns, unavailable=everyone.unavailable, ensembles=ours.ensembles,
    )  # fmt: skip


def _report(found: "reckoning.Savings", since: float) -> SavingsReport:
    at = {each.model: _at_one(each, found.cost_nano) for each in found.at_one}
    best = found.best_cheap
    return SavingsReport(
        since=since, answers=found.answers, cost_usd=found.cost_nano / 1e9, absorbed_usd=found.absorbed_nano / 1e9,
        quality=_score(found.quality), baseline=at[found.baseline.model] if found.baseline else None,
        best_cheap=at[best.model] if best else None, best_cheap_by=found.chosen_by, unpriced=found.unpriced,
        embeddings=found.embeddings, ensembles=found.ensembles, cache_hits=found.cache_hits,
        cache_usd=usd(found.cache_nano), at_one=list(at.values()), models=[_line(each) for each in found.models],
        kinds=[_line(each) for each in found.kinds],
    )  # fmt: skip


def _at_one(each: "reckoning.AtOne", actual: int) -> AtOneModel:
    saved = None if each.cost_nano is None else each.cost_nano - actual
    share = round(saved / each.cost_nano, 4) if saved is not None and each.cost_nano else None
    return AtOneModel(
        model=each.model, cost_usd=usd(each.cost_nano), saved_usd=usd(saved), saved_share=share, answers=each.answers,
        quality=_score(each.quality),
    )  # fmt: skip


def _line(line: "reckoning.Line") -> SavingsLine:
    return SavingsLine(
        name=line.name, answers=line.answers, input=line.input, output=line.output, cost_usd=line.cost_nano / 1e9,
        baseline_usd=usd(line.baseline_nano), best_cheap_usd=usd(line.cheap_nano), quality=_score(line.quality),
        baseline_quality=_score(line.baseline_quality),
    )  # fmt: skip


def _score(quality: "reckoning.Quality") -> ScoreRow:
    mean = None if quality.mean is None else round(quality.mean, 4)
    return ScoreRow(mean=mean, scored=quality.scored)
