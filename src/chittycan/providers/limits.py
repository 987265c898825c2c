"""Limits of providers and models, from how they are written to how they are kept."""

from collections.abc import Iterator

from chittycan.catalogue import Catalogue, Limits
from chittycan.config.settings import LimitSettings, Settings

MEASURES = ("concurrency", "rpm", "tpm")


def limits_of(scope: str, written: LimitSettings | None) -> Limits | None:
    """The limits of `scope` (`model:NAME`, `provider:NAME`); None where nothing is limited."""
    if written is None or _limits_nothing(written):
        return None
    given = {key: getattr(written, key) for key in (*MEASURES, "wait") if getattr(written, key) is not None}
    return Limits(scope=scope, **given)


def odd_limits(catalogue: Catalogue, settings: Settings) -> Iterator[str]:
    """A warning for limits that limit nothing, and for a model's limit that its provider's own makes pointless."""
    places = [(f"proxies.{name}", proxy.limits) for name, proxy in settings.proxies.items()]
    places += [(f"models.{name}", model.limits) for name, model in settings.models.items()]
    places += [
        (f"models.{name}.deployments.{number}", each.limits)
        for name, model in settings.models.items()
        for number, each in enumerate(model.deployments)
    ]
    for place, written in places:
        if written is not None and _limits_nothing(written):
            yield f'{place}.limits: limits nothing; write "concurrency", "rpm" or "tpm"'
    for model in catalogue.models.values():
        whole = catalogue.providers[model.provider].limits
        if model.limits is None or whole is None:
            continue
        for measure in MEASURES:
            own, most = getattr(model.limits, measure), getattr(whole, measure)
            if own is not None and most is not None and own > most:
                yield f"models.{model.name}.limits.{measure}: {own} is never reached: {whole.label} has {most} in all"


def _limits_nothing(written: LimitSettings) -> bool:
    return all(getattr(written, measure) is None for measure in MEASURES)
