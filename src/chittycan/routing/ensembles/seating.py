"""Who sits in an ensemble for one request: every named model with its seat, or with the reason why it has none.

The same rules hold as for any decision: what the key allows, privacy, region, window, abilities.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from msgspec import Struct, ValidationError, convert, to_builtins
from msgspec.structs import replace

from chittycan.catalogue import ENSEMBLE, JUDGED, Catalogue, Ensemble, Model
from chittycan.errors import InvalidRequest, Unavailable, UnknownModel
from chittycan.routing.decide import (
    CHOOSING,
    DEFAULT_CHAIN,
    NOT_ALLOWED,
    Candidate,
    Decision,
    Reason,
    assigned_to,
    not_callable,
    objection,
    refuse,
)
from chittycan.routing.ensembles.counting import Role
from chittycan.routing.ensembles.prompts import family
from chittycan.routing.facts import Facts

UNKNOWN = "unknown model"
SHAPE = frozenset(Ensemble.__struct_fields__) - {"models"}  # what one may say of an ensemble beside its models


class Seat(Struct, frozen=True):
    """`candidate` None: it may not answer this request, and `why` says why."""

    name: str
    role: Role
    candidate: Candidate | None
    why: str

    @property
    def model(self) -> str:
        return self.candidate.model.name if self.candidate is not None else self.name


class Seating(Decision, frozen=True, kw_only=True):
    """The decision to ask several. `chain` is everyone who has a seat."""

    ensemble: Ensemble
    seats: tuple[Seat, ...]


def chosen(
    catalogue: Catalogue, name: str | None, models: Sequence[str], shape: Mapping[str, Any], *, all_known: bool = True
) -> Ensemble:
    """The ensemble `name`, or one of these models, with the fields of `shape` instead of its own.

    Raises UnknownModel for a name that does not exist (without `all_known` a model of an unknown name abstains),
    InvalidRequest for a field that makes no sense.
    """
    changes = {key: value for key, value in shape.items() if value is not None}
    if models:
        changes["models"] = list(models)
    if name is not None:
        whole = f"{ENSEMBLE}{name.removeprefix(ENSEMBLE)}"
        if whole not in catalogue.ensembles:
            raise not_callable(whole, catalogue)
        changes = {**to_builtins(catalogue.ensembles[whole]), **changes}
    if not changes.get("models"):
        raise InvalidRequest("Name the models to ask, or an ensemble of models.json.", param="models")
    ensemble = _checked(changes)
    if name is None and all_known:
        for each in dict.fromkeys([*ensemble.models, *filter(None, (ensemble.strong, ensemble.judge))]):
            why = None if member_of(each, catalogue) else _why_missing(each, catalogue)
            if why is not None and why.startswith(UNKNOWN):
                raise UnknownModel(f"'{each[:80]}' is an {why}.", param="models")
    return ensemble


def _checked(fields: Mapping[str, Any]) -> Ensemble:
    """Raises InvalidRequest naming the field."""
    try:
        ensemble = convert({**fields, "mode": "vote"}, Ensemble)
    except ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        raise InvalidRequest(f"`{place.rstrip('`') or 'ensemble'}`: {what}.", param=place.rstrip("`") or None) from None
    ensemble = replace(ensemble, mode=fields.get("mode", "cascade"))
    fault = ensemble.fault()
    if fault is not None:
        raise InvalidRequest(f"`{fault[0]}`: {fault[1]}.", param=fault[0])
    return ensemble


def asked_for(facts: Facts, catalogue: Catalogue) -> str | None:
    """The ensemble that these facts lead to, by its name or by an assignment; None where they lead to models."""
    if facts.model in catalogue.ensembles:
        return facts.model
    if (
        not catalogue.ensembles
        or facts.models
        or facts.private
        or (facts.model not in CHOOSING and catalogue.resolve(facts.model))
    ):
        return None
    choice = assigned_to(facts, catalogue)
    return choice if choice in catalogue.ensembles else None


def member_of(name: str, catalogue: Catalogue) -> Model | None:
    """The model that a member's name means; a provider's name means its default model."""
    if name in catalogue.models:
        return catalogue.models[name]
    if name in catalogue.providers:
        return catalogue.default_of(name)
    return catalogue.resolve(name)


def seat(facts: Facts, name: str, ensemble: Ensemble, catalogue: Catalogue) -> Seating:
    """`name` is the ensemble's own, for the route. Raises InvalidRequest for what several models cannot do together;
    Forbidden, NoPrivateModel or Unavailable where nobody has a seat."""
    _check(facts)
    roles: list[tuple[str, Role]] = [(each, "member") for each in ensemble.members]
    if ensemble.last_word is not None:
        roles.append((ensemble.last_word, "strong"))
    answering = [_seat(each, role, facts, catalogue) for each, role in roles]
    seats = _once(answering)
    reasons = [Reason(each.model, each.candidate is not None, each.why) for each in seats]
    if not any(each.candidate for each in seats):
        _refuse(facts, name, reasons, catalogue)
    if ensemble.mode in JUDGED:
        judge = _judge(ensemble, seats, facts, catalogue)
        seats.append(judge)
        reasons.append(Reason(judge.model, judge.candidate is not None, judge.why))
    chain = {each.candidate.model.name: each.candidate for each in seats if each.candidate is not None}
    label = "private" if facts.private else "public"
    return Seating(
        chain=tuple(chain.values()), reasons=tuple(reasons), route=name, label=label, ensemble=ensemble,
        seats=tuple(seats),
    )  # fmt: skip


def _check(facts: Facts) -> None:
    if facts.models:
        raise InvalidRequest("An ensemble has its own models; leave the list out.", param="models")
    wrong = "embeddings" if facts.embeddings else "tools" if facts.tools else facts.same_dialect
    if wrong is not None:
        raise InvalidRequest(
            f"An ensemble gives one answer in words; `{wrong}` cannot be asked of it.",
            param="model" if facts.embeddings else wrong,
            fix="Name one model instead.",
        )


def _seat(name: str, role: Role, facts: Facts, catalogue: Catalogue) -> Seat:
    model = member_of(name, catalogue)
    if model is None:
        return Seat(name, role, None, _why_missing(name, catalogue))
    why = None
    for each in catalogue.places(model.name) or (model,):  # of several deployments, the first that may do it
        provider = catalogue.providers[each.provider]
        against = objection(facts, each, provider, catalogue)
        if against is None:
            return Seat(name, role, Candidate(each, provider), role)
        why = why or against
    return Seat(name, role, None, why or role)


def _why_missing(name: str, catalogue: Catalogue) -> str:
    known = catalogue.why_unavailable(name) or catalogue.why_unavailable(f"{name}/")  # a model or a provider
    if known:
        return known
    if name in catalogue.providers:
        return "this provider has no default model"
    near = get_close_matches(name, (*catalogue.models, *catalogue.providers), n=1)
    return f"{UNKNOWN}; did you mean {near[0]}?" if near else UNKNOWN


def _once(seats: list[Seat]) -> list[Seat]:
    """Two names of the same model have one voice."""
    taken: dict[tuple[str, str], str] = {}
    found = []
    for each in seats:
        model = each.candidate.model if each.candidate is not None else None
        first = taken.setdefault((model.provider, model.upstream), each.name) if model else each.name
        found.append(each if first == each.name else Seat(each.name, each.role, None, f"the same model as {first}"))
    return found


def _judge(ensemble: Ensemble, seats: list[Seat], facts: Facts, catalogue: Catalogue) -> Seat:
    """The named one; else the first of the default chain that is of no member's family; else the first member."""
    if ensemble.judge is not None:
        return _seat(ensemble.judge, "judge", facts, catalogue)
    members = [each.candidate for each in seats if each.candidate is not None]
    families = {family(each.model.upstream) for each in members}
    names = catalogue.fallbacks.get(DEFAULT_CHAIN) or tuple(catalogue.providers)
    for name in names:
        found = _seat(name, "judge", facts, catalogue)
        if found.candidate is not None and family(found.candidate.model.upstream) not in families:
            return found
    return Seat(members[0].model.name, "judge", members[0], "judge")


def _refuse(facts: Facts, name: str, reasons: list[Reason], catalogue: Catalogue) -> NoReturn:
    if facts.private or all(reason.why == NOT_ALLOWED for reason in reasons):
        refuse(facts, reasons, catalogue)
    said = "; ".join(f"{reason.model}: {reason.why}" for reason in reasons)
    raise Unavailable(f"No member of {name} can be asked: {said}.", fix="`can doctor` says more.")
