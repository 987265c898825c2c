"""What a call leaves in the ledger: one row per attempt."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from chittycan.auth.keys import Key
from chittycan.catalogue import PriceRow
from chittycan.chat import Usage
from chittycan.errors import AllCooling, AllFailed
from chittycan.gateway.call import Options, Trace
from chittycan.gateway.chain import Trail, Tried
from chittycan.gateway.record import Recorder
from chittycan.routing.decide import Decision
from chittycan.routing.failure import Failure
from chittycan.store.database import Database
from chittycan.testing import FakeClock
from chittycan.usage.ledger import Attempt, Ledger
from chittycan.usage.prices import Prices
from gateway_parts import call, candidate, failing

A = candidate("a", price=PriceRow(input=1, output=2))
B = candidate("b", price=PriceRow(input=10, output=20))
UNPRICED = candidate("u", upstream="no-such-model-anywhere")
DECISION = Decision((A, B), (), "named")
USAGE = Usage(input=1_000, output=500, cached=200, cache_write=30, cache_write_1h=4, reasoning=100)
KEY = Key(id="key_1", name="laptop")
ASKED = call(stream=True, key=KEY, options=Options(kind="email.triage", task="t1", session="s1"))


class Notes(Ledger):
    """The real ledger, and the rows that it was given."""

    @property
    def rows(self) -> Sequence[Attempt]:
        return self._buffer


@pytest.fixture
def ledger(sqlite: Database, clock: FakeClock) -> Notes:
    return Notes(sqlite, clock)


@pytest.fixture
def recorder(ledger: Notes, clock: FakeClock) -> Recorder:
    return Recorder(ledger, Prices(clock), clock)


def trail(*tried: Tried) -> Trail:
    return Trail(tried=list(tried), began=0.0, first_token_ms=12.0)


def row(one: Attempt, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(one, name) for name in names)


async def test_an_answer_is_one_row(recorder: Recorder, ledger: Notes, clock: FakeClock) -> None:
    clock.advance(0.5)
    decision = replace(DECISION, label="private", needs="tools,vision")
    cost = recorder.served(ASKED, trail(), A, decision, Usage(input=1_000, output=500))
    (one,) = ledger.rows
    assert cost == one.cost_nano == 1_000 * 1_000 + 500 * 2_000
    assert row(one, "request_id", "position", "at", "outcome", "status") == ("req_1", 0, clock.now(), "ok", 200)
    assert row(one, "surface", "model", "provider", "upstream") == ("openai", "a", "home-of-a", "a-upstream")
    assert row(one, "ms", "first_token_ms", "stream", "decision") == (500.0, 12.0, True, "named")
    assert row(one, "key_id", "kind", "task", "session") == ("key_1", "email.triage", "t1", "s1")
    assert row(one, "asked", "label", "needs") == ("m", "private", "tools,vision")
    await ledger.flush()
    assert (ledger.written, ledger.rejected) == (1, 0)


def test_every_kind_of_token_is_counted(recorder: Recorder, ledger: Notes) -> None:
    recorder.served(ASKED, trail(), A, DECISION, USAGE)
    names = ("input", "output", "cached", "cache_write", "reasoning")
    assert row(ledger.rows[0], *names) == (1_000, 500, 200, 34, 100)


@pytest.mark.parametrize(("served", "usage"), [(UNPRICED, USAGE), (A, None)])
def test_what_is_not_known_is_null_and_not_nothing(
    recorder: Recorder, ledger: Notes, served: Any, usage: Usage | None
) -> None:
    assert recorder.served(ASKED, trail(), served, DECISION, usage) is None
    assert ledger.rows[0].cost_nano is None


def test_failed_attempts_that_were_made_good_cost_nothing_and_are_no_failures(
    recorder: Recorder, ledger: Notes
) -> None:
    tried = Tried(A, failing(Failure.RATE_LIMIT, 429), 7.0)
    recorder.served(ASKED, trail(tried, tried), B, DECISION, USAGE)
    names = ("position", "model", "outcome", "failure", "status", "ms", "cost_nano")
    assert [row(one, *names) for one in ledger.rows[:2]] == [
        (0, "a", "absorbed", "rate_limit", 429, 7.0, 0), (1, "a", "absorbed", "rate_limit", 429, 7.0, 0),
    ]  # fmt: skip
    assert row(ledger.rows[2], "position", "model", "outcome") == (2, "b", "ok")


def test_the_used_part_of_a_cut_answer_is_paid_for(recorder: Recorder, ledger: Notes) -> None:
    used = Usage(input=1_000, output=10)
    cut = Tried(A, failing(Failure.TRUNCATED, 502), 7.0, used, recorder.cost(A, used))
    cost = recorder.served(ASKED, trail(cut), B, DECISION, Usage(input=1_000, output=20))
    assert row(ledger.rows[0], "outcome", "input", "output", "cost_nano") == ("absorbed", 1_000, 10, 1_020_000)
    assert cost == 1_020_000 + 10_400_000


def test_when_all_failed_the_last_row_is_the_failure(recorder: Recorder, ledger: Notes) -> None:
    tried = [Tried(A, failing(Failure.SILENT, 504), 7.0), Tried(B, failing(Failure.TRANSIENT, 500), 9.0)]
    recorder.failed(ASKED, trail(*tried), DECISION, AllFailed("no"))
    assert [row(one, "outcome", "failure", "cost_nano") for one in ledger.rows] == [
        ("absorbed", "silent", 0), ("failed", "transient", 0),
    ]  # fmt: skip


def test_a_call_that_reached_nobody_is_a_row_too(recorder: Recorder, ledger: Notes) -> None:
    recorder.failed(ASKED, trail(), DECISION, AllCooling("resting"))
    (one,) = ledger.rows
    assert row(one, "model", "provider", "outcome", "failure") == ("m", "", "failed", "all_models_cooling")
    assert row(one, "status", "cost_nano") == (None, 0)


def test_what_was_produced_before_the_client_left_is_billed(recorder: Recorder, ledger: Notes) -> None:
    cost = recorder.cancelled(ASKED, trail(), DECISION, A, Usage(input=1_000, output=10))
    assert cost == 1_020_000
    assert row(ledger.rows[0], "outcome", "failure", "status", "output") == ("cancelled", "cancelled", 499, 10)


def test_a_client_that_left_during_a_recovery_pays_for_the_part_it_has(recorder: Recorder, ledger: Notes) -> None:
    cut = Tried(A, failing(Failure.TRUNCATED), 7.0, Usage(input=1_000, output=10), 1_020_000)
    assert recorder.cancelled(ASKED, trail(cut), DECISION, A, Usage()) == 1_020_000
    assert [one.cost_nano for one in ledger.rows] == [1_020_000, 0]


def test_a_client_that_left_before_any_answer_pays_nothing(recorder: Recorder, ledger: Notes, clock: FakeClock) -> None:
    clock.advance(3)
    tried = Tried(A, failing(Failure.TRANSIENT), 7.0)
    assert recorder.cancelled(replace(ASKED, started=1.0), trail(tried), DECISION, None, Usage()) == 0
    assert [row(one, "outcome", "cost_nano") for one in ledger.rows] == [("absorbed", 0), ("cancelled", 0)]
    assert ledger.rows[1].ms == 2_000.0


def test_a_cached_answer_is_a_row_that_costs_nothing(recorder: Recorder, ledger: Notes) -> None:
    recorder.cached(ASKED, Trace(request_id="req_1", model="a", ms=0.4))
    (one,) = ledger.rows
    assert row(one, "model", "outcome", "decision", "cost_nano", "ms") == ("a", "cached", "cache", 0, 0.4)


def test_a_made_up_model_name_is_not_kept_at_any_length(recorder: Recorder, ledger: Notes) -> None:
    recorder.failed(call(model="x" * 10_000), trail(), DECISION, AllCooling("resting"))
    assert len(ledger.rows[0].model) == 200
