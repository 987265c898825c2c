"""What rests after a failure and until when, on a clock that the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.catalogue import Model, Provider, Secret
from chittycan.gateway.health import CONSECUTIVE, FIRST_REST, LONGEST_REST, PROBE_PATIENCE, Health
from chittycan.routing.failure import LONG_SECONDS, QUOTA_SECONDS, RATE_LIMIT_SECONDS, TABLE, Cool, Failure
from chittycan.testing import FakeClock

KEYS = (Secret("one", "literal"), Secret("two", "literal"), Secret("three", "literal"))
MODEL = Model(name="m", provider="p", upstream="m")
OTHER = Model(name="other", provider="p", upstream="other")
KEYLESS = Provider(name="p", dialect="openai", endpoint="http://p.test/v1", needs_key=False)
ONE_KEY = Provider(name="p", dialect="openai", endpoint="http://p.test/v1", keys=KEYS[:1])
THREE_KEYS = Provider(name="p", dialect="openai", endpoint="http://p.test/v1", keys=KEYS)


@pytest.fixture
def health(clock: FakeClock) -> Health:
    return Health(clock)


def _open(health: Health) -> None:
    for _ in range(CONSECUTIVE):
        health.failed(MODEL, None, Failure.TRANSIENT)


# Circuits


def test_single_failures_open_nothing(health: Health) -> None:
    for _ in range(10):
        health.failed(MODEL, None, Failure.TRANSIENT)
        health.succeeded(MODEL)
        health.succeeded(MODEL)
    assert health.admits(MODEL)


def test_failures_in_a_row_open_the_circuit(health: Health) -> None:
    _open(health)
    assert not health.admits(MODEL)
    assert health.rests_for(MODEL, KEYLESS) == FIRST_REST
    assert health.admits(OTHER), "another model of the same provider is another circuit"
    assert health.snapshot() == {"p/m": {"seconds": FIRST_REST, "why": "transient"}}


def test_a_high_failure_rate_opens_the_circuit(health: Health) -> None:
    for _ in range(2):
        health.failed(MODEL, None, Failure.SILENT)
        health.failed(MODEL, None, Failure.SILENT)
        health.succeeded(MODEL)
    assert health.admits(MODEL), "four of six, but the last outcome was good"
    health.failed(MODEL, None, Failure.SILENT)
    assert not health.admits(MODEL)


def test_after_its_rest_exactly_one_call_probes(health: Health, clock: FakeClock) -> None:
    _open(health)
    clock.advance(FIRST_REST)
    assert health.admits(MODEL)
    assert not health.admits(MODEL)
    assert health.rests_for(MODEL, KEYLESS) != 0
    health.succeeded(MODEL)
    assert health.admits(MODEL)
    assert health.admits(MODEL)
    assert health.snapshot() == {}


def test_a_failed_probe_doubles_the_rest_up_to_the_longest(health: Health, clock: FakeClock) -> None:
    _open(health)
    rests = []
    for _ in range(5):
        rest = health.rests_for(MODEL, KEYLESS)
        assert rest is not None
        rests.append(rest)
        clock.advance(rest)
        assert health.admits(MODEL)
        health.failed(MODEL, None, Failure.TRANSIENT)
    assert rests == [5.0, 10.0, 20.0, 30.0, 30.0]
    assert max(rests) == LONGEST_REST


def test_calls_that_began_before_the_circuit_opened_do_not_prolong_it(health: Health, clock: FakeClock) -> None:
    _open(health)
    clock.advance(1)
    for _ in range(50):
        health.failed(MODEL, None, Failure.TRANSIENT)
    assert health.rests_for(MODEL, KEYLESS) == FIRST_REST - 1
    clock.advance(FIRST_REST - 1)
    health.admits(MODEL)
    health.failed(MODEL, None, Failure.TRANSIENT)
    assert health.rests_for(MODEL, KEYLESS) == 2 * FIRST_REST


def test_after_a_recovery_the_past_is_forgotten(health: Health, clock: FakeClock) -> None:
    _open(health)
    clock.advance(FIRST_REST)
    health.admits(MODEL)
    health.succeeded(MODEL)
    health.succeeded(MODEL)
    health.failed(MODEL, None, Failure.TRANSIENT)
    assert health.admits(MODEL), "one failure is not a bad rate"
    health.failed(MODEL, None, Failure.TRANSIENT)
    health.failed(MODEL, None, Failure.TRANSIENT)
    assert health.rests_for(MODEL, KEYLESS) == FIRST_REST, "and the rests begin anew"


def test_a_probe_that_tells_nothing_lets_the_next_one_try(health: Health, clock: FakeClock) -> None:
    _open(health)
    clock.advance(FIRST_REST)
    assert health.admits(MODEL)
    health.probe_over(MODEL)
    assert health.admits(MODEL)


def test_a_probe_that_never_ends_does_not_block_for_ever(health: Health, clock: FakeClock) -> None:
    _open(health)
    clock.advance(FIRST_REST)
    assert health.admits(MODEL)
    clock.advance(PROBE_PATIENCE)
    assert health.admits(MODEL)


@pytest.mark.parametrize("failure", [row for row, treatment in TABLE.items() if treatment.cool is Cool.NO])
def test_what_callers_cause_rests_nobody(health: Health, failure: Failure) -> None:
    for _ in range(20):
        health.failed(MODEL, KEYS[0], failure)
    assert health.admits(MODEL)
    assert health.rests_for(MODEL, ONE_KEY) == 0


def test_a_model_that_is_gone_rests_long(health: Health, clock: FakeClock) -> None:
    health.failed(MODEL, KEYS[0], Failure.MODEL_GONE)
    assert health.rests_for(MODEL, ONE_KEY) == LONG_SECONDS
    clock.advance(LONG_SECONDS - 1)
    assert not health.admits(MODEL)


# Keys


def test_keys_take_turns(health: Health) -> None:
    firsts = [health.keys(MODEL, THREE_KEYS)[0] for _ in range(6)]
    assert firsts == [*KEYS, *KEYS]
    assert set(health.keys(MODEL, THREE_KEYS)) == set(KEYS), "the others follow"


def test_a_provider_without_keys_is_called_without(health: Health) -> None:
    assert list(health.keys(MODEL, KEYLESS)) == [None]


def test_a_rate_limit_rests_one_key_for_one_model(health: Health, clock: FakeClock) -> None:
    health.failed(MODEL, KEYS[0], Failure.RATE_LIMIT, 30.0)
    assert KEYS[0] not in health.keys(MODEL, THREE_KEYS)
    assert KEYS[0] in health.keys(OTHER, THREE_KEYS)
    assert health.admits(MODEL)
    assert health.rests_for(MODEL, THREE_KEYS) == 0
    assert health.rests_for(MODEL, ONE_KEY) == 30.0
    clock.advance(30)
    assert KEYS[0] in health.keys(MODEL, THREE_KEYS)


def test_a_rate_limit_without_a_time_has_a_default(health: Health) -> None:
    health.failed(MODEL, KEYS[0], Failure.RATE_LIMIT)
    assert health.rests_for(MODEL, ONE_KEY) == RATE_LIMIT_SECONDS


def test_an_empty_balance_rests_the_key_for_every_model(health: Health, clock: FakeClock) -> None:
    health.failed(MODEL, KEYS[0], Failure.QUOTA)
    assert health.rests_for(OTHER, ONE_KEY) == QUOTA_SECONDS
    assert KEYS[0] not in health.keys(OTHER, THREE_KEYS)
    clock.advance(QUOTA_SECONDS)
    assert health.rests_for(OTHER, ONE_KEY) == 0


def test_a_refused_key_rests_until_another_one_is_configured(health: Health, clock: FakeClock) -> None:
    health.failed(MODEL, KEYS[0], Failure.CREDENTIAL)
    clock.advance(1e9)
    assert list(health.keys(MODEL, ONE_KEY)) == []
    assert health.rests_for(MODEL, ONE_KEY) is None
    changed = Provider(name="p", dialect="openai", endpoint="http://p.test/v1", keys=(Secret("new", "env:KEY"),))
    assert list(health.keys(MODEL, changed)) == [Secret("new", "env:KEY")]
    assert health.rests_for(MODEL, changed) == 0


@pytest.mark.parametrize("failure", [Failure.RATE_LIMIT, Failure.QUOTA, Failure.CREDENTIAL])
def test_without_keys_the_model_itself_rests(health: Health, failure: Failure) -> None:
    health.failed(MODEL, None, failure, 7.0)
    rest = health.rests_for(MODEL, KEYLESS)
    assert rest is not None
    assert rest > 0
    assert not health.admits(MODEL)


def test_forgetting_a_model_wakes_it(health: Health) -> None:
    _open(health)
    health.failed(MODEL, KEYS[0], Failure.CREDENTIAL)
    health.failed(OTHER, None, Failure.MODEL_GONE)
    health.forget(MODEL)
    assert health.admits(MODEL)
    assert health.rests_for(MODEL, ONE_KEY) == 0
    assert not health.admits(OTHER)


# Properties

cooling = st.sampled_from([row for row, treatment in TABLE.items() if treatment.cool is not Cool.NO])


@given(
    st.lists(
        st.tuples(cooling, st.sampled_from([None, KEYS[0]]), st.none() | st.floats(0.1, 1e5), st.floats(0, 3)),
        max_size=30,
    )
)
def test_no_failure_ever_shortens_a_rest(steps: list[tuple[Failure, Secret | None, float | None, float]]) -> None:
    clock = FakeClock()
    health = Health(clock)

    def rests() -> list[float | None]:
        return [health.rests_for(model, home) for model in (MODEL, OTHER) for home in (ONE_KEY, KEYLESS)]

    for failure, key, retry_after, pause in steps:
        clock.advance(pause)
        before = rests()
        health.failed(MODEL, key, failure, retry_after)
        for old, new in zip(before, rests(), strict=True):
            assert new is None or (old is not None and new >= old)


@given(st.lists(st.sampled_from(["ask", "fail", "ok", "over", "wait"]), max_size=60))
def test_while_a_circuit_is_open_at_most_one_call_is_under_way(steps: list[str]) -> None:
    clock = FakeClock()
    health = Health(clock)
    probing = False
    for step in ["fail", "fail", "fail", *steps]:
        if step == "wait":
            clock.advance(FIRST_REST)
        elif step == "ask":
            admitted = health.admits(MODEL)
            assert not (admitted and probing)
            probing = admitted and bool(health.snapshot())
        elif probing or not health.snapshot():
            {"fail": lambda: health.failed(MODEL, None, Failure.TRANSIENT),
             "ok": lambda: health.succeeded(MODEL),
             "over": lambda: health.probe_over(MODEL)}[step]()  # fmt: skip
            probing = False
