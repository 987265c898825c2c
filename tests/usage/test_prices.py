"""Costs are exact to the nano-dollar, or unknown."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.catalogue import Model, PriceRow, Provider
from chittycan.chat import Usage
from chittycan.testing import FakeClock
from chittycan.usage.prices import Prices

USD = 10**9


def provider(name: str = "anthropic", endpoint: str = "https://api.anthropic.com", **fields: object) -> Provider:
    fields.setdefault("price_provider", name)
    return Provider(name=name, dialect="openai", endpoint=endpoint, **fields)  # type: ignore[arg-type]


def model(upstream: str, price: PriceRow | None = None) -> Model:
    return Model(name=upstream, provider="any", upstream=upstream, price=price)


OWN = provider(price_provider=None, endpoint="http://10.0.0.7/v1")
CLAUDE = PriceRow(input=3, output=15, cached=0.30, cache_write=3.75, cache_write_1h=6)


@pytest.fixture
def prices(clock: FakeClock) -> Prices:
    return Prices(clock)


# Anthropic reports 3 fresh tokens beside the 12,304 written; `Usage.input` includes both.
CACHE_WRITE = Usage(input=12_307, cache_write=12_304, output=550)


@pytest.mark.parametrize("where", ["own prices", "published prices"])
def test_cache_writes_are_billed_once_at_their_own_price(prices: Prices, where: str) -> None:
    if where == "own prices":
        cost = prices.cost_nano(model("claude-x", CLAUDE), OWN, CACHE_WRITE)
    else:
        cost = prices.cost_nano(model("claude-sonnet-4-5"), provider(), CACHE_WRITE)
    assert cost == 54_399_000  # $0.054399


def test_cached_input_is_part_of_the_prompt(prices: Prices) -> None:
    # gpt-5: $1.25 in, $0.125 cached, $10 out per million (OpenAI's price list, 2025-08).
    usage = Usage(input=1_000, cached=800, output=100, reasoning=60)
    cost = prices.cost_nano(model("gpt-5"), provider("openai", "https://api.openai.com/v1"), usage)
    assert cost == 200 * 1_250 + 800 * 125 + 100 * 10_000


def test_hour_long_cache_writes_have_their_own_price(prices: Prices) -> None:
    usage = Usage(input=1_000_000, cache_write_1h=1_000_000)
    assert prices.cost_nano(model("c", CLAUDE), OWN, usage) == 6 * USD


def test_above_the_threshold_every_token_costs_the_higher_tier(prices: Prices) -> None:
    # gemini-2.5-pro: $1.25/$10 up to 200,000 input tokens, $2.50/$15 above (Google's price list, 2025-06).
    gemini, google = model("gemini-2.5-pro"), provider("google", "https://generativelanguage.googleapis.com")
    assert prices.cost_nano(gemini, google, Usage(input=200_000, output=10)) == 200_000 * 1_250 + 10 * 10_000
    assert prices.cost_nano(gemini, google, Usage(input=200_001, output=10)) == 200_001 * 2_500 + 10 * 15_000


def test_prices_follow_the_time_of_day_where_the_provider_does() -> None:
    # deepseek-chat was half price from 16:30 to 00:30 UTC (DeepSeek's price list, 2025-02).
    clock = FakeClock(datetime(2027, 1, 15, 16, 29, tzinfo=UTC).timestamp())
    prices, deepseek = Prices(clock), provider("deepseek", "https://api.deepseek.com")
    million = Usage(input=1_000_000)
    assert prices.cost_nano(model("deepseek-chat"), deepseek, million) == 270_000_000
    clock.advance(120)
    assert prices.cost_nano(model("deepseek-chat"), deepseek, million) == 135_000_000
    clock.advance(8 * 3600)
    assert prices.cost_nano(model("deepseek-chat"), deepseek, million) == 270_000_000


def test_a_provider_is_known_by_its_endpoint_too(prices: Prices) -> None:
    by_url = provider("mine", "https://api.openai.com/v1", price_provider=None)
    assert prices.cost_nano(model("gpt-4"), by_url, Usage(input=1_000_000)) == 30 * USD


@pytest.mark.parametrize(
    "unknown",
    [
        (model("gpt-4"), provider("mine", "https://llm.example.org/v1", price_provider=None)),
        (model("model-that-nobody-sells"), provider("openai")),
        (model("gpt-4"), provider("no-such-vendor")),
    ],
    ids=["unknown place", "unknown model", "unknown vendor"],
)
def test_an_unknown_price_is_none_and_never_a_guess(prices: Prices, unknown: tuple[Model, Provider]) -> None:
    assert prices.cost_nano(*unknown, Usage(input=10, output=10)) is None
    assert prices.worst_case_nano(*unknown, 10, 10) is None


def test_local_models_are_free_unless_their_owner_prices_them(prices: Prices) -> None:
    local = provider("local", "http://localhost:1234/v1", local=True)
    usage = Usage(input=1_000_000, output=1_000_000)
    assert prices.cost_nano(model("llama"), local, usage) == 0
    assert prices.cost_nano(model("llama", PriceRow(input=0.01, output=0.02)), local, usage) == 30_000_000
    assert prices.worst_case_nano(model("smollm2"), provider("e", embedded=True), 100, 100) == 0


def test_a_changed_price_counts_from_the_next_call(prices: Prices) -> None:
    million = Usage(input=1_000_000)
    assert prices.cost_nano(model("m", PriceRow(input=1, output=1)), OWN, million) == USD
    assert prices.cost_nano(model("m", PriceRow(input=2, output=1)), OWN, million) == 2 * USD


def test_one_token_of_a_cheap_model_is_not_rounded_away(prices: Prices) -> None:
    assert prices.cost_nano(model("m", PriceRow(input=0.02, output=0.1)), OWN, Usage(input=1)) == 20


def test_parts_that_exceed_their_whole_are_what_is_billed(prices: Prices) -> None:
    assert prices.cost_nano(model("m", CLAUDE), OWN, Usage(input=3, cached=100, output=1)) == 100 * 300 + 15_000


price = st.integers(0, 200_000).map(lambda thousandths: thousandths / 1_000)
count = st.integers(0, 3_000_000)


@given(price, price, price, price, count, count, count, count)
def test_integers_give_what_exact_decimals_give(
    given_price: float, output: float, cached: float, write: float, fresh: int, hits: int, written: int, out: int
) -> None:
    row = PriceRow(input=given_price, output=output, cached=cached, cache_write=write)
    usage = Usage(input=fresh + hits + written, cached=hits, cache_write=written, output=out)
    exact = sum(
        Decimal(repr(usd)) * 1_000 * tokens
        for usd, tokens in ((given_price, fresh), (output, out), (cached, hits), (write, written))
    )
    prices, mine = Prices(FakeClock()), model("m", row)
    assert prices.cost_nano(mine, OWN, usage) == exact
    if not hits:
        worst = prices.worst_case_nano(mine, OWN, usage.input, out)
        assert worst is not None
        assert worst >= exact
