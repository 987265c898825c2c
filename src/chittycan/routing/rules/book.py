"""Several rules as one: which hold for some facts, and what follows from those that do."""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct, field

from chittycan.routing.rules import actions, condition
from chittycan.routing.rules.actions import FOR, SEVERAL, Action
from chittycan.routing.rules.condition import Condition, Facts, fields_of
from chittycan.routing.rules.fields import THINGS, things_of


class Rule(Struct, frozen=True, kw_only=True):
    """As the owner wrote it. Rules with a higher `priority` are looked at first, then those made earlier."""

    id: str
    name: str
    condition: str
    action: str
    priority: int = 0
    enabled: bool = True
    created: float = 0.0


class Applied(Struct, kw_only=True):
    """What follows. `values`: verb → value, or values for the verbs that add up; `why`: the rule of each of them.

    `rules` are the ids of all that held, in their order; `stopped` is the one that ended the search.
    """

    values: dict[str, Any] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)
    stopped: str | None = None


class _Read(Struct, frozen=True):
    """A rule, read."""

    rule: Rule
    condition: Condition
    actions: tuple[Action, ...]
    fields: frozenset[str]
    things: frozenset[str]

    def is_of(self, facts: Facts) -> bool:
        """Whether the rule asks at all about such a thing: what it asks about mails says nothing of a request."""
        source = facts.get("source")
        return source in self.things or source not in THINGS or not self.fields.isdisjoint(facts)


def _read(rule: Rule) -> _Read:
    holds = condition.parse(rule.condition)
    fields = fields_of(holds)
    return _Read(rule, holds, actions.parse(rule.action), fields, frozenset().union(*map(things_of, fields)))


class Book:
    """The rules that are enabled, read once. Raises RuleError for one that cannot be read."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        ordered = sorted((each for each in rules if each.enabled), key=lambda each: (-each.priority, each.created))
        self._read = list(map(_read, ordered))
        self.verbs = frozenset(action.verb for each in self._read for action in each.actions)
        self.fields = frozenset().union(*(each.fields for each in self._read))

    def __bool__(self) -> bool:
        return bool(self._read)

    def apply(self, facts: Facts) -> Applied:
        """All rules that hold, until one says stop. Where two say different things, the first one counts."""
        applied = Applied()
        for each in self._read:
            if not each.is_of(facts):
                continue
            rule, held = each.rule, each.condition.holds(facts)
            # Where nobody can tell in time, what keeps something in is done all the same.
            does = each.actions if held else () if held is False else tuple(kept_in(each.actions))
            if not does:
                continue
            applied.rules.append(rule.id)
            stops = False
            for action in does:
                if action.verb == "stop":
                    stops = bool(action.value)
                elif action.verb in SEVERAL:
                    values = applied.values.setdefault(action.verb, [])
                    if action.value not in values:
                        values.append(action.value)
                    applied.why.setdefault(action.verb, rule.name)
                elif action.verb == "private":
                    if action.value:  # the strictest counts: no rule makes public what another keeps private
                        applied.values["private"] = True
                        applied.why.setdefault("private", rule.name)
                elif action.verb not in applied.values:
                    applied.values[action.verb] = action.value
                    applied.why[action.verb] = rule.name
            if stops:
                applied.stopped = rule.id
                break
        return applied


def kept_in(every: Iterable[Action]) -> Iterator[Action]:
    """What is done where nobody can tell whether a rule holds: what of it keeps something in; what may have been
    stopped waits for a person."""
    for action in every:
        keeps = action.verb == "region" or (action.verb == "private" and action.value)
        if keeps or (action.verb in ("auto", "draft") and not action.value):
            yield action
        elif action.verb == "stop" and action.value:
            yield Action("auto", False)


NO_RULES = Book(())


def about(rule: Rule) -> frozenset[str]:
    """Of mails, tasks and requests those that have all that its condition asks about."""
    return THINGS.intersection(*map(things_of, fields_of(condition.parse(rule.condition))))


def idle(rule: Rule) -> list[str]:
    """The verbs of a rule that can never do anything: what it asks about is nothing that they mean something for."""
    things = about(rule)
    return [each.verb for each in actions.parse(rule.action) if things.isdisjoint(FOR.get(each.verb, things))]
