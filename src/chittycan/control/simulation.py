"""What another models.json would have come to: the ledger's requests under its policy, before anyone switches."""

from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from chittycan.control.operation import operation, usd
from chittycan.errors import ConfigError, InvalidRequest

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.catalogue import Catalogue
    from chittycan.config import Settings
    from chittycan.routing.cost.policy import Policy
    from chittycan.routing.facts import Facts
    from chittycan.store.traffic import Flow
    from chittycan.usage.simulate import Choose, Side

SIMULATION_SECONDS = 600.0
# What a request may need of a model, as the ledger has it; what else stands there only its own dialect can say.
NEEDS = ("tools", "vision", "schema", "prefill", "embeddings")


class SimulatedSide(Struct, kw_only=True):
    """One policy: what the requests cost, how long answers took (milliseconds), and the share that was answered.

    Of `answers` (which may be a fraction: what is expected) `unpriced` have no known price and are missing from the
    cost, `untimed` come from models that never answered and are missing from the latencies, and `untried` from models
    that were never asked and are taken to answer always. `models`: who answers how many.
    """

    cost_usd: float
    ms_p50: float | None
    ms_p95: float | None
    answered_share: float | None
    answers: float
    unpriced: float
    untimed: float
    untried: float
    models: dict[str, float]


class ChangedChoice(Struct, kw_only=True):
    """`count` requests that `before` answered (null: nobody) and that `after` would be asked first (null: nobody may,
    and `why` says why). `cost_usd`: how much more those would cost that are answered; null where a price is unknown, or
    nobody may answer."""

    before: str | None
    after: str | None
    count: int
    cost_usd: float | None
    why: str | None


class AnsweredByBoth(Struct, kw_only=True):
    """The requests that are answered, at a known price, now and then: of no others can be said what is saved."""

    answers: float
    now_usd: float
    then_usd: float


class SimulationReport(Struct, kw_only=True):
    """`requests` were replayed. `left` counts those that were not, on neither side, by the reason: from before the
    ledger knew what was asked for (before), answers from the cache (cached), ensembles (ensemble), chains that the
    caller gave (listed), models that a rule chose (rule), calls that no model was asked for (refused), clients that
    left before an answer came (gone).

    `warnings` are what is odd in the new file.
    """

    since: float
    requests: int
    both: AnsweredByBoth
    now: SimulatedSide
    then: SimulatedSide
    changes: list[ChangedChoice]
    left: dict[str, int]
    warnings: list[str]


@operation("POST", "/simulate", owner=True, seconds=SIMULATION_SECONDS)
async def simulate(
    network: "Network", caller: "Key | None", *, models: dict[str, Any], since: str = "30d"
) -> SimulationReport:
    """The requests of the ledger under another models.json (`models` is its content): cost, latency, availability and
    changed choices beside those of now. Nobody is asked, and nothing is changed."""
    import asyncio

    from chittycan.auth.limits import parse_duration
    from chittycan.policy import policy_of
    from chittycan.store import traffic
    from chittycan.usage.simulate import simulate as replayed

    settings, catalogue = _other(network, models)
    now = network.clock.now()
    begin = now - parse_duration(since)
    await network.ledger.flush()
    flows = await network.database.read(traffic.flows, begin, now + 1, None, hours=True)
    latencies = await network.database.read(traffic.latencies, begin, now + 1)
    allowed = {key.id: key.models for key in await network.keys.list()}
    ours, policy = network.gateway.catalogue, network.gateway.policy
    other = policy_of(settings, network.policy.quality, network.prices)
    found = await asyncio.to_thread(
        replayed, flows, latencies, (ours, chooser(ours, policy, allowed)),
        (catalogue, chooser(catalogue, other, allowed)), network.prices,
    )  # fmt: skip
    known, both = set(ours.warnings), found.both
    return SimulationReport(
        since=begin, requests=found.requests, now=_side(found.now), then=_side(found.then),
        left={str(why): count for why, count in found.left.items()},
        both=AnsweredByBoth(
            answers=round(both.answers, 2), now_usd=both.now_nano / 1e9, then_usd=both.then_nano / 1e9
        ),
        changes=[
            ChangedChoice(before=each.before, after=each.after, count=each.count, why=each.why,
                          cost_usd=usd(None if each.cost_nano is None else round(each.cost_nano)))
            for each in found.changes
        ],
        warnings=[_unplaced(each, network) for each in catalogue.warnings if each not in known],
    )  # fmt: skip


def _other(network: "Network", models: dict[str, Any]) -> "tuple[Settings, Catalogue]":
    """The configuration with this models.json in the place of its own. Raises InvalidRequest."""
    from chittycan.app import embedded_missing
    from chittycan.config.reading import read_document, settings_from
    from chittycan.config.settings import CONFIG_FILE
    from chittycan.providers.registry import build

    folder = network.settings.folder
    config = read_document(folder / CONFIG_FILE)
    try:
        settings = settings_from(config, models, folder)
    except ConfigError as error:
        raise InvalidRequest(_unplaced(error.message, network), param="models", fix=error.fix) from None
    return settings, build(settings, network.env, network.found, embedded_missing())


def _unplaced(text: str, network: "Network") -> str:
    """What is said of models.json, without the folder: it is the other one that is meant."""
    from chittycan.config.settings import MODELS_FILE

    return text.replace(str(network.settings.folder / MODELS_FILE), MODELS_FILE)


def chooser(catalogue: "Catalogue", policy: "Policy", allowed: "dict[str, frozenset[str] | None]") -> "Choose":
    """Whom a policy chooses for the requests of a flow. `allowed`: the models of each key."""
    from chittycan.errors import ChittyError
    from chittycan.routing.decide import decide
    from chittycan.routing.ensembles.seating import asked_for
    from chittycan.usage.simulate import Chosen

    known: dict[Facts, Chosen] = {}

    def chosen(facts: "Facts") -> Chosen:
        if asked_for(facts, catalogue) is not None:
            return Chosen(ensemble=True)
        try:
            decision = decide(facts, catalogue, policy)
        except ChittyError as error:
            return Chosen(refused=error.message)
        return Chosen(chain=tuple(dict.fromkeys(each.model.name for each in decision.chain)))

    def choose(flow: "Flow") -> Chosen:
        facts = _facts(flow, catalogue, policy, allowed)
        if facts not in known:
            known[facts] = chosen(facts)
        return known[facts]

    return choose


def _facts(
    flow: "Flow", catalogue: "Catalogue", policy: "Policy", allowed: "dict[str, frozenset[str] | None]"
) -> "Facts":
    """What is still known of these requests. Of their words there is nothing: kind and difficulty are as recorded."""
    from chittycan.routing.decide import CHOOSING
    from chittycan.routing.facts import Facts
    from chittycan.routing.kinds import TIERS
    from chittycan.store.traffic import SIZE

    asked, route = flow.asked or "", flow.decision or ""
    needs = set((flow.needs or "").split(",")) - {""}
    region = next((each.removeprefix("region=") for each in needs if each.startswith("region=")), None)
    own = next((each for each in sorted(needs) if each not in NEEDS and not each.startswith("region=")), None)
    facts = Facts(
        model=asked, surface=None if flow.surface == "local" else flow.surface, kind=flow.kind, region=region,
        private=route == "private", allowed=allowed.get(flow.key_id or ""), keep_answering=flow.surface == "local",
        tokens=flow.size * SIZE, same_dialect=own, vision="vision" in needs, tools="tools" in needs,
        schema="schema" in needs, prefill="prefill" in needs, embeddings="embeddings" in needs,
    )  # fmt: skip
    if asked not in CHOOSING:
        return facts
    names = [name for name, model in catalogue.models.items() if not model.embeddings]
    estimates = policy.quality.of_kind(flow.kind, names)
    difficulty = next((tier for tier in TIERS if route.endswith(f":{tier}")), None)
    return replace(
        facts, difficulty=difficulty, estimates=tuple(estimates.items()), size=flow.input // flow.count,
        written=flow.output // flow.count,
    )  # fmt: skip


def _side(side: "Side") -> SimulatedSide:
    share = side.share
    return SimulatedSide(
        cost_usd=side.cost_nano / 1e9, ms_p50=side.ms_p50, ms_p95=side.ms_p95, answers=round(side.answered, 2),
        answered_share=None if share is None else round(share, 4), unpriced=round(side.unpriced, 2),
        untimed=round(side.untimed, 2), untried=round(side.untried, 2),
        models={name: round(count, 2) for name, count in sorted(side.models.items(), key=lambda each: -each[1])},
    )  # fmt: skip
