"""The walk of a chain, attempt by attempt, against the failure table and the rules of exhaustion."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from chittycan.chat import Failed
from chittycan.errors import (
    AllCooling,
    AllFailed,
    AllRateLimited,
    BudgetExceeded,
    ChittyError,
    CredentialsExhausted,
    InvalidRequest,
    RateLimited,
    UpstreamRefused,
    UpstreamTimeout,
)
from chittycan.gateway.attempt import AttemptFailed
from chittycan.gateway.chain import Chain, Trail
from chittycan.gateway.health import CONSECUTIVE, FIRST_REST, Health
from chittycan.routing.decide import Candidate
from chittycan.routing.failure import TABLE, Failure, Next
from chittycan.testing import FakeClock
from gateway_parts import KEY_ONE, KEY_TWO, Answers, candidate, failing, scripted, settle

A, B, C = candidate("a"), candidate("b"), candidate("c")
TWO_KEYS = candidate("two", keys=(KEY_ONE, KEY_TWO))
FAR = 600.0


class Walked:
    """One walk that was let run to its end: its result or error, who was asked, and when."""

    def __init__(self, clock: FakeClock, health: Health) -> None:
        self.clock, self.health = clock, health
        self.trail = Trail()
        self.log: list[tuple[str, str | None, bool]] = []
        self.times: list[float] = []
        self.result: Any = None
        self.error: Any = None

    @property
    def asked(self) -> list[str]:
        return [model for model, _, _ in self.log]

    async def __call__(self, script: Mapping[str, Answers], *candidates: Candidate, deadline: float = FAR) -> "Walked":
        attempt, self.log = scripted(script)

        async def timed(asked: Candidate, key: Any, alone: bool) -> Any:
            self.times.append(self.clock.monotonic())
            return await attempt(asked, key, alone)

        chain = Chain(self.health, self.clock, jitter=lambda: 0.5)
        walk = asyncio.create_task(chain.walk(candidates, timed, self.trail, deadline))
        await self.clock.run(0)
        while not walk.done():
            await self.clock.run(0.1)
        try:
            self.result = walk.result()
        except ChittyError as error:
            self.error = error
        return self


@pytest.fixture
def walk(clock: FakeClock) -> Walked:
    return Walked(clock, Health(clock))


# Every row of the table


async def test_the_first_model_that_answers_is_the_answer(walk: Walked) -> None:
    await walk({"a": ["fine"], "b": ["never asked"]}, A, B)
    assert walk.result == "fine"
    assert walk.log == [("a", "env:ONE", False)]
    assert (walk.trail.started, [each.model.name for each in walk.trail.asked], walk.trail.tried) == (1, ["a"], [])


async def test_transient_is_tried_again_after_a_backoff_and_then_the_next_model(walk: Walked) -> None:
    await walk({"a": [failing(Failure.TRANSIENT)], "b": ["fine"]}, A, B)
    assert walk.result == "fine"
    assert walk.asked == ["a", "a", "b"]
    assert walk.times == pytest.approx([0, 0.4, 0.4])


async def test_a_lone_model_is_tried_twice_more_with_growing_pauses(walk: Walked) -> None:
    await walk({"a": [failing(Failure.TRANSIENT), failing(Failure.TRANSIENT), "fine"]}, A)
    assert walk.result == "fine"
    assert walk.times == pytest.approx([0, 0.4, 1.2])


async def test_a_lone_models_own_retry_after_is_kept_when_it_is_longer(walk: Walked) -> None:
    await walk({"a": [failing(Failure.TRANSIENT, 503, retry_after=3.0), "fine"]}, A)
    assert walk.times == pytest.approx([0, 3])


async def test_a_model_that_asks_for_a_pause_is_not_waited_for_while_another_can_serve(walk: Walked) -> None:
    await walk({"a": [failing(Failure.TRANSIENT, 503, retry_after=3.0)], "b": ["fine"]}, A, B)
    assert walk.asked == ["a", "b"]
    assert walk.times == [0, 0]


@pytest.mark.parametrize("failure", [Failure.SILENT, Failure.MODEL_GONE, Failure.TRUNCATED])
async def test_these_go_to_the_next_model_at_once_with_no_other_key(walk: Walked, failure: Failure) -> None:
    await walk({"two": [failing(failure)], "b": ["fine"]}, TWO_KEYS, B)
    assert walk.result == "fine"
    assert walk.asked == ["two", "b"]
    assert walk.times == [0, 0]


@pytest.mark.parametrize("failure", [row for row, treatment in TABLE.items() if treatment.rotate])
async def test_these_try_the_next_key_and_then_the_next_model(walk: Walked, failure: Failure) -> None:
    await walk({"two": [failing(failure)], "b": ["fine"]}, TWO_KEYS, B)
    assert [(model, key) for model, key, _ in walk.log] == [("two", "env:ONE"), ("two", "env:TWO"), ("b", "env:ONE")]
    assert walk.times == [0, 0, 0]
    assert not walk.health.keys(TWO_KEYS.model, TWO_KEYS.provider), "both keys rest"


async def test_the_next_key_may_serve(walk: Walked) -> None:
    await walk({"two": [failing(Failure.QUOTA, 402), "fine"]}, TWO_KEYS)
    assert walk.result == "fine"
    assert list(walk.health.keys(TWO_KEYS.model, TWO_KEYS.provider)) == [KEY_TWO]


@pytest.mark.parametrize("failure", [row for row, treatment in TABLE.items() if treatment.next_model is Next.NO])
async def test_these_are_told_to_the_caller_and_nobody_else_is_asked(walk: Walked, failure: Failure) -> None:
    await walk({"a": [failing(failure, 422, "say it differently", code="odd", kind="weird")], "b": ["never"]}, A, B)
    assert walk.asked == ["a"]
    assert isinstance(walk.error, UpstreamRefused)
    assert (walk.error.status, walk.error.code, walk.error.kind) == (422, "odd", "weird")
    assert walk.health.rests_for(A.model, A.provider) == 0


async def test_too_long_goes_only_to_a_larger_window(walk: Walked) -> None:
    small, same, unknown, large = (
        candidate("small", context_window=8192), candidate("same", context_window=8192), candidate("unknown"),
        candidate("large", context_window=200_000),
    )  # fmt: skip
    await walk({"small": [failing(Failure.CONTEXT, 400)], "large": ["fine"]}, small, same, unknown, large)
    assert walk.asked == ["small", "large"]
    assert walk.trail.skipped == {"same": "its window is not larger", "unknown": "its window is not larger"}


async def test_too_long_for_the_largest_is_told_as_the_provider_told_it(walk: Walked) -> None:
    small, large = candidate("small", context_window=8192), candidate("large", context_window=200_000)
    too_long = failing(Failure.CONTEXT, 400, "prompt is too long", code="context_length_exceeded")
    await walk({"large": [too_long]}, large, small)
    assert isinstance(walk.error, UpstreamRefused), "a client that can shorten its request must learn that it should"
    assert (walk.error.status, walk.error.code) == (400, "context_length_exceeded")
    assert walk.error.message == "prompt is too long"


# Retry-After


async def test_a_rate_limit_is_waited_for_when_nobody_else_can_serve(walk: Walked) -> None:
    await walk({"a": [failing(Failure.RATE_LIMIT, 429, retry_after=2.0), "fine"]}, A)
    assert walk.result == "fine"
    assert walk.times == pytest.approx([0, 2])


async def test_a_rate_limit_without_a_time_backs_off(walk: Walked) -> None:
    await walk({"a": [failing(Failure.RATE_LIMIT, 429), "fine"]}, A)
    assert walk.times == pytest.approx([0, 0.8])


async def test_a_rate_limit_is_not_waited_for_while_another_model_can_serve(walk: Walked) -> None:
    await walk({"a": [failing(Failure.RATE_LIMIT, 429, retry_after=2.0)], "b": ["fine"]}, A, B)
    assert walk.times == [0, 0]
    assert walk.health.rests_for(A.model, A.provider) == 2.0


async def test_a_rate_limit_is_waited_for_when_the_others_are_resting(walk: Walked) -> None:
    walk.health.failed(B.model, None, Failure.MODEL_GONE)
    await walk({"a": [failing(Failure.RATE_LIMIT, 429, retry_after=2.0), "fine"]}, A, B)
    assert walk.result == "fine"


async def test_a_wait_beyond_the_deadline_is_not_begun(walk: Walked) -> None:
    await walk({"a": [failing(Failure.RATE_LIMIT, 429, retry_after=60.0)]}, A, deadline=30)
    assert walk.times == [0]
    assert isinstance(walk.error, UpstreamRefused)
    assert (walk.error.status, walk.error.retry_after) == (429, 60.0)


async def test_work_that_can_be_put_off_waits_elsewhere(walk: Walked) -> None:
    walk.trail.longest_pause = 5.0
    await walk({"a": [failing(Failure.RATE_LIMIT, 429, retry_after=2.0), "fine"]}, A)
    assert walk.times == pytest.approx([0, 2])
    await walk({"a": [failing(Failure.RATE_LIMIT, 429, retry_after=60.0)]}, A)
    assert len(walk.times) == 3
    assert (walk.error.status, walk.error.retry_after) == (429, 60.0)


async def test_waiting_has_an_end(walk: Walked) -> None:
    await walk({"a": [failing(Failure.RATE_LIMIT, 429, retry_after=1.0)]}, A)
    assert walk.times == pytest.approx([0, 1, 2])
    assert walk.error.status == 429


# Health


async def test_a_resting_model_is_passed_over(walk: Walked) -> None:
    walk.health.failed(A.model, None, Failure.MODEL_GONE)
    await walk({"b": ["fine"]}, A, B)
    assert walk.asked == ["b"]
    assert walk.trail.skipped == {"a": "cooling down"}


async def test_a_model_without_a_key_that_is_awake_is_passed_over(walk: Walked) -> None:
    walk.health.failed(A.model, KEY_ONE, Failure.QUOTA)
    await walk({"b": ["fine"]}, A, B)
    assert walk.trail.skipped == {"a": "all its keys are resting"}


async def test_failed_walks_open_the_circuit_and_a_good_one_closes_it(walk: Walked) -> None:
    for _ in range(CONSECUTIVE):
        await walk({"a": [failing(Failure.SILENT, 504)], "b": ["fine"]}, A, B)
    await walk({"b": ["fine"]}, A, B)
    assert walk.asked == ["b"]
    walk.clock.advance(FIRST_REST)
    await walk({"a": ["fine again"]}, A, B)
    assert walk.result == "fine again"
    assert walk.health.rests_for(A.model, A.provider) == 0


async def test_what_the_caller_caused_counts_for_nobody(walk: Walked) -> None:
    for _ in range(20):
        await walk({"a": [failing(Failure.SILENT, 504, by_caller=True)]}, A)
    assert walk.health.rests_for(A.model, A.provider) == 0
    assert len(walk.log) == 1, "and is not retried"


@pytest.mark.parametrize("leaving", [asyncio.CancelledError(), RuntimeError("a bug of ours")])
async def test_a_probe_that_is_given_up_frees_its_place(walk: Walked, leaving: BaseException) -> None:
    for _ in range(CONSECUTIVE):
        walk.health.failed(A.model, None, Failure.TRANSIENT)
    walk.clock.advance(FIRST_REST)
    attempt, _ = scripted({"a": [leaving]})
    with pytest.raises(type(leaving)):
        await Chain(walk.health, walk.clock).walk([A], attempt, Trail(), FAR)
    assert walk.health.admits(A.model)


async def test_a_client_that_leaves_during_a_pause_is_not_waited_for(walk: Walked) -> None:
    attempt, log = scripted({"a": [failing(Failure.TRANSIENT)]})
    task = asyncio.create_task(Chain(walk.health, walk.clock).walk([A], attempt, Trail(), FAR))
    await walk.clock.until_asleep()
    task.cancel()
    await settle()
    assert task.cancelled()
    await walk.clock.run(60)
    assert len(log) == 1


# What the caller's own limits forbid


async def test_a_model_that_the_budget_does_not_cover_is_passed_over(walk: Walked) -> None:
    await walk({"a": [BudgetExceeded("too dear")], "b": ["fine"]}, A, B)
    assert walk.result == "fine"
    assert walk.trail.skipped == {"a": "too dear"}


@pytest.mark.parametrize("objection", [BudgetExceeded("too dear"), InvalidRequest("no audio here", param="audio")])
async def test_when_no_model_is_left_the_objection_is_told(walk: Walked, objection: ChittyError) -> None:
    await walk({"a": [objection], "b": [objection]}, A, B)
    assert walk.error is objection


async def test_a_failure_counts_more_than_an_objection(walk: Walked) -> None:
    await walk({"a": [failing(Failure.SILENT, 504)], "b": [BudgetExceeded("too dear")]}, A, B)
    assert isinstance(walk.error, UpstreamTimeout)


async def test_of_several_objections_the_one_that_time_cures_first_is_told(walk: Walked) -> None:
    soon, late = RateLimited("full", retry_after=2), RateLimited("full", retry_after=40)
    await walk({"a": [late], "b": [soon], "c": [InvalidRequest("no audio here")]}, A, B, C)
    assert walk.error is soon


@pytest.mark.parametrize("failure", [Failure.RATE_LIMIT, Failure.QUOTA, Failure.CONTEXT, Failure.MODEL_GONE])
async def test_a_model_without_room_is_worth_waiting_for_where_the_others_cannot(
    walk: Walked, failure: Failure
) -> None:
    full = RateLimited("full", retry_after=2)
    await walk({"a": [full], "b": [failing(failure, 400)] * 9}, A, B)
    assert walk.error is full


async def test_a_model_without_room_does_not_rest_and_no_other_key_is_tried(walk: Walked) -> None:
    await walk({"two": [RateLimited("full", retry_after=2)], "b": ["fine"]}, TWO_KEYS, B)
    assert (walk.result, walk.asked) == ("fine", ["two", "b"])
    assert walk.health.rests_for(TWO_KEYS.model, TWO_KEYS.provider) == 0


async def test_no_attempt_begins_after_the_deadline(walk: Walked, clock: FakeClock) -> None:
    async def slow(asked: Candidate, key: Any, alone: bool) -> Any:
        clock.advance(31)
        raise failing(Failure.SILENT, 504)

    with pytest.raises(UpstreamTimeout):
        await Chain(walk.health, clock).walk([A, B], slow, walk.trail, 30.0)
    assert walk.trail.skipped == {"b": "no time left"}


# Whether anybody else could serve


async def test_the_last_model_with_its_last_key_is_alone(walk: Walked) -> None:
    await walk({"a": [failing(Failure.SILENT)], "two": [failing(Failure.QUOTA)]}, A, TWO_KEYS)
    assert walk.log == [("a", "env:ONE", False), ("two", "env:ONE", False), ("two", "env:TWO", True)]


async def test_a_model_is_alone_when_the_others_rest(walk: Walked) -> None:
    walk.health.failed(B.model, KEY_ONE, Failure.CREDENTIAL)
    await walk({"a": ["fine"]}, A, B)
    assert walk.log == [("a", "env:ONE", True)]


# Exhaustion, in the order of its rules

REFUSED = failing(Failure.CREDENTIAL, 401, "Incorrect API key provided: sk-one-secret")
LIMITED = failing(Failure.RATE_LIMIT, 429, retry_after=700.0)
TIMED_OUT = failing(Failure.SILENT, 504)
BROKEN = failing(Failure.TRANSIENT, 500)
NO_MONEY = failing(Failure.QUOTA, 402)


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([REFUSED], CredentialsExhausted),
        ([REFUSED, REFUSED], CredentialsExhausted),
        ([LIMITED, LIMITED], AllRateLimited),
        ([TIMED_OUT], UpstreamTimeout),
        ([BROKEN, TIMED_OUT], UpstreamTimeout),
        ([REFUSED, TIMED_OUT], UpstreamTimeout),
        ([TIMED_OUT, BROKEN], AllFailed),
        ([LIMITED, BROKEN], AllFailed),
        ([LIMITED, REFUSED], AllFailed),
        ([REFUSED, NO_MONEY], AllFailed),
        ([BROKEN, REFUSED], AllFailed),
        ([BROKEN, LIMITED], AllFailed),
    ],
)
async def test_exhaustion(walk: Walked, answers: Sequence[AttemptFailed], error: type[ChittyError]) -> None:
    names = "ab"[: len(answers)]
    await walk({name: [answer] for name, answer in zip(names, answers, strict=True)}, *[A, B][: len(answers)])
    assert type(walk.error) is error


@pytest.mark.parametrize(
    ("failed", "status"), [(BROKEN, 500), (LIMITED, 429), (NO_MONEY, 402), (failing(Failure.MODEL_GONE, 404), 404)]
)
async def test_one_candidate_has_its_own_status(walk: Walked, failed: AttemptFailed, status: int) -> None:
    await walk({"a": [failed]}, A)
    assert isinstance(walk.error, UpstreamRefused)
    assert walk.error.status == status


@pytest.mark.parametrize("failure", list(Failure))
async def test_an_upstreams_401_never_reaches_the_client(walk: Walked, failure: Failure) -> None:
    await walk({"a": [failing(failure, 401)]}, A)
    assert getattr(walk.error, "status", 502) != 401


async def test_all_rate_limited_says_the_smallest_wait(walk: Walked) -> None:
    later = failing(Failure.RATE_LIMIT, 429, retry_after=900.0)
    await walk({"a": [later], "b": [LIMITED]}, A, B)
    assert walk.error.retry_after == 700.0


async def test_all_cooling_says_when_the_first_returns(walk: Walked) -> None:
    walk.health.failed(A.model, KEY_ONE, Failure.QUOTA)
    for _ in range(CONSECUTIVE):
        walk.health.failed(B.model, None, Failure.TRANSIENT)
    await walk({}, A, B)
    assert isinstance(walk.error, AllCooling)
    assert walk.error.retry_after == FIRST_REST
    assert walk.asked == []


async def test_keys_that_all_were_refused_before_are_still_a_matter_of_credentials(walk: Walked) -> None:
    for each in (A, B):
        walk.health.failed(each.model, KEY_ONE, Failure.CREDENTIAL)
    await walk({}, A, B)
    assert isinstance(walk.error, CredentialsExhausted)


async def test_a_refused_key_beside_a_model_that_rests_for_another_reason_is_not_credentials_everywhere(
    walk: Walked,
) -> None:
    walk.health.failed(B.model, None, Failure.MODEL_GONE)
    await walk({"a": [REFUSED]}, A, B)
    assert type(walk.error) is AllFailed


async def test_the_error_lists_the_attempts_and_nothing_of_the_upstreams_words(walk: Walked) -> None:
    talkative = failing(Failure.TRANSIENT, 500, "our database at 10.0.0.7 is down")
    await walk({"a": [talkative], "b": [TIMED_OUT]}, A, B)
    attempts = [(each["model"], each["class"], each["status"]) for each in walk.error.attempts]
    assert attempts == [("a", "transient", 500), ("a", "transient", 500), ("b", "silent", 504)]
    assert "10.0.0.7" not in f"{walk.error.message} {walk.error.fix} {walk.error.attempts}"


async def test_words_that_help_the_caller_are_told_without_keys(walk: Walked) -> None:
    odd = AttemptFailed(Failure.CALLER_FAULT, Failed(400, None, None, "no such field, dear sk-proj-abcdefghijkl"))
    await walk({"a": [odd]}, A)
    assert walk.error.message == "no such field, dear [redacted]"


async def test_attempts_and_models_are_counted_for_the_headers(walk: Walked) -> None:
    await walk({"a": [BROKEN], "two": [NO_MONEY], "c": ["fine"]}, A, TWO_KEYS, C)
    assert walk.trail.started == 5
    assert [each.model.name for each in walk.trail.asked] == ["a", "two", "c"]


@pytest.mark.parametrize("objection", [BudgetExceeded("too dear"), InvalidRequest("no audio here", param="audio")])
async def test_a_model_that_was_refused_before_it_was_asked_counts_for_nothing(
    walk: Walked, objection: ChittyError
) -> None:
    await walk({"a": [objection], "b": ["fine"]}, A, B)
    assert walk.trail.started == 1
    assert [each.model.name for each in walk.trail.asked] == ["b"]


async def test_a_model_that_was_refused_after_a_try_was_asked_once(walk: Walked) -> None:
    await walk({"two": [failing(Failure.CREDENTIAL, 401), RateLimited("full")], "c": ["fine"]}, TWO_KEYS, C)
    assert walk.trail.started == 2
    assert [each.model.name for each in walk.trail.asked] == ["two", "c"]
