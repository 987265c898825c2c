"""What a call leaves in the ledger: one row per attempt, written when the call is over.

Failed attempts that another one made good are `absorbed`: they cost nothing, unless part of their answer was used.
Attempts that another one overtook are `hedged`, and stand behind the one that served. What they cost is estimated
where the provider did not say it: the input, and for a whole answer as many tokens as the answer that won.
"""

from chittycan.catalogue import ENSEMBLE
from chittycan.chat import Usage
from chittycan.clock import Clock
from chittycan.errors import ChittyError
from chittycan.gateway.call import Call, Trace
from chittycan.gateway.chain import Trail, Tried
from chittycan.gateway.facts import input_tokens
from chittycan.gateway.sketches import Sketches
from chittycan.routing.decide import AUTO, CHOOSING, Candidate, Decision
from chittycan.usage.ledger import Attempt, Ledger, Outcome
from chittycan.usage.prices import Prices

NOTHING = Usage()


class Recorder:
    """Prices and notes. Costs no I/O: the ledger writes later."""

    def __init__(self, ledger: Ledger, prices: Prices, clock: Clock) -> None:
        self._ledger, self.prices, self._clock = ledger, prices, clock
        self.sketches: Sketches | None = None  # of what `auto` was asked, where they are to be kept

    def cost(self, candidate: Candidate, usage: Usage | None) -> int | None:
        """Nano-dollars, None where the usage or the price is unknown."""
        return None if usage is None else self.prices.cost_nano(candidate.model, candidate.provider, usage)

    def served(
        self, call: Call, trail: Trail, candidate: Candidate, decision: Decision, usage: Usage | None
    ) -> int | None:
        """Returns what the whole call cost, cut-off parts included; None where the answer has no known price."""
        if trail.tried:
            self._tried(call, trail.tried, decision)
        row = self._row(call, len(trail.tried), "ok", candidate, decision, usage)
        row.status, row.first_token_ms = 200, trail.first_token_ms
        row.ms = (self._clock.monotonic() - trail.began) * 1e3
        row.cost_nano = self.cost(candidate, usage)
        self._ledger.note(row)
        if trail.lost:
            self._hedged(call, trail, decision, row.position + 1, usage)
        if self.sketches is not None and call.model in CHOOSING:
            self.sketches.note(call, decision)
        return _with_parts(row.cost_nano, trail)

    def failed(self, call: Call, trail: Trail, decision: Decision, error: ChittyError) -> None:
        """No attempt is left: the last one carries the failure."""
        if trail.tried:
            self._tried(call, trail.tried, decision, last="failed")
        else:
            row = self._row(call, 0, "failed", None, decision)
            row.failure, row.cost_nano = error.code, 0
            self._ledger.note(row)
        if trail.lost:
            self._hedged(call, trail, decision, max(1, len(trail.tried)), None)

    def cancelled(
        self, call: Call, trail: Trail, decision: Decision, candidate: Candidate | None, usage: Usage
    ) -> int | None:
        """The client left; `usage` is what had been produced by then, and is billed. Returns as `served`."""
        self._tried(call, trail.tried, decision)
        row = self._row(call, len(trail.tried), "cancelled", candidate, decision, usage)
        row.failure, row.status = "cancelled", 499
        row.ms = (self._clock.monotonic() - (trail.began or call.started)) * 1e3
        row.cost_nano = self.cost(candidate, usage) if candidate is not None else 0
        self._ledger.note(row)
        if trail.lost:
            self._hedged(call, trail, decision, row.position + 1, usage)
        return _with_parts(row.cost_nano, trail)

    def cached(self, call: Call, trace: Trace) -> None:
        """Answered from the cache."""
        row = self._row(call, 0, "cached", None, None)
        row.model, row.status, row.cost_nano, row.ms = trace.model, 200, 0, trace.ms
        self._ledger.note(row)

    def _tried(self, call: Call, tried: list[Tried], decision: Decision, last: Outcome = "absorbed") -> None:
        for position, one in enumerate(tried):
            outcome: Outcome = last if position == len(tried) - 1 else "absorbed"
            row = self._row(call, position, outcome, one.candidate, decision, one.usage)
            row.failure, row.status, row.ms, row.cost_nano = str(one.failure), one.status, one.ms, one.cost_nano
            self._ledger.note(row)

    def _hedged(self, call: Call, trail: Trail, decision: Decision, position: int, usage: Usage | None) -> None:
        """`usage` is that of the answer that won, if any."""
        for number, lost in enumerate(trail.lost):
            if lost.usage is None:
                written = usage.output if usage is not None and not call.stream else 0
                lost.usage = Usage(input=input_tokens(call), output=written) if lost.sent else NOTHING
            lost.cost_nano = self.cost(lost.candidate, lost.usage)
            row = self._row(call, position + number, "hedged", lost.candidate, decision, lost.usage)
            row.ms, row.cost_nano = lost.ms, lost.cost_nano
            self._ledger.note(row)

    def _row(
        self,
        call: Call,
        position: int,
        outcome: Outcome,
        candidate: Candidate | None,
        decision: Decision | None,
        usage: Usage | None = None,
    ) -> Attempt:
        """What went wrong, how long it took and what it cost is for the caller to add."""
        options, key, named, used = call.options, call.key, call.model[:200], usage or NOTHING
        model, provider, upstream = named, "", ""
        if candidate is not None:
            model, provider, upstream = candidate.model.name, candidate.provider.name, candidate.model.upstream
        kind, route, label, needs = options.kind, "cache", None, None
        asked = named if call.ruled is None else AUTO
        if decision is not None:
            kind, route, label, needs = kind or decision.kind, decision.route, decision.label, decision.needs
            if call.ruled is None and route.startswith(ENSEMBLE):
                asked = route
        return Attempt(
            call.request_id, position, self._clock.now(), call.surface or "local", model, provider, upstream, outcome,
            None, None,  # failure, status
            used.input, used.output, used.cached, used.cache_write + used.cache_write_1h, used.reasoning,
            None, 0.0, None,  # cost_nano, ms, first_token_ms
            None if key is None else key.id, kind, options.task, options.session, route, call.stream,
            asked, label, needs,
        )  # fmt: skip


def _with_parts(cost: int | None, trail: Trail) -> int | None:
    """With the parts that broken-off answers contributed, and with what was overtaken."""
    if cost is None or not (trail.tried or trail.lost):
        return cost
    return cost + trail.beside_nano
