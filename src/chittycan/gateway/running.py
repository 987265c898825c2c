"""One call under way: what every stage of it reads and adds to."""

from msgspec import Struct, field

from chittycan.chat import Usage
from chittycan.gateway.call import Call, Trace
from chittycan.gateway.chain import Trail
from chittycan.gateway.latency import Place
from chittycan.gateway.ticket import Ticket
from chittycan.routing.decide import Candidate, Decision


class Running(Struct, eq=False):
    """`deadline` is monotonic; `upstream` counts the seconds spent waiting for providers.

    `sent`: where providers had the request, in a call that is hedged.
    """

    call: Call
    decision: Decision
    ticket: Ticket
    deadline: float
    trail: Trail = field(default_factory=Trail)
    sent: set[Place] | None = None
    upstream: float = 0.0

    def equal_follows(self, candidate: Candidate) -> bool:
        """Whether the next of the chain is as good, so that nobody has to wait for this one's turn."""
        chain, equals = self.decision.chain, self.decision.equals
        return any(chain[place] is candidate for each in equals for place in range(each.start, each.end - 1))

    def trace(self, candidate: Candidate, now: float, cost: int | None = None, usage: Usage | None = None) -> Trace:
        """What the call took so far; `now` is monotonic."""
        call, decision, trail = self.call, self.decision, self.trail
        return Trace(
            call.request_id,
            candidate.model.name,
            candidate.provider.name,
            candidate.provider.embedded,
            decision.route,
            decision.label,
            trail.started,  # attempts
            len(trail.asked) - 1 if trail.asked else 0,  # fallbacks
            len(trail.lost),  # hedged
            False,  # cached
            (now - call.started) * 1e3,
            trail.first_token_ms,
            self.upstream * 1e3,
            cost,
            usage,
        )
