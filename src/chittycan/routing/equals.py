"""Which models of a chain are as good as each other, so that the quickest or least busy of them may go first.

Only neighbours count: nobody moves past a model that is not his equal.
"""

from collections.abc import Sequence

from msgspec import Struct

from chittycan.catalogue import Balance, Catalogue, Model


class Equals(Struct, frozen=True):
    """The models `start` to `end` (which is not among them) of a chain."""

    start: int
    end: int
    balance: Balance


def equals_of(models: Sequence[Model], catalogue: Catalogue, *, quickest: bool = False) -> tuple[Equals, ...]:
    """The groups of equals in a chain, without those whose written order stands.

    `quickest`: all of them count as equal, except the embedded model at the end, which is there for when all fail.
    """
    if quickest:
        end = len(models)
        while end and catalogue.providers[models[end - 1].provider].embedded:
            end -= 1
        return (Equals(0, end, "latency"),) if end > 1 else ()
    if not (catalogue.deployments or catalogue.equal):
        return ()
    found: list[Equals] = []
    start = 0
    for place in range(1, len(models) + 1):
        if place < len(models) and _equal(models[place - 1], models[place], catalogue):
            continue
        balance = _balance(models[start:place], catalogue)
        if balance != "written":
            found.append(Equals(start, place, balance))
        start = place
    return tuple(found)


def _equal(one: Model, other: Model, catalogue: Catalogue) -> bool:
    return one.name == other.name or any(one.name in group and other.name in group for group in catalogue.equal)


def _balance(models: Sequence[Model], catalogue: Catalogue) -> Balance:
    if len(models) < 2:
        return "written"
    names = {model.name for model in models}
    return catalogue.deployments[names.pop()].balance if len(names) == 1 else "latency"
