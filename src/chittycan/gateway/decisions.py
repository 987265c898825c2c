"""Who may answer a call, decided once for all calls of which the same is known."""

from collections.abc import Hashable
from typing import TypeVar

from msgspec.structs import replace

from chittycan.catalogue import Catalogue
from chittycan.gateway.call import Call
from chittycan.gateway.facts import facts_of, plain_facts
from chittycan.gateway.weighing import weighed, weighing
from chittycan.routing.cost.policy import NO_POLICY, Policy
from chittycan.routing.decide import Decision, decide, every_line
from chittycan.routing.ensembles.seating import asked_for, seat
from chittycan.routing.facts import Facts, needs_of
from chittycan.routing.privacy.placeholders import REDACTED

DECISIONS = 1024  # remembered
PRICED_SECONDS = 900.0  # after these a choice by cost is made anew: prices may have a time of day


class Decisions:
    """`use` takes up another catalogue or policy, for the next call."""

    def __init__(self, catalogue: Catalogue, policy: Policy = NO_POLICY) -> None:
        self._remembered: dict[Hashable, Decision] = {}  # by `plain_facts`, or `Facts` and where it matters the time
        self.use(catalogue, policy)

    def use(self, catalogue: Catalogue, policy: Policy) -> None:
        self.catalogue, self.policy = catalogue, policy
        self._weighing = weighing(catalogue, policy)
        self._remembered.clear()

    def of(self, call: Call) -> Decision:
        """Raises RequestError, AccessError, LimitError or Unavailable where no model may answer."""
        weighs = self._weighing.concerns(call)
        plain = None if weighs else plain_facts(call)
        decision = self._remembered.get(plain) if plain is not None else None
        if decision is not None:
            return decision
        facts = facts_of(call)
        known: Hashable = facts
        if weighs:
            facts = weighed(call, facts, self._weighing)
            known = facts, call.at // PRICED_SECONDS
        decision = self._remembered.get(known)
        if decision is None:
            decision = self._decided(facts)
            if len(self._remembered) >= DECISIONS:
                self._remembered.clear()
            self._remembered[known] = decision
        if plain is not None:
            self._remembered[plain] = decision
        return decision

    def explained(self, call: Call) -> Decision:
        """As `of`, with a line for every model of the catalogue where the choice was ours."""
        facts = weighed(call, facts_of(call), self._weighing, spoken=True)
        return every_line(facts, self._decided(facts), self.catalogue, self.policy)

    def _decided(self, facts: Facts) -> Decision:
        name = asked_for(facts, self.catalogue)
        if name is None:
            decision = decide(facts, self.catalogue, self.policy)
        else:
            decision = seat(facts, name, self.catalogue.ensembles[name], self.catalogue)
        needs = needs_of(facts)
        return decision if needs is None else replace(decision, needs=needs)


D = TypeVar("D", bound=Decision)


def labelled(decision: D, call: Call, found: bool) -> D:
    """With how private the call was found to be; the label of what it was declared to be stays."""
    label = "private" if found else REDACTED if call.placeholders is not None else "public"
    return replace(decision, label=label) if label != decision.label == "public" else decision
