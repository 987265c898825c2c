"""Models as models.json writes them: one line over what the catalogue knows, and the places that run one model."""

from collections.abc import Iterable

from msgspec.structs import replace

from chittycan.catalogue import Deployments, Hedging, Model, PriceRow
from chittycan.config.settings import DeploymentSettings, HedgeSettings, ModelSettings
from chittycan.providers.limits import limits_of

OWN = ("upstream", "context_window", "max_output", "regions", "private")  # what a deployment may say for itself
SAME = (*OWN, "tier", "vision", "tools", "json_schema", "prefill", "reasoning", "embeddings")


def overridden(base: Model, written: ModelSettings) -> Model:
    """`base` with everything that its line in models.json says."""
    changes = {key: getattr(written, key) for key in SAME if getattr(written, key) is not None}
    changes["limits"] = limits_of(f"model:{base.name}", written.limits)
    if written.price is not None:
        price = written.price
        changes["price"] = PriceRow(
            input=price.input, output=price.output, cached=price.cached, cache_write=price.cache_write,
            cache_write_1h=price.cache_write_1h,
        )  # fmt: skip
    return replace(base, **changes)


def placed(written: ModelSettings, deployment: DeploymentSettings) -> ModelSettings:
    """The line of a model as it is for one of its deployments."""
    changes = {key: getattr(deployment, key) for key in (*OWN, "price") if getattr(deployment, key) is not None}
    return replace(written, deployments=(), proxy=deployment.proxy, **changes)


def deployed(model: Model, deployment: DeploymentSettings) -> Model:
    """A model at one of its places, with the limits and the weight of that place."""
    scope = f"deployment:{model.name}@{model.provider}/{model.upstream}"
    return replace(model, own_limits=limits_of(scope, deployment.limits), weight=deployment.weight or 1.0)


def together(
    written: ModelSettings, models: Iterable[Model], missing: Iterable[tuple[str, str]]
) -> tuple[Deployments, list[str]]:
    """The deployments of one model, and the places that were written twice."""
    places: dict[tuple[str, str], Model] = {}
    twice = []
    for model in models:
        if places.setdefault(model.place, model) is not model:
            twice.append(f"{model.provider}/{model.upstream}")
    return Deployments(tuple(places.values()), written.balance or "latency", tuple(missing)), twice


def hedging(written: HedgeSettings | None) -> Hedging | None:
    """What the owner says of hedging; None: nothing."""
    if written is None:
        return None
    return Hedging(None if isinstance(written.after, str) else written.after, frozenset(written.models))
