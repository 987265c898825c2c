"""A model's turn: the limits of models and providers, kept around each attempt over all processes.

An attempt waits for a slot of its model, then of its provider, then for their rates, each for a few seconds at most.
Then the model is passed over as one that is rate-limited, and nothing rests: the limit is ours, the model is well.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

from chittycan.catalogue import Limits
from chittycan.clock import Clock
from chittycan.errors import RateLimited, Unavailable
from chittycan.gateway.ticket import Ticket
from chittycan.routing.decide import Candidate
from chittycan.routing.failure import RATE_LIMIT_SECONDS
from chittycan.store.meters import Cap
from chittycan.usage.meters import Meters, Reservation
from chittycan.usage.slots import Slot, Slots

FULL_SECONDS = 2.0  # Retry-After where calls are open: nobody knows when one of them ends


class Turn:
    """What one attempt holds of its model's and provider's slots, until it is released."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: list[Callable[[], None]] = []

    def hold(self, release: Callable[[], None]) -> None:
        """`release` gives back what it holds from now on."""
        self._held.append(release)

    def release(self) -> None:
        """Releasing twice is releasing once."""
        for release in self._held:
            release()
        self._held.clear()


class Turns:
    """`slots` keep how many calls are open at once, `meters` how many requests and tokens a minute has."""

    def __init__(self, slots: Slots, meters: Meters, clock: Clock) -> None:
        self._slots, self._meters, self._clock = slots, meters, clock

    async def of(self, candidate: Candidate, ticket: Ticket, left: float) -> Turn:
        """Waits until this model may be asked, within the `left` seconds of the call.

        The tokens that the call may take are reserved on the ticket. Raises RateLimited.
        """
        model = candidate.model
        limits = [each for each in (model.own_limits, model.limits, candidate.provider.limits) if each is not None]
        until = self._clock.monotonic() + left
        turn = Turn()
        try:
            for each in limits:
                if each.concurrency is not None:
                    turn.hold((await self._slot(each, each.concurrency, until)).release)
            await self._rates(limits, candidate, ticket, until)
        except Unavailable as error:
            turn.release()
            names = " and ".join(each.label for each in limits)
            raise RateLimited(
                f"the limits of {names} cannot be kept now: {error.message}", retry_after=RATE_LIMIT_SECONDS
            ) from error
        except BaseException:
            turn.release()
            raise
        return turn

    async def _slot(self, limits: Limits, concurrency: int, until: float) -> Slot:
        slot = self._slots.take(limits.scope, concurrency)
        if slot is None:
            patience = max(0.0, min(limits.wait, until - self._clock.monotonic()))
            slot = await self._slots.wait(limits.scope, concurrency, patience)
        if slot is None:
            raise RateLimited(
                f"every slot of {limits.label} is taken (its limits.concurrency is {concurrency}), and none came free "
                "in time",
                retry_after=FULL_SECONDS,
                fix="Try again, raise its limits.concurrency, or give it fallbacks.",
            )
        return slot

    async def _rates(self, limits: Sequence[Limits], candidate: Candidate, ticket: Ticket, until: float) -> None:
        self._give_back(ticket, candidate)
        caps = [cap for each in limits for cap in _caps(each)]
        if not caps:
            return
        # A call that is larger than a whole minute's tokens gets a minute of its own.
        tokens = min([ticket.input_tokens + ticket.output_limit, *(cap.limit for cap in caps if cap.unit == "tokens")])
        until = min(until, self._clock.monotonic() + min(each.wait for each in limits if _caps(each)))
        while True:
            try:
                rates = await self._reserved(caps, tokens)
                ticket.rates = {**(ticket.rates or {}), candidate.model.place: rates}
            except RateLimited as refused:
                pause = refused.retry_after or RATE_LIMIT_SECONDS
                if self._clock.monotonic() + pause > until:
                    raise
                await self._clock.sleep(pause)
            else:
                return

    async def _reserved(self, caps: Sequence[Cap], tokens: int) -> Reservation:
        reservation = self._meters.reserve(caps, 0, tokens)
        return reservation if reservation is not None else await self._meters.refill(caps, 0, tokens)

    def _give_back(self, ticket: Ticket, candidate: Candidate) -> None:
        """What earlier attempts of this call reserved: they brought no answer. Others under way keep their own."""
        kept = {each.model.place for each in ticket.racing if each is not candidate}
        for place, rates in list((ticket.rates or {}).items()):
            if place not in kept:
                self._meters.settle(rates, 0, 0)
        ticket.rates = {place: rates for place, rates in (ticket.rates or {}).items() if place in kept}


@lru_cache(maxsize=1024)
def _caps(limits: Limits) -> tuple[Cap, ...]:
    """The rates of one model or provider."""
    found = []
    if limits.rpm is not None:
        found.append(Cap(limits.scope, "requests", "minute", limits.rpm, limits.label))
    if limits.tpm is not None:
        found.append(Cap(limits.scope, "tokens", "minute", limits.tpm, limits.label))
    return tuple(found)
