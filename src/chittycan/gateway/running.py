"""One call under way: what every stage of it reads and adds to."""

from chittycan.catalogue import Secret
from chittycan.gateway.admission import Ticket
from chittycan.gateway.call import Call, Trace
from chittycan.gateway.chain import Trail
from chittycan.routing.decide import Candidate, Decision


class Running:
    """`deadline` is monotonic; `upstream` counts the seconds spent waiting for providers."""

    __slots__ = ("call", "deadline", "decision", "key", "ticket", "trail", "upstream")

    def __init__(self, call: Call, decision: Decision, ticket: Ticket, deadline: float) -> None:
        self.call, self.decision, self.ticket, self.deadline = call, decision, ticket, deadline
        self.trail = Trail(longest_pause=call.longest_pause)
        self.key: Secret | None = None  # of the last attempt
        self.upstream = 0.0

    def trace(self, candidate: Candidate, now: float) -> Trace:
        """What the call took so far; `now` is monotonic."""
        return Trace(
            request_id=self.call.request_id,
            model=candidate.model.name,
            provider=candidate.provider.name,
            route=self.decision.route,
            label=self.decision.label,
            attempts=self.trail.started,
            fallbacks=max(0, len(self.trail.models) - 1),
            ms=(now - self.call.started) * 1e3,
            first_token_ms=self.trail.first_token_ms,
            upstream_ms=self.upstream * 1e3,
        )
