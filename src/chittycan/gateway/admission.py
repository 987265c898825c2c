"""May this call happen now? Asked before each model, since the next one may be cheaper.

A call reserves its worst case (its input, and as many tokens as it may write) and gives back what it did not
need. A model that the money left does not cover is passed over; the next one may be cheaper.
"""

from collections.abc import Sequence
from typing import Literal

from chittycan.errors import BudgetExceeded
from chittycan.gateway.call import Call
from chittycan.gateway.slots import Turn, Turns
from chittycan.gateway.ticket import Ticket
from chittycan.routing.decide import Candidate
from chittycan.store.meters import Cap
from chittycan.usage.meters import Meters
from chittycan.usage.prices import Prices


def total_caps(day_nano: int | None, month_nano: int | None) -> tuple[Cap, ...]:
    """The owner's budgets over all keys, in nano-dollars; None: no cap."""
    limits: tuple[tuple[Literal["day", "month"], int | None], ...] = (("day", day_nano), ("month", month_nano))
    return tuple(
        Cap("total", "nano", period, limit, "all keys together") for period, limit in limits if limit is not None
    )


class Admission:
    """`totals` are the owner's budgets over all keys, `turns` keep the limits of models and providers."""

    def __init__(self, meters: Meters, prices: Prices, totals: tuple[Cap, ...], turns: Turns | None = None) -> None:
        self._meters, self._prices, self._turns = meters, prices, turns
        self.totals = totals

    def admit(self, call: Call, input_tokens: int, output_limit: int) -> Ticket:
        """The ticket of a call that has not been covered yet."""
        caps = self.totals
        if call.key is not None:
            caps = (*call.key.caps, *caps)
        return Ticket(input_tokens, output_limit, call.options.max_cost_nano, caps)

    def covers(self, ticket: Ticket, candidate: Candidate) -> bool:
        """Whether this model is paid for, reserving from memory where that suffices; False: `cover` must be awaited.

        Raises BudgetExceeded or RateLimited.
        """
        if not ticket.caps and ticket.max_cost is None:
            return True
        worst = self._worst(ticket, candidate)
        if ticket.held:
            return worst <= ticket.covered
        reservation = self._meters.reserve(ticket.caps, worst, ticket.input_tokens + ticket.output_limit)
        if reservation is None:
            return False
        ticket.held.append(reservation)
        ticket.covered = worst
        return True

    async def cover(self, ticket: Ticket, candidate: Candidate) -> None:
        """Reserves what this model may cost beyond what is reserved already, and with the first model the request.

        Raises BudgetExceeded or RateLimited.
        """
        worst = self._worst(ticket, candidate)
        if not ticket.held:
            await self._reserve(ticket, ticket.caps, worst, ticket.input_tokens + ticket.output_limit)
        elif worst > ticket.covered:
            money = [cap for cap in ticket.caps if cap.unit == "nano"]
            await self._reserve(ticket, money, worst - ticket.covered, 0)

    async def turn(self, ticket: Ticket, candidate: Candidate, left: float) -> Turn:
        """Waits, within the `left` seconds of the call, until a limited model may be asked. Raises RateLimited."""
        return Turn() if self._turns is None else await self._turns.of(candidate, ticket, left)

    def _worst(self, ticket: Ticket, candidate: Candidate) -> int:
        """Nano-dollars that this model, and those beside it, may cost at most.

        0 where nobody knows the price, which then stays unknown. Raises BudgetExceeded.
        """
        worst = self._alone(ticket, candidate)
        if not ticket.racing and ticket.max_cost is None:
            return worst
        others = [each for each in ticket.racing if each is not candidate]
        worst += sum(self._alone(ticket, each) for each in others)
        if ticket.max_cost is not None and worst > ticket.max_cost:
            names = " and ".join(each.model.name for each in (candidate, *others))
            raise BudgetExceeded(
                f"{names} may cost ${worst / 1e9:.6f}; the caller allows ${ticket.max_cost / 1e9:.6f}",
                fix="Raise the limit, lower max_tokens, or name a cheaper model.",
            )
        return worst

    def _alone(self, ticket: Ticket, candidate: Candidate) -> int:
        given, written = ticket.input_tokens, ticket.output_limit
        return self._prices.worst_case_nano(candidate.model, candidate.provider, given, written) or 0

    async def count(self, ticket: Ticket) -> None:
        """Counts a request that no model is asked for (a cached answer). Raises RateLimited."""
        await self._reserve(ticket, ticket.caps, 0, 0)

    async def _reserve(self, ticket: Ticket, caps: Sequence[Cap], nano: int, tokens: int) -> None:
        reservation = self._meters.reserve(caps, nano, tokens)
        if reservation is None:
            reservation = await self._meters.refill(caps, nano, tokens)
        ticket.held.append(reservation)
        ticket.covered += nano

    def settle(self, ticket: Ticket, nano: int, tokens: int) -> None:
        """The call is over: what it cost is spent, the rest is given back."""
        if ticket.rates:
            for rates in ticket.rates.values():
                self._meters.settle(rates, nano, tokens)
        for reservation in ticket.held:
            self._meters.settle(reservation, nano, tokens)
            nano = tokens = 0
