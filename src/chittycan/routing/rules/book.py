"""Several rules as one: which hold for some facts, and what follows from those that do."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct, field

from chittycan.routing.rules import actions, condition
from chittycan.routing.rules.actions import FOR, SEVERAL, Action
from chittycan.routing.rules.condition import Condition, Facts
from chittycan.routing.rules.fields import OF


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


class Book:
    """The rules that are enabled, read once. Raises RuleError for one that cannot be read."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        ordered = sorted((each for each in rules if each.enabled), key=lambda each: (-each.priority, each.created))
        self._read: list[tuple[Rule, Condition, tuple[Action, ...]]] = [
            (each, condition.parse(each.condition), actions.parse(each.action)) for each in ordered
        ]
        self.verbs = frozenset(action.verb for _, _, does in self._read for action in does)
        self.fields = frozenset().union(*(condition.fields_of(each) for _, each, _ in self._read))

    def __bool__(self) -> bool:
        return bool(self._read)

    def apply(self, facts: Facts) -> Applied:
        """All rules that hold, until one says stop. Where two say different things, the first one counts."""
        applied = Applied()
        for rule, holds, every in self._read:
            held = holds.holds(facts)
            # Where nobody can tell in time, what keeps something in is done all the same.
            does = every if held else () if held is False else tuple(filter(_protects, every))
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


def _protects(action: Action) -> bool:
    return action.verb == "region" or (action.verb == "private" and bool(action.value))


NO_RULES = Book(())


def idle(rule: Rule) -> list[str]:
    """The verbs of a rule that can never do anything: what it asks about is nothing that they mean something for."""
    things = {"mail", "task", "request"}
    for each in condition.fields_of(condition.parse(rule.condition)):
        things &= set(OF.get(each, things))
    return [each.verb for each in actions.parse(rule.action) if not things & set(FOR.get(each.verb, things))]
