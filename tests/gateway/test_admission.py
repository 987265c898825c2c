"""What a call reserves of its caller's limits, for which model, and what it gives back."""

from typing import Any

import pytest
from msgspec.structs import replace

from chittycan.auth.keys import Key
from chittycan.catalogue import Catalogue, PriceRow
from chittycan.errors import BudgetExceeded, RateLimited
from chittycan.gateway.admission import Admission, total_caps
from chittycan.gateway.attempt import output_limit
from chittycan.gateway.call import Call, Options
from chittycan.gateway.decisions import Decisions
from chittycan.gateway.facts import input_tokens
from chittycan.gateway.ticket import Ticket
from chittycan.routing.cost.policy import Policy
from chittycan.routing.decide import Candidate
from chittycan.store.database import Database
from chittycan.store.meters import Cap
from chittycan.testing import FakeClock
from chittycan.usage.meters import Meters
from chittycan.usage.prices import Prices
from gateway_parts import call, candidate

DOLLAR = 10**9
# 1,000 tokens in and 1,000 out cost 2 cents, 20 cents, nobody knows
CHEAP = candidate("cheap", price=PriceRow(input=10, output=10))
DEAR = candidate("dear", price=PriceRow(input=100, output=100))
UNPRICED = candidate("unheard-of", price=None, upstream="no-such-model-anywhere")

DAY = Cap("key:k", "nano", "day", DOLLAR // 10, "key 'k'")
MONTH = Cap("key:k", "nano", "month", DOLLAR, "key 'k'")
REQUESTS = Cap("key:k", "requests", "minute", 2, "key 'k'")
TOKENS = Cap("key:k", "tokens", "minute", 5_000, "key 'k'")


@pytest.fixture
def meters(sqlite: Database, clock: FakeClock) -> Meters:
    return Meters(sqlite, clock)


@pytest.fixture
def admission(meters: Meters, clock: FakeClock) -> Admission:
    return Admission(meters, Prices(clock), ())


def limited(*caps: Cap, **options: int) -> Call:
    rates = tuple(cap for cap in caps if cap.unit != "nano")
    money = tuple(cap for cap in caps if cap.unit == "nano")
    key = Key(id="k", name="k", rate_caps=rates, budget_caps=money)
    return call(key=key, options=Options(max_cost_nano=options.get("max_cost_nano")))


async def cover(admission: Admission, ticket: Ticket, asked: Candidate) -> None:
    """As the gateway does before each model."""
    if not admission.covers(ticket, asked):
        await admission.cover(ticket, asked)


async def used(meters: Meters, cap: Cap) -> int:
    """What the database counts as spent or held, once this process has given back what it does not need."""
    await meters.close()
    spent, held = await meters.standing(cap)
    return spent + held


async def test_without_limits_nothing_is_asked_of_the_database(admission: Admission, sqlite: Database) -> None:
    sqlite.close()
    ticket = admission.admit(call(), 1_000, 1_000)
    assert admission.covers(ticket, DEAR)
    admission.settle(ticket, 5, 5)


async def test_the_worst_case_is_reserved_and_the_rest_given_back(admission: Admission, meters: Meters) -> None:
    ticket = admission.admit(limited(DAY), 1_000, 1_000)
    await cover(admission, ticket, CHEAP)
    assert ticket.covered == DOLLAR // 50
    admission.settle(ticket, 3_000_000, 400)
    assert await used(meters, DAY) == 3_000_000


async def test_a_call_that_never_happened_costs_nothing(admission: Admission, meters: Meters) -> None:
    ticket = admission.admit(limited(DAY, REQUESTS), 1_000, 1_000)
    await cover(admission, ticket, CHEAP)
    admission.settle(ticket, 0, 0)
    assert await used(meters, DAY) == 0


async def test_a_model_beyond_the_budget_is_refused_and_a_cheaper_one_is_not(admission: Admission) -> None:
    ticket = admission.admit(limited(DAY), 1_000, 1_000)
    with pytest.raises(BudgetExceeded, match="key 'k'"):
        await cover(admission, ticket, DEAR)
    await cover(admission, ticket, CHEAP)


async def test_calls_at_once_cannot_pass_the_cap_together(admission: Admission) -> None:
    tickets = [admission.admit(limited(DAY), 1_000, 1_000) for _ in range(8)]
    covered = 0
    for ticket in tickets:
        try:
            await cover(admission, ticket, CHEAP)
            covered += 1
        except BudgetExceeded:
            pass
    assert covered == 5
    admission.settle(tickets[0], 0, 0)
    await cover(admission, admission.admit(limited(DAY), 1_000, 1_000), CHEAP)


async def test_a_dearer_fallback_reserves_only_the_difference(admission: Admission, meters: Meters) -> None:
    earlier = admission.admit(limited(MONTH, REQUESTS), 1_000, 1_000)
    await cover(admission, earlier, DEAR)
    admission.settle(earlier, 0, 0)  # which leaves money at hand
    ticket = admission.admit(limited(MONTH, REQUESTS), 1_000, 1_000)
    await cover(admission, ticket, CHEAP)
    await cover(admission, ticket, DEAR)
    assert ticket.covered == DOLLAR // 5
    await cover(admission, ticket, CHEAP)
    assert ticket.covered == DOLLAR // 5, "what is held already is enough"
    admission.settle(ticket, 150_000_000, 2_000)
    assert await used(meters, MONTH) == 150_000_000
    assert (await meters.standing(REQUESTS))[0] == 2, "one for each call, however many models"


async def test_requests_per_minute(admission: Admission, clock: FakeClock) -> None:
    for _ in range(2):
        await cover(admission, admission.admit(limited(REQUESTS), 10, 10), UNPRICED)
    ticket = admission.admit(limited(REQUESTS), 10, 10)
    with pytest.raises(RateLimited) as raised:
        await cover(admission, ticket, UNPRICED)
    assert raised.value.retry_after is not None
    assert 0 < raised.value.retry_after <= 60
    clock.advance(60)
    await cover(admission, ticket, UNPRICED)


async def test_tokens_per_minute_count_what_was_used(admission: Admission) -> None:
    first = admission.admit(limited(TOKENS), 1_000, 3_000)
    await cover(admission, first, UNPRICED)
    second = admission.admit(limited(TOKENS), 1_000, 1_000)
    with pytest.raises(RateLimited):
        await cover(admission, second, UNPRICED)
    admission.settle(first, 0, 1_200)
    await cover(admission, second, UNPRICED)


async def test_an_unknown_price_reserves_nothing_and_stays_unknown(admission: Admission, meters: Meters) -> None:
    ticket = admission.admit(limited(DAY), 10**9, 10**9)
    await cover(admission, ticket, UNPRICED)
    assert ticket.covered == 0
    admission.settle(ticket, 0, 2_000)
    assert await used(meters, DAY) == 0


async def test_the_callers_own_limit_per_call(admission: Admission) -> None:
    ticket = admission.admit(limited(max_cost_nano=DOLLAR // 20), 1_000, 1_000)
    await cover(admission, ticket, CHEAP)
    with pytest.raises(BudgetExceeded, match=r"\$0\.200000.*\$0\.050000"):
        await cover(admission, ticket, DEAR)


async def test_the_owners_budget_counts_for_callers_without_a_key_too(meters: Meters, clock: FakeClock) -> None:
    admission = Admission(meters, Prices(clock), total_caps(DOLLAR // 10, None))
    with pytest.raises(BudgetExceeded, match="all keys together"):
        await cover(admission, admission.admit(call(), 1_000, 1_000), DEAR)
    await cover(admission, admission.admit(call(), 1_000, 1_000), CHEAP)


def test_total_caps_are_those_that_are_set() -> None:
    assert total_caps(None, None) == ()
    assert [(cap.period, cap.limit) for cap in total_caps(5, 7)] == [("day", 5), ("month", 7)]


async def test_a_cached_answer_counts_as_a_request_and_costs_nothing(admission: Admission, meters: Meters) -> None:
    ticket = admission.admit(limited(REQUESTS, DAY), 0, 0)
    await admission.count(ticket)
    admission.settle(ticket, 0, 0)
    assert await used(meters, DAY) == 0
    assert (await meters.standing(REQUESTS))[0] == 1


@pytest.mark.parametrize("model", ["cheap", "dear", "unheard-of"])
@pytest.mark.parametrize("surface", ["openai", None])
@pytest.mark.parametrize(
    "more", [{}, {"max_tokens": 10}, {"max_tokens": 10, "n": 4}, {"max_tokens": 5_000}, {"stream": True}]
)
@pytest.mark.parametrize("allowed", [0, 10**6, 10**7, 10**8, 10**9])
def test_what_is_explained_is_what_is_refused(
    admission: Admission, clock: FakeClock, model: str, surface: str | None, more: dict[str, Any], allowed: int
) -> None:
    """The decision and the reservation reckon with the same most that a call may cost."""
    asked = next(each for each in (CHEAP, DEAR, UNPRICED) if each.model.name == model)
    prices = Prices(clock)
    providers = {each.provider.name: each.provider for each in (CHEAP, DEAR, UNPRICED)}
    models = {each.model.name: each.model for each in (CHEAP, DEAR, UNPRICED)}
    decisions = Decisions(Catalogue(providers=providers, models=models), Policy(worst=prices.worst_case_nano))
    this = call(surface, model=model, fields=more, options=Options(max_cost_nano=allowed))
    if surface is None:
        this.parsed = replace(call(fields=more).chat, model=model, n=1)
    ticket = admission.admit(this, input_tokens(this), output_limit(this))
    refused = kept_out = False
    try:
        admission.covers(ticket, asked)
    except BudgetExceeded:
        refused = True
    try:
        decisions.of(this)
    except BudgetExceeded:
        kept_out = True
    assert refused == kept_out
