"""Models: which there are, whether they answer, and who stands in for whom."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from chittycan.control.operation import operation, owns
from chittycan.control.probe import Probed, probe_all
from chittycan.errors import InvalidRequest, NotFound, Unavailable, UnknownModel

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.catalogue import Catalogue, Model, Provider

LATENCY_SINCE = 7 * 86_400.0  # seconds that a model's usual latency is taken from
DEFAULT = "*"


class LimitRow(Struct, kw_only=True):
    """What all servers together may ask of `scope` (`model:NAME`, `provider:NAME`); null: not limited.

    `held`: how many of the calls open at once servers have taken, idle ones included.
    """

    scope: str
    concurrency: int | None = None
    held: int = 0
    rpm: int | None = None
    tpm: int | None = None


class DeploymentRow(Struct, kw_only=True):
    """One of several places that run a model. `open`: calls under way there, from this server."""

    provider: str
    upstream: str
    status: Literal["ready", "resting", "unavailable"] = "ready"
    why: str | None = None
    first_token_ms: float | None = None
    open: int = 0
    weight: float = 1.0
    private: bool = False
    regions: list[str] = []
    limits: list[LimitRow] = []


class ModelRow(Struct, kw_only=True):
    """One model. `status`: ready, resting (after failures; `why` says which) or unavailable (`why` says what it needs).

    `default`: its provider's default model. `latency_ms`: median of the last week. `window` in tokens. `dominated`:
    which other model is better and cheaper, by what was learnt.
    """

    name: str
    provider: str
    upstream: str = ""
    status: Literal["ready", "resting", "unavailable"] = "ready"
    why: str | None = None
    default: bool = False
    latency_ms: float | None = None
    first_token_ms: float | None = None
    window: int | None = None
    private: bool = False
    regions: list[str] = []
    tier: str | None = None
    dominated: str | None = None
    limits: list[LimitRow] = []
    balance: str | None = None
    deployments: list[DeploymentRow] = []


class ChainLink(Struct, kw_only=True):
    """One model of a chain, and why it is in it or passed over."""

    model: str
    used: bool
    why: str


class FallbackChain(Struct, kw_only=True):
    """Who is asked, in order, for `model`; "*" is the default chain. `written`: it stands in models.json."""

    model: str
    written: bool
    chain: list[str]
    links: list[ChainLink]


@operation("GET", "/models")
async def listed(network: "Network", caller: "Key | None", *, unavailable: bool = False) -> list[ModelRow]:
    """Every model that can be called; with `unavailable` also those that lack something, and what."""
    from chittycan.routing.cost.dominated import dominated

    catalogue = network.gateway.catalogue
    latencies = await _latencies(network) if owns(caller) else {}
    held = await network.slots.held() if owns(caller) else None
    rows = [
        _row(network, model, latencies.get(model.name), held)
        for model in catalogue.models.values()
        if caller is None or caller.models is None or model.name in caller.models
    ]
    worse = dominated(catalogue, network.gateway.policy)
    for row in rows:
        row.dominated = worse.get(row.name)
    rows.sort(key=lambda row: (row.provider, not row.default))
    if unavailable:
        rows += [ModelRow(name=name, provider="", status="unavailable", why=why)
                 for name, why in catalogue.unavailable.items()]  # fmt: skip
    return rows


@operation("GET", "/models/default")
async def default_of(network: "Network", caller: "Key | None", *, provider: str) -> ModelRow:
    """The model that serves where only the provider is named."""
    catalogue = network.gateway.catalogue
    check_provider(catalogue, provider)
    model = catalogue.default_of(provider)
    if model is None:
        raise NotFound(
            f"{provider} has no default model.",
            param="provider",
            fix=f"can connect integration add {provider} --model MODEL",
        )
    return _row(network, model, None)


@operation("POST", "/models/test", owner=True)
async def probe(network: "Network", caller: "Key | None", *, names: list[str] | None = None) -> list[Probed]:
    """Asks each named model (else each provider's default model) one short question. It costs what that costs."""
    catalogue = network.gateway.catalogue
    if not names:
        found = [catalogue.default_of(provider) for provider in catalogue.providers]
        names = list(dict.fromkeys(model.name for model in found if model is not None))
    for name in names:
        if catalogue.resolve(name) is None and catalogue.why_unavailable(name) is None:
            raise unknown(catalogue, name)
    return await probe_all(network, names)


@operation("GET", "/models/fallback-chain")
async def fallback_chain(network: "Network", caller: "Key | None", *, model: str = DEFAULT) -> FallbackChain:
    """Who is asked, in order, when `model` fails; "*" is the default chain (`auto`, agents, the command line)."""
    from chittycan.routing.decide import AUTO, decide
    from chittycan.routing.facts import Facts

    catalogue = network.gateway.catalogue
    asked = AUTO if model == DEFAULT else model
    decision = decide(Facts(model=asked, allowed=caller.models if caller is not None else None), catalogue)
    return FallbackChain(
        model=model,
        written=bool(catalogue.fallbacks.get(model)),
        chain=[candidate.model.name for candidate in decision.chain],
        links=[ChainLink(model=each.model, used=each.kept, why=each.why) for each in decision.reasons],
    )


@operation("PUT", "/models/fallback-chain", owner=True)
async def set_fallback_chain(
    network: "Network", caller: "Key | None", *, chain: list[str], model: str = DEFAULT
) -> FallbackChain:
    """Writes a chain into models.json, effective at once. The default chain always ends in the embedded model."""
    from chittycan.config.editing import set_fallbacks
    from chittycan.providers.registry import SMOLLM2

    catalogue = network.gateway.catalogue
    names = list(dict.fromkeys(name.strip() for name in chain if name.strip()))
    if not names:
        raise InvalidRequest("A chain needs at least one model.", param="chain", fix="--set gpt-4o,claude-sonnet-4-5")
    for name in names if model == DEFAULT else (model, *names):
        if catalogue.resolve(name) is None and catalogue.why_unavailable(name) is None:
            raise unknown(catalogue, name)
    if model == DEFAULT and SMOLLM2 not in names:
        names.append(SMOLLM2)
    set_fallbacks(network.settings.folder, model, [name for name in names if name != model])
    await network.reload()
    return await fallback_chain(network, model=model)


def unknown(catalogue: "Catalogue", name: str) -> UnknownModel:
    near = catalogue.suggest(name)
    fix = f"Did you mean {near}?" if near else "`can router models list` shows what can be called."
    return UnknownModel(f"The model '{name[:80]}' does not exist here.", param="model", fix=fix)


def check_provider(catalogue: "Catalogue", name: str) -> None:
    """Raises Unavailable (known, and why it cannot be called) or NotFound."""
    from difflib import get_close_matches

    from chittycan.providers.vendors import vendor, vendors

    if name in catalogue.providers:
        return
    known = vendor(name)
    if name in catalogue.skipped:
        raise Unavailable(
            f"{name} cannot be called: {catalogue.skipped[name]}.", fix=f"Set it, or: {_add(name)} --api-key env:NAME"
        )
    if known is not None:
        needs = f"it needs {known.keys[0]}" if known.keys else "it does not answer on this machine"
        fix = f"export {known.keys[0]}=…; or: {_add(name)}" if known.keys else f"Start {known.name}."
        raise Unavailable(f"{name} cannot be called: {needs}.", fix=fix)
    near = get_close_matches(name, [*catalogue.providers, *vendors()], n=1)
    fix = f"Did you mean {near[0]}?" if near else f"{_add(name)} --endpoint https://…/v1"
    raise NotFound(f"No provider is called '{name[:80]}'.", param="provider", fix=fix)


def _add(name: str) -> str:
    return f"can connect integration add {name}"


def _limits(model: "Model", provider: "Provider", held: Mapping[str, int] | None) -> list[LimitRow]:
    """For the owner; others (`held` None) see no limits."""
    found = [
        each for each in (model.own_limits, model.limits, provider.limits) if each is not None and held is not None
    ]
    return [
        LimitRow(
            scope=each.scope, concurrency=each.concurrency, held=(held or {}).get(each.scope, 0), rpm=each.rpm,
            tpm=each.tpm,
        )
        for each in found
    ]  # fmt: skip


def _row(network: "Network", model: "Model", latency: float | None, held: Mapping[str, int] | None = None) -> ModelRow:
    catalogue = network.gateway.catalogue
    provider, deployed = catalogue.providers[model.provider], catalogue.deployments.get(model.name)
    status, why = _standing(network, model)
    default = catalogue.default_of(provider.name)
    return ModelRow(
        name=model.name, provider=model.provider, upstream=model.upstream, status=status, why=why,
        default=default is not None and default.name == model.name, latency_ms=latency,
        first_token_ms=_first_token(network, model), window=model.context_window, private=model.private,
        regions=list(model.regions), tier=model.tier, limits=_limits(model, provider, held),
        balance=deployed.balance if deployed else None,
        deployments=_deployments(network, model.name, held) if deployed else [],
    )  # fmt: skip


def _deployments(network: "Network", name: str, held: Mapping[str, int] | None) -> list[DeploymentRow]:
    catalogue, latency = network.gateway.catalogue, network.gateway.latency
    rows = []
    for model in catalogue.deployments[name].models:
        status, why = _standing(network, model)
        rows.append(
            DeploymentRow(
                provider=model.provider, upstream=model.upstream, status=status, why=why, weight=model.weight,
                first_token_ms=_first_token(network, model), open=latency.open(model.place), private=model.private,
                regions=list(model.regions), limits=_limits(model, catalogue.providers[model.provider], held),
            )
        )  # fmt: skip
    rows += [
        DeploymentRow(provider=provider, upstream="", status="unavailable", why=why)
        for provider, why in catalogue.deployments[name].missing
    ]
    return rows


def _standing(network: "Network", model: "Model") -> tuple[Literal["ready", "resting"], str | None]:
    rests = network.gateway.health.rests_for(model, network.gateway.catalogue.providers[model.provider])
    if rests == 0:
        return "ready", None
    return "resting", "its key was refused" if rests is None else f"for {rests:.0f} s after failures"


def _first_token(network: "Network", model: "Model") -> float | None:
    seconds = network.gateway.latency.first_token(model.place)
    return None if seconds is None else round(seconds * 1e3, 1)


async def _latencies(network: "Network") -> dict[str | None, float | None]:
    from chittycan.usage.queries import Queries

    queries = Queries(network.database, network.clock, network.ledger)
    groups = await queries.summary(network.clock.now() - LATENCY_SINCE, "model")
    return {group.name: group.ms_p50 for group in groups}
