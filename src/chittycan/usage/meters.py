"""One mechanism for budgets (nano-dollars per day or month) and rates (requests, tokens per minute).

A process leases a slice of each cap from the database and spends it from memory, so that a call costs no query:

    reserve (memory) → call → settle (memory)        the usual call
    reserve says None → refill (database) → …        the slice is used up

A call reserves its worst case and gives back the rest when it is settled. What it cost beyond its reservation is
charged within a second, so a cap is passed by no more than what one call wrote beyond its reservation.

The trade-off: a lease is charged when it is taken. A process that dies takes its lease with it, unspent or not,
and nothing is ever spent twice. So slices are small: what waiting calls need; more only while calls come fast,
then up to 2 % of the cap; and beyond 90 % of the cap exactly what waiting calls need. An idle process gives its
slice back after one to two seconds.
"""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Iterable, Sequence

from chittycan.clock import Clock
from chittycan.errors import BudgetExceeded, LimitError, RateLimited, Unavailable
from chittycan.store import meters as rows
from chittycan.store.database import Database
from chittycan.store.meters import Cap, Meter
from chittycan.usage.periods import moment, window

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
RENEW_SECONDS = 5.0  # how often a lease in use is renewed
LEASE_SECONDS = 20.0  # a lease that was not renewed for so long belonged to a process that died
SWEEP_SECONDS = 10.0
REFUSAL_SECONDS = 0.5  # how long a refusal is remembered before the database is asked again
RAMP_SECONDS = 1.0  # a slice should last as long: draws that follow each other faster make it grow
SLICE_SHARE = 50  # a slice is at most the cap divided by this
NEAR_PERCENT = 90


class _Lease:
    """What this process holds of one cap in one window: `left` to spend (negative: a debt), `held` in flight by so
    many `calls`, each of which may cost more than it holds. `booked` says that the database knows of it."""

    __slots__ = ("booked", "calls", "held", "left", "meter", "renewed", "touched")

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.left = 0
        self.held = 0
        self.calls = 0
        self.booked = False
        self.touched = True
        self.renewed = 0.0


class _Account:
    """One cap in this process: its current lease, and how drawing on the database goes."""

    __slots__ = ("drawing", "drawn_at", "lease", "limit", "refused_until", "room", "slice", "wanted")

    def __init__(self, lease: _Lease, limit: int) -> None:
        self.lease = lease
        self.limit = limit
        self.slice = 0
        self.drawn_at = float("-inf")
        self.wanted = 0  # the sum of what waiting calls need
        self.drawing: asyncio.Task[None] | None = None
        self.room = 0  # what the database had left when it last refused …
        self.refused_until = float("-inf")  # … which counts until then

    def refuses(self, amount: int, now: float) -> bool:
        return now < self.refused_until and amount > self.lease.left + self.room


class Reservation:
    """What one call holds of its caps, until it is settled."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[tuple[_Lease, int, int]]) -> None:
        self._parts = parts  # lease, place in (nano, requests, tokens), amount

    @property
    def open(self) -> bool:
        return bool(self._parts)


class Meters:
    """The limits of one process. `run` must be running for leases to be renewed and given back."""

    def __init__(self, database: Database, clock: Clock, owner: str | None = None) -> None:
        self._database = database
        self._clock = clock
        self.owner = owner or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._accounts: dict[str, _Account] = {}
        self._ended: list[_Lease] = []
        self._swept = float("-inf")
        self.refused: dict[str, int] = {}  # cap → start of the window in which it last refused a call

    def reserve(self, caps: Sequence[Cap], nano: int, tokens: int) -> Reservation | None:
        """Reserve one request, its worst-case cost and its tokens under every cap, from memory.

        None: ask `refill`. Raises `BudgetExceeded` or `RateLimited` where the database refused just now.
        """
        now = self._clock.now()
        amounts = (nano, 1, tokens)
        parts: list[tuple[_Lease, int, int]] = []
        for cap in caps:
            account = self._accounts.get(cap.id)
            if account is None or account.limit != cap.limit:
                return None
            lease = account.lease
            amount = amounts[cap.measure]
            if now >= lease.meter.ends:
                return None
            if lease.left < amount:
                if account.refuses(amount, now):
                    raise self._refusal(cap, account, amount, now)
                return None
            parts.append((lease, cap.measure, amount))
        for lease, _, amount in parts:
            lease.left -= amount
            lease.held += amount
            lease.calls += 1
            lease.touched = True
        return Reservation(parts)

    async def refill(self, caps: Sequence[Cap], nano: int, tokens: int) -> Reservation:
        """Like `reserve`, drawing on the database for what is missing.

        Raises `BudgetExceeded`, `RateLimited` (both with `retry_after`: seconds until the window ends), and
        `Unavailable` when the database does not answer: without it nothing is admitted.
        """
        amounts = (nano, 1, tokens)
        while True:
            reservation = self.reserve(caps, nano, tokens)
            if reservation is not None:
                return reservation
            for cap in caps:
                await self._obtain(cap, amounts[cap.measure])

    def settle(self, reservation: Reservation, nano: int, tokens: int) -> None:
        """Replace what was reserved by what it came to. Settling twice is settling once.

        A call that never happened is settled with (0, 0); it still counts as a request.
        """
        amounts = (nano, 1, tokens)
        for lease, measure, reserved in reservation._parts:
            lease.left += reserved - amounts[measure]
            lease.held -= reserved
            lease.calls -= 1
            lease.touched = True
        reservation._parts = ()

    async def standing(self, cap: Cap) -> tuple[int, int]:
        """Of the cap's current window: what was spent, and what processes hold beyond that. Spending is seen
        with a delay of up to `RENEW_SECONDS`."""
        now = self._clock.now()
        meter = Meter(cap.scope, cap.unit, cap.period, *window(cap.period, now))
        return await self._database.read(rows.standing, meter, now)

    async def run(self) -> None:
        """Renew and give back until cancelled, then give everything back."""
        try:
            while True:
                await self._clock.sleep(TICK_SECONDS)
                try:
                    await self.tick()
                except Unavailable as error:
                    log.warning("limits could not be renewed: %s", error)
        finally:
            await self.close()

    async def tick(self) -> None:
        """Charge debts, give back what lies idle, renew what is in use, forget what is over."""
        now = self._clock.now()
        for name, account in list(self._accounts.items()):
            if now >= account.lease.meter.ends:
                self._roll(account, account.lease.meter, now)
            if _asleep(account):
                del self._accounts[name]
        reports = [report for lease, over in self._leases() if (report := _report(lease, over, now)) is not None]
        self._ended = [lease for lease in self._ended if lease.calls or lease.left]
        await self._tell(reports, now)
        if now >= self._swept + SWEEP_SECONDS:
            self._swept = now
            dead = await self._database.run(rows.sweep, now)
            if dead:
                log.warning("%d leases of processes that died were counted as spent", dead)

    async def close(self) -> None:
        """Give everything back. What is still in flight stays charged."""
        drawing = [account.drawing for account in self._accounts.values() if account.drawing is not None]
        await asyncio.gather(*drawing, return_exceptions=True)
        reports = [
            rows.Report(lease.meter, _take(lease), 0) for lease, _ in self._leases() if lease.booked or lease.left
        ]
        self._accounts.clear()
        self._ended.clear()
        await self._tell(reports, self._clock.now())

    async def _tell(self, reports: list[rows.Report], now: float) -> None:
        if not reports:
            return
        try:
            await self._database.run(rows.report, self.owner, reports, now + LEASE_SECONDS)
        except Unavailable:
            # What was not given back stays charged; what is still owed is owed again.
            owed = {report.meter: report.unspent for report in reports if report.unspent < 0}
            for lease, _ in self._leases():
                lease.left += owed.pop(lease.meter, 0)
            self._ended += [_debt(meter, unspent) for meter, unspent in owed.items()]
            raise

    def _leases(self) -> Iterable[tuple[_Lease, bool]]:
        """Every lease, and whether its window is over."""
        yield from ((account.lease, False) for account in self._accounts.values())
        yield from ((lease, True) for lease in self._ended)

    async def _obtain(self, cap: Cap, amount: int) -> None:
        """Wait until this much is left of the cap in memory. Calls that wait together draw once."""
        account = self._account(cap)
        account.wanted += amount
        try:
            while account.lease.left < amount:
                if account.drawing is None:
                    account.drawing = asyncio.create_task(self._draw(account, amount))
                    account.drawing.add_done_callback(_consume)
                # A caller who leaves must not take with them what others wait for.
                await asyncio.shield(account.drawing)
                now = self._clock.now()
                if now >= account.lease.meter.ends:
                    self._roll(account, account.lease.meter, now)
                if account.refuses(amount, now):
                    raise self._refusal(cap, account, amount, now)
        finally:
            account.wanted -= amount

    async def _draw(self, account: _Account, amount: int) -> None:
        lease = account.lease
        now = self._clock.now()
        debt, spare = max(0, -lease.left), max(0, lease.left)
        need = amount - spare
        account.slice = _next_slice(account, need, now)
        account.drawn_at = now
        lease.left += debt
        ask = rows.Draw(
            owner=self.owner,
            cap=account.limit,
            near=account.limit * NEAR_PERCENT // 100,
            debt=debt,
            need=need,
            wanted=max(need, account.wanted - spare),
            slice=account.slice,
            expires=now + LEASE_SECONDS,
        )
        try:
            grant = await self._database.run(rows.draw, lease.meter, ask)
        except BaseException:
            lease.left -= debt
            raise
        finally:
            account.drawing = None
        lease.left += grant.amount
        lease.touched = True
        lease.renewed = now
        lease.booked = lease.booked or grant.amount > 0
        if grant.amount or not need:
            account.refused_until = float("-inf")
        else:
            account.room, account.refused_until = grant.room, now + REFUSAL_SECONDS

    def _refusal(self, cap: Cap, account: _Account, amount: int, now: float) -> LimitError:
        self.refused[cap.id] = account.lease.meter.start
        return _refusal(cap, account, amount, now)

    def _account(self, cap: Cap) -> _Account:
        now = self._clock.now()
        account = self._accounts.get(cap.id)
        if account is None:
            start, ends = window(cap.period, now)
            lease = _Lease(Meter(cap.scope, cap.unit, cap.period, start, ends))
            account = self._accounts[cap.id] = _Account(lease, cap.limit)
        elif account.limit != cap.limit:
            account.limit, account.refused_until = cap.limit, float("-inf")
        if now >= account.lease.meter.ends:
            self._roll(account, account.lease.meter, now)
        return account

    def _roll(self, account: _Account, old: Meter, now: float) -> None:
        """Begin the next window; what is in flight belongs to the one it began in."""
        self._ended.append(account.lease)
        start, ends = window(old.period, now)  # type: ignore[arg-type]
        account.lease = _Lease(Meter(old.scope, old.unit, old.period, start, ends))
        account.refused_until = float("-inf")


def _next_slice(account: _Account, need: int, now: float) -> int:
    """What to draw beyond the need, to spare the next trips to the database: what lasts for about a second.

    Twice the last slice where that was used up sooner, else what was used up of it in a second.
    """
    since = now - account.drawn_at
    wanted = max(account.slice, need) * 2 if since < RAMP_SECONDS else int(account.slice * RAMP_SECONDS / since)
    return max(need, min(wanted, account.limit // SLICE_SHARE))


def _report(lease: _Lease, over: bool, now: float) -> rows.Report | None:
    """What there is to tell the database of a lease, if anything."""
    idle, lease.touched = not lease.touched, False
    if lease.left < 0 or ((idle or over) and (lease.left or (lease.booked and not lease.held))):
        unspent = _take(lease)
    elif lease.booked and now >= lease.renewed + RENEW_SECONDS:
        unspent = 0
    else:
        return None
    kept = lease.left + lease.held
    lease.renewed, lease.booked = now, kept > 0
    return rows.Report(lease.meter, unspent, kept)


def _take(lease: _Lease) -> int:
    unspent, lease.left = lease.left, 0
    return unspent


def _debt(meter: Meter, unspent: int) -> _Lease:
    lease = _Lease(meter)
    lease.left = unspent
    return lease


def _asleep(account: _Account) -> bool:
    lease = account.lease
    return not (lease.touched or lease.booked or lease.left or lease.calls or account.wanted or account.drawing)


def _consume(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()


def _refusal(cap: Cap, account: _Account, amount: int, now: float) -> LimitError:
    ends = account.lease.meter.ends
    left = max(0, account.lease.left + account.room)
    wait = max(0.0, ends - now)
    if cap.unit == "nano":
        return BudgetExceeded(
            f"the budget of {cap.label}, ${_usd(cap.limit)} a {cap.period}, does not cover this call: it may cost up "
            f"to ${_usd(amount)}, ${_usd(left)} is left, and it resets at {moment(ends)}",
            retry_after=wait,
            fix="raise the budget, lower max_tokens, or name a cheaper model",
        )
    what = "requests" if cap.unit == "requests" else "tokens"
    size = "" if cap.unit == "requests" else f" (this call may take {amount:,}, {left:,} are left)"
    return RateLimited(
        f"{cap.label} may have {cap.limit:,} {what} per {cap.period}{size}; retry in {wait:.0f} s", retry_after=wait
    )


def _usd(nano: int) -> str:
    """Dollars with at least two decimals and no needless zeros."""
    whole, _, fraction = f"{nano / 1e9:.6f}".partition(".")
    return f"{whole}.{fraction.rstrip('0'):0<2}"
