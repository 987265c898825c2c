"""May this call happen now? Rates when it comes in, money before each model is asked.

A call reserves its worst case (its input, and as many tokens as it may write) and gives back what it did not
need. A model that the money left does not cover is passed over; the next one may be cheaper.
"""

from collections.abc import Sequence
from typing import Literal

from chittycan.errors import BudgetExceeded
from chittycan.gateway.call import Call
from chittycan.routing.decide import Candidate
from chittycan.store.meters import Cap
from chittycan.usage.meters import Meters, Reservation
from chittycan.usage.prices import Prices


class Ticket:
    """What one call holds of its caller's limits."""

    __slots__ = ("covered", "input_tokens", "max_cost", "money", "money_caps", "output_limit", "rate")

    def __init__(self, input_tokens: int, output_limit: int, max_cost: int | None, money_caps: Sequence[Cap]) -> None:
        self.input_tokens, self.output_limit, self.max_cost = input_tokens, output_limit, max_cost
        self.money_caps = money_caps
        self.rate: Reservation | None = None
        self.money: list[Reservation] = []
        self.covered = 0  # nano-dollars reserved


def total_caps(day_nano: int | None, month_nano: int | None) -> tuple[Cap, ...]:
    """The owner's budgets over all keys, in nano-dollars; None: no cap."""
    limits: tuple[tuple[Literal["day", "month"], int | None], ...] = (("day", day_nano), ("month", month_nano))
    return tuple(
        Cap("total", "nano", period, limit, "all keys together") for period, limit in limits if limit is not None
    )


class Admission:
    """`totals` are the owner's budgets over all keys."""

    def __init__(self, meters: Meters, prices: Prices, totals: tuple[Cap, ...]) -> None:
        self._meters, self._prices = meters, prices
        self.totals = totals

    async def admit(self, call: Call, input_tokens: int, output_limit: int) -> Ticket:
        """Raises RateLimited."""
        rate_caps: Sequence[Cap] = ()
        money_caps: Sequence[Cap] = self.totals
        if call.key is not None:
            rate_caps, money_caps = call.key.rate_caps, (*call.key.budget_caps, *self.totals)
        ticket = Ticket(input_tokens, output_limit, call.options.max_cost_nano, money_caps)
        if rate_caps:
            tokens = input_tokens + output_limit
            ticket.rate = self._meters.reserve(rate_caps, 0, tokens)
            if ticket.rate is None:
                ticket.rate = await self._meters.refill(rate_caps, 0, tokens)
        return ticket

    async def cover(self, ticket: Ticket, candidate: Candidate) -> None:
        """Reserves what this model may cost beyond what is reserved already. Raises BudgetExceeded."""
        if not ticket.money_caps and ticket.max_cost is None:
            return
        worst = self._prices.worst_case_nano(
            candidate.model, candidate.provider, ticket.input_tokens, ticket.output_limit
        )
        if worst is None:
            worst = 0  # a price that nobody knows cannot be reserved; what it cost stays unknown too
        if ticket.max_cost is not None and worst > ticket.max_cost:
            raise BudgetExceeded(
                f"{candidate.model.name} may cost ${worst / 1e9:.6f}; the caller allows ${ticket.max_cost / 1e9:.6f}",
                fix="Raise the limit, lower max_tokens, or name a cheaper model.",
            )
        missing = worst - ticket.covered
        if not ticket.money_caps or (missing <= 0 and ticket.money):
            return
        missing = max(0, missing)
        reservation = self._meters.reserve(ticket.money_caps, missing, 0)
        if reservation is None:
            reservation = await self._meters.refill(ticket.money_caps, missing, 0)
        ticket.money.append(reservation)
        ticket.covered += missing

    def settle(self, ticket: Ticket, nano: int, tokens: int) -> None:
        """The call is over: what it cost is spent, the rest is given back."""
        if ticket.rate is not None:
            self._meters.settle(ticket.rate, 0, tokens)
        for place, reservation in enumerate(ticket.money):
            self._meters.settle(reservation, nano if place == 0 else 0, 0)
