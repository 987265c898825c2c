"""What a call costs, in integer nano-dollars: an owner's own prices, else those of genai-prices, else unknown.

A model's prices are looked up once and kept as integers (nano-dollars per million tokens), so that pricing a
call is a few multiplications and one exact division, rounded half up. Only tokens (and a fee per request) are
priced: what a provider charges for searches or storage is not seen here.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec import Struct

from chittycan.catalogue import Model, PriceRow, Provider
from chittycan.chat import Usage
from chittycan.clock import Clock

MILLION = 1_000_000
NANO = 1_000_000_000
# Resolved models kept in memory. A caller may name any model of a provider, so the number is bounded.
KEPT = 4_096


class Rates(Struct, frozen=True):
    """Nano-dollars per million tokens. None: this kind of token has no known price."""

    input: int | None
    output: int | None
    cached: int | None
    cache_write: int | None
    cache_write_1h: int | None
    reasoning: int | None


class Tier(Struct, frozen=True):
    """Rates for every token of a request that has more than `above` input tokens."""

    above: int
    rates: Rates


class Sheet(Struct, frozen=True):
    """A model's prices, valid until a moment (Unix seconds); `tiers` from the highest to the lowest."""

    base: Rates
    tiers: tuple[Tier, ...] = ()
    per_request: int = 0  # nano-dollars
    until: float = float("inf")

    def rates(self, input_tokens: int) -> Rates:
        for tier in self.tiers:
            if input_tokens > tier.above:
                return tier.rates
        return self.base


FREE = Sheet(Rates(0, 0, 0, 0, 0, 0))


class Prices:
    """Prices calls. genai-prices (its offline data) is imported for the first model without own prices; that
    takes about 0.2 s and 30 MB, so a server may call `prepare` before it takes requests."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sheets: dict[tuple[str, str, PriceRow | None], Sheet | None] = {}

    def cost_nano(self, model: Model, provider: Provider, usage: Usage, requests: int = 1) -> int | None:
        """Nano-dollars for this usage; None where a price that it needs is unknown.

        The usage of several `requests` of about the same size may be priced as one.
        """
        sheet = self.sheet(model, provider)
        if sheet is None:
            return None
        rates = sheet.rates(usage.input // requests) if sheet.tiers else sheet.base
        if usage.plain and rates.input is not None and rates.output is not None:
            total = usage.input * rates.input + usage.output * rates.output
            return (total + MILLION // 2) // MILLION + sheet.per_request * requests
        fresh = usage.input - usage.cached - usage.cache_write - usage.cache_write_1h
        plain = usage.output - usage.reasoning
        if fresh < 0 or plain < 0:
            # A provider that counts the parts outside the whole: the parts are what it bills.
            fresh, plain = max(fresh, 0), max(plain, 0)
        total = 0
        for tokens, rate in (
            (fresh, rates.input),
            (plain, rates.output),
            (usage.cached, rates.cached),
            (usage.cache_write, rates.cache_write),
            (usage.cache_write_1h, rates.cache_write_1h),
            (usage.reasoning, rates.reasoning),
        ):
            if tokens:
                if rate is None:
                    return None
                total += tokens * rate
        return (total + MILLION // 2) // MILLION + sheet.per_request * requests

    def worst_case_nano(self, model: Model, provider: Provider, input_tokens: int, max_output: int) -> int | None:
        """The most that a call of this size can cost: all input written to the cache where that is dearer (with
        the 5-minute lifetime, as callers ask for by default), all output written. None where unknown."""
        sheet = self.sheet(model, provider)
        if sheet is None:
            return None
        rates = sheet.rates(input_tokens) if sheet.tiers else sheet.base
        if rates.input is None or (max_output and rates.output is None):
            return None
        inward, outward = rates.input, rates.output or 0
        if rates.cache_write is not None and rates.cache_write > inward:
            inward = rates.cache_write
        if rates.reasoning is not None and rates.reasoning > outward:
            outward = rates.reasoning
        return -(-(input_tokens * inward + max_output * outward) // MILLION) + sheet.per_request

    def sheet(self, model: Model, provider: Provider) -> Sheet | None:
        """The model's prices now; None where unknown. An owner's own prices count also for local models, which
        are free otherwise."""
        if model.price is None and (provider.local or provider.embedded):
            return FREE
        key = (provider.price_provider or provider.endpoint, model.upstream, model.price)
        sheet = self._sheets.get(key, _UNASKED)
        if sheet is _UNASKED or (sheet is not None and sheet.until <= self._clock.now()):
            if len(self._sheets) >= KEPT:
                self._sheets.clear()
            at = datetime.fromtimestamp(self._clock.now(), UTC)
            sheet = _own(model.price) if model.price is not None else _published(model.upstream, provider, at)
            self._sheets[key] = sheet
        return sheet

    def prepare(self, models: Iterable[tuple[Model, Provider]]) -> None:
        """Look these prices up now rather than within somebody's call."""
        for model, provider in models:
            self.sheet(model, provider)


_UNASKED = Sheet(Rates(None, None, None, None, None, None))


def _nano(usd: Decimal) -> int:
    return round(usd * NANO)


def _own(row: PriceRow) -> Sheet:
    # `repr` of a float is the shortest text that reads back the same: what the owner wrote.
    def nano(usd: float | None) -> int | None:
        return None if usd is None else _nano(Decimal(repr(usd)))

    return Sheet(_completed(nano(row.input), nano(row.output), nano(row.cached), nano(row.cache_write),
                            nano(row.cache_write_1h), None))  # fmt: skip


def _completed(
    given: int | None,
    output: int | None,
    cached: int | None,
    cache_write: int | None,
    cache_write_1h: int | None,
    reasoning: int | None,
) -> Rates:
    """A kind of token without a price of its own costs what the kind that includes it costs: providers name
    the difference only where there is one."""
    cache_write = given if cache_write is None else cache_write
    return Rates(
        input=given,
        output=output,
        cached=given if cached is None else cached,
        cache_write=cache_write,
        cache_write_1h=cache_write if cache_write_1h is None else cache_write_1h,
        reasoning=output if reasoning is None else reasoning,
    )


def _published(upstream: str, provider: Provider, at: datetime) -> Sheet | None:
    """The prices that genai-prices knows for this model at this provider, never those of a namesake elsewhere."""
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, info = get_snapshot().find_provider_model(
            upstream, None, provider.price_provider, None if provider.price_provider else provider.endpoint
        )
    except LookupError:
        return None
    prices = info.get_prices(at)
    names = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok",
             "output_reasoning_mtok")  # fmt: skip
    found = [getattr(prices, name) for name in names]
    if found[0] is None and found[1] is None:
        return None  # priced by the second, the page or the character
    starts = sorted({tier.start for price in found for tier in getattr(price, "tiers", ())}, reverse=True)
    return Sheet(
        base=_completed(*(_rate(price, 0) for price in found)),
        tiers=tuple(Tier(start, _completed(*(_rate(price, start + 1) for price in found))) for start in starts),
        per_request=(_rate(prices.requests_kcount, 0) or 0) // 1_000,
        until=_valid_until(info.prices, at),
    )


def _rate(price: Any, input_tokens: int) -> int | None:
    """A price for requests of this size, as nano-dollars per million tokens."""
    if price is None:
        return None
    if isinstance(price, Decimal):
        return _nano(price)
    chosen: Decimal = price.base
    for tier in price.tiers:  # ascending
        if input_tokens > tier.start:
            chosen = tier.price
    return _nano(chosen)


def _valid_until(prices: Any, at: datetime) -> float:
    """When other prices may begin: at a time of day, or on a date to come."""
    moments = []
    for conditional in prices if isinstance(prices, list) else ():
        constraint = conditional.constraint
        if (day := getattr(constraint, "start_date", None)) is not None:
            moments.append(datetime(day.year, day.month, day.day, tzinfo=UTC))
        for name in ("start_time", "end_time"):
            if (time := getattr(constraint, name, None)) is not None:
                today = datetime.combine(at.date(), time, tzinfo=time.tzinfo or UTC)
                moments += [today - timedelta(days=1), today, today + timedelta(days=1), today + timedelta(days=2)]
    return min((moment.timestamp() for moment in moments if moment > at), default=float("inf"))
