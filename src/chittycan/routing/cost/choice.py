"""Who does it well enough for the least money: arithmetic over what is expected of each model.

Where quality was learnt, and what it costs, the model counts whose quality is worth its price, or the one that is as
good for everything as choosing is. Where only quality was learnt, the cheapest that reaches a share of the strong
model's expected quality. Where nothing was learnt, the cheapest of the tier that looks hard enough. Where neither says
anything, nobody is chosen here.
A model without a known price is never taken for being cheap.
"""

import math
from collections.abc import Iterable, Sequence

from msgspec import Struct

from chittycan.catalogue import Model
from chittycan.routing.cost.policy import AUTO, BEST, CHEAP, Policy
from chittycan.routing.facts import Facts
from chittycan.routing.kinds import TIERS, Difficulty
from chittycan.routing.quality.estimate import NO_QUALITY, Estimate
from chittycan.routing.quality.learnt import Mean

CHEAP_SHARE = 0.8  # of the strong model's quality is enough for `auto:cheap`
STRANGERS = 0.25  # of the models at hand may be unknown to those that quality was priced with
LEAST_SCORES = 10  # before what is expected of a model decides anything: of one thumb up nothing follows
MOST_SCORED, MOST_OF_A_TIER = 8, 3  # go into a chain: behind them comes the default chain

Named = tuple[str, str]  # a model's name, and why it is considered


class Option(Struct, frozen=True):
    """A model that may do it. `spare`: it is there so that somebody answers, not to be chosen for costing nothing."""

    model: Model
    cost_nano: int | None
    estimate: Estimate | None = None
    default: bool = False  # of the default chain
    spare: bool = False

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def price(self) -> float:
        """Nano-dollars; an unknown price comes after every known one."""
        return math.inf if self.cost_nano is None else self.cost_nano

    @property
    def quality(self) -> float:
        return 0.0 if self.estimate is None else self.estimate.quality


def choose(facts: Facts, options: Sequence[Option], policy: Policy) -> tuple[list[Named], str]:
    """The models to ask before the default chain, in order, and the route. `options`: who may do it at all."""
    means = policy.quality.learnt.models
    if policy.quality is not NO_QUALITY and (not means or any(map(_backs, means.values()))):
        scored = [each for each in options if each.estimate is not None and _backs(means.get(each.name))]
        if scored:
            return _by_quality(facts, scored, policy)
        why = "nobody who was scored often enough can do this" if facts.estimates else "this is unlike anything scored"
        strong = next((option for option in options if option.name == policy.strong), None)
        if strong is not None and facts.model != CHEAP:
            return [(strong.name, f"the strong model: {why}")], _route(facts, "strong")
        if facts.model == AUTO:
            return [(each.name, f"default chain: {why}") for each in options if each.default], AUTO
    return _by_tier(facts, options, policy)


def _backs(mean: Mean | None) -> bool:
    """Whether a model was scored often enough; None: it is not for the means to say."""
    return mean is None or mean.scored >= LEAST_SCORES


def left_out(facts: Facts, name: str) -> str:
    """Why a model is not asked that could do it."""
    if facts.estimates and name not in {model for model, _ in facts.estimates}:
        return "nobody scored it, and it is not in the default chain"
    if facts.estimates or facts.model != AUTO:
        return "others go before it"
    return "not in the default chain"


def bar(facts: Facts, scored: Sequence[Option], policy: Policy) -> float:
    """The quality that the choice has to reach: a share of the strong model's, or of the best where that is out."""
    strong = next((option for option in scored if option.name == policy.strong), None)
    best = strong.quality if strong is not None else max(option.quality for option in scored)
    return best * target(facts, policy)


def target(facts: Facts, policy: Policy) -> float:
    """The share of the strong model's quality that is aimed at."""
    return CHEAP_SHARE if facts.model == CHEAP else policy.target


class Weighed(Struct, frozen=True):
    """Who may do it, in the order of what is worth its price. `alone`: the first answers everything, but for prompts
    where a cheaper one is expected to be better."""

    options: list[Option]
    strong: str  # whose quality is the measure
    alone: bool


def weighed(scored: Sequence[Option], policy: Policy, share: float) -> Weighed | None:
    """By the quality that a nano-dollar has to add, to keep this share of the strong model's over all prompts.

    None where that is not known: it was found for other models, or for other kinds of work than this.
    """
    frontier = policy.quality.learnt.frontier
    if frontier is None or any(option.estimate is None or option.estimate.foreign for option in scored):
        return None
    priced = {option.name: option.price for option in scored if option.cost_nano is not None}
    strong = policy.strong or frontier.best
    strangers = sum(option.name not in frontier.models for option in scored)
    if strong not in frontier.models or not frontier.used <= priced.keys() or strangers > STRANGERS * len(scored):
        return None
    step = frontier.at(strong, share)
    if step is None or not priced.get(strong):
        return None
    order = by_worth(scored, step.demand * frontier.models[strong].cost / priced[strong])
    one = next((each for each in order if each.name == step.alone), None)
    if one is None or any(each.price < one.price and each.quality > one.quality for each in order):
        return Weighed(order, strong, alone=False)
    return Weighed([one, *(each for each in order if each is not one)], strong, alone=True)


def by_worth(scored: Sequence[Option], demand: float) -> list[Option]:
    """The most quality beyond what its price demands first; of as much, the cheaper; unknown prices last."""
    return sorted(scored, key=lambda each: (demand * each.price - each.quality, each.price, -each.quality))


def ranked(scored: Sequence[Option], enough: float) -> list[Option]:
    """Those that reach `enough`, the cheapest first; then the others, the best first."""
    able = [option for option in scored if option.quality >= enough]
    others = [option for option in scored if option.quality < enough]
    return sorted(able, key=lambda each: (each.price, -each.quality)) + _best_first(others)


def _best_first(options: Iterable[Option]) -> list[Option]:
    return sorted(options, key=lambda each: (-each.quality, each.price))


def _by_quality(facts: Facts, scored: Sequence[Option], policy: Policy) -> tuple[list[Named], str]:
    if facts.model == BEST:
        best = _best_first(scored)[:MOST_SCORED]
        return [(each.name, _backed(each, "the best" if each is best[0] else "next best")) for each in best], _route(
            facts, "best"
        )
    share = target(facts, policy)
    found = weighed(scored, policy, share)
    if found is not None:
        return _said(found, share), _route(facts, "alone" if found.alone else "worth")
    enough = bar(facts, scored, policy)
    order = ranked(scored, enough)[:MOST_SCORED]
    names = []
    for each in order:
        if each.quality < enough:
            why = f"below {enough:.2f}"
        elif each.cost_nano is None:
            why = f"reaches {enough:.2f}, price unknown"
        else:
            why = f"the cheapest that reaches {enough:.2f}" if each is order[0] else f"reaches {enough:.2f}"
        names.append((each.name, _backed(each, why)))
    return names, _route(facts, "cheapest" if order[0].cost_nano is not None else "able")


def _said(found: Weighed, share: float) -> list[Named]:
    at = f"at {share:.0%} of {found.strong}"
    first = f"as good for everything as choosing, {at}" if found.alone else f"most worth its price {at}"
    said = [first, *["less worth its price"] * (MOST_SCORED - 1)]
    return [(each.name, _backed(each, why)) for each, why in zip(found.options, said, strict=False)]


def _backed(option: Option, why: str) -> str:
    return why if option.estimate is None else f"{why} ({option.estimate.why})"


def _by_tier(facts: Facts, options: Sequence[Option], policy: Policy) -> tuple[list[Named], str]:
    """`auto` knows the tiers that the owner wrote; `auto:cheap` and `auto:best` also those that models come with."""
    tiers = _tiers(facts)
    strong = [each.name for each in options if each.name == policy.strong]
    if facts.model == BEST and strong:
        return [(strong[0], "the strong model")], _route(facts, "strong")
    names: list[Named] = []
    for tier in tiers:
        several = [each for each in options if _in_tier(each, tier, facts, policy)]
        for each in sorted(several, key=lambda option: option.price)[:MOST_OF_A_TIER]:
            names.append((each.name, f"tier {tier}" if names else f"the cheapest of tier {tier}"))
    if names:
        first = next(option for option in options if option.name == names[0][0])
        return names, _route(facts, first.model.tier or "")
    if facts.model == CHEAP:
        cheap = sorted((each for each in options if each.default), key=lambda each: (each.spare, each.price))
        return [(each.name, "default chain, the cheapest first") for each in cheap], CHEAP
    if facts.max_cost_nano is not None and not facts.of_task and (others := affordable(facts, options)):
        return others, _route(facts, "affordable")
    return [], facts.model


def affordable(facts: Facts, options: Sequence[Option]) -> list[Named]:
    """The dearest first of those that cost no more than the caller allows; [] where one of the chain does not."""
    if any(option.default for option in options):
        return []
    several = sorted(options, key=lambda each: (each.spare, -each.price))
    return [(each.name, "affordable, as nobody of the chain is") for each in several]


def _tiers(facts: Facts) -> Sequence[Difficulty]:
    """Which tiers to ask, in order: from the one that the work needs upwards; `auto:cheap` dares one lower."""
    if facts.model == BEST:
        return TIERS[::-1]
    needed = TIERS.index(facts.difficulty or "medium")
    return TIERS[max(needed - (facts.model == CHEAP), 0) :]


def _in_tier(option: Option, tier: Difficulty, facts: Facts, policy: Policy) -> bool:
    known = option.name in policy.tiered or (facts.model != AUTO and not option.spare)
    return known and option.model.tier == tier


def _route(facts: Facts, how: str) -> str:
    return ":".join(filter(None, (facts.model, facts.kind, how)))
