"""Names in the configuration that no model has."""

import re
from collections.abc import Iterator

from chittycan.catalogue import ENSEMBLE, Catalogue
from chittycan.config.settings import RoutingSettings, Settings

VIRTUAL = re.compile(r"(auto|private)(:.*)?")  # names that are policies, not models


def undefined_names(catalogue: Catalogue, settings: Settings) -> list[str]:
    """A warning for every assignment, fallback and member of an ensemble that names nothing known.

    (Known but unavailable is no mistake.)
    """
    places = [(f"assignments.{kind}", name) for kind, name in settings.assignments.items()]
    places += [(f"fallbacks.{name}", name) for name in settings.fallbacks if name != "*"]
    places += [(f"fallbacks.{head}", name) for head, chain in settings.fallbacks.items() for name in chain]
    places += _of_routing(catalogue, settings.routing)
    undefined = [
        (place, name)
        for place, name in dict.fromkeys(places)
        if not VIRTUAL.fullmatch(name) and not (place.startswith("assignments.") and name in catalogue.ensembles)
    ]
    for title, ensemble in catalogue.ensembles.items():
        members = dict.fromkeys([*ensemble.models, *filter(None, (ensemble.strong, ensemble.judge))])
        place = f"ensembles.{title.removeprefix(ENSEMBLE)}"
        undefined += [(place, name) for name in members if not _is_provider(name, catalogue)]
    warnings = []
    for place, name in undefined:
        if catalogue.resolve(name) or catalogue.why_unavailable(name):
            continue
        if name in catalogue.ensembles:
            warnings.append(f"{place}: {name} is passed over; an ensemble stands in for no model")
            continue
        near = catalogue.suggest(name)
        hint = f"did you mean {near}?" if near else 'define it in models.json with its "proxy" and "upstream"'
        warnings.append(f"{place}: no model is called {name}, so it is passed over; {hint}")
    return warnings


def _is_provider(name: str, catalogue: Catalogue) -> bool:
    """Whether this names a provider, one that cannot be called now included."""
    return name in catalogue.providers or catalogue.why_unavailable(f"{name}/") is not None


def _of_routing(catalogue: Catalogue, routing: RoutingSettings) -> Iterator[tuple[str, str]]:
    """The places of `routing` that name models, and the names."""
    for number, group in enumerate(routing.equal):
        yield from ((f"routing.equal.{number}", name) for name in group)
    for name in routing.hedge.models if routing.hedge is not None else ():
        if name not in catalogue.ensembles:
            yield "routing.hedge.models", name
