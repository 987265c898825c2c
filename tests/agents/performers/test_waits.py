"""What errors mean for a task: the asynchronous difference of the failure table."""

from typing import Any

import pytest

from chittycan.agents.performers.waits import CLASSES, RESTING, held_by, outcome_of
from chittycan.errors import (
    AllCooling,
    AllFailed,
    AllRateLimited,
    BudgetExceeded,
    ChittyError,
    ConfigError,
    CredentialsExhausted,
    Forbidden,
    InvalidRequest,
    NoPrivateModel,
    RateLimited,
    StreamBroken,
    Unauthenticated,
    Unavailable,
    UnknownModel,
    UpstreamRefused,
    UpstreamTimeout,
)
from chittycan.routing.failure import TABLE, Failure
from chittycan.store.database import AWAY
from chittycan.workstreams.task import Failed, Later, WaitForModel

NOW = 1_800_000_000.0  # 08:00 UTC
CHAIN = {"gpt-4": "openai", "sonnet": "anthropic"}


def attempts(*classes: str) -> Any:
    tried = zip(CHAIN, classes, strict=False)  # as many of the chain as there are classes
    return [{"model": model, "class": name, "status": 500, "ms": 1.0} for model, name in tried]


def refused(name: str) -> UpstreamRefused:
    return UpstreamRefused("no", status=400, attempts=attempts(name))


WAITS: list[ChittyError] = [
    AllRateLimited("x", attempts=attempts("rate_limit", "rate_limit"), retry_after=20),
    AllCooling("x", retry_after=20),
    AllFailed("x", attempts=attempts("transient", "quota")),
    AllFailed("x", attempts=attempts("credential", "transient")),  # the one that is down comes back
    AllFailed("x", attempts=attempts("credential")),  # the other one rests
    AllFailed("x", attempts=attempts("context", "silent")),  # the larger one comes back
    UpstreamTimeout("x", attempts=attempts("transient", "silent")),
    *(refused(name) for name in ("transient", "silent", "rate_limit", "quota", "truncated")),
]


@pytest.mark.parametrize("error", WAITS, ids=lambda error: f"{error.code}-{len(error.attempts)}")
def test_what_passes_by_itself_is_waited_for(error: ChittyError) -> None:
    outcome = outcome_of(error, CHAIN, NOW, cost_nano=7)
    assert isinstance(outcome, WaitForModel)
    assert (outcome.models, outcome.cost_nano) == (("gpt-4", "sonnet"), 7)


FAILS: list[tuple[ChittyError, bool]] = [
    (CredentialsExhausted("x", attempts=attempts("credential", "credential")), False),
    (AllFailed("x", attempts=attempts("credential", "model_gone")), True),
    (AllFailed("x", attempts=attempts("transient", "content")), True),
    (AllFailed("x", attempts=[], code="ensemble_quorum_missed"), True),  # its answers could not be read
    *((refused(name), False) for name in ("caller_fault", "content", "context", "model_gone", "credential")),
    (StreamBroken("x"), True),
    (BudgetExceeded("x"), False),
    (NoPrivateModel("x"), False),
    (UnknownModel("x"), False),
    (InvalidRequest("x"), False),
    (Unauthenticated("x"), False),
    (Forbidden("x"), False),
    (ConfigError("x", file="models.json"), False),
    (Unavailable("no model is configured"), True),
    (ChittyError("x"), True),
]


@pytest.mark.parametrize(("error", "again"), FAILS, ids=lambda each: getattr(each, "code", None))
def test_all_else_is_a_failure_and_says_whether_another_try_makes_sense(error: ChittyError, again: bool) -> None:
    assert outcome_of(error, CHAIN, NOW, cost_nano=7) == Failed(error=error, again=again, cost_nano=7)


def test_a_limit_of_our_own_and_an_absent_database_only_take_time() -> None:
    limited = held_by(RateLimited("60 requests a minute", retry_after=12), CHAIN, NOW)
    assert isinstance(limited, Later)
    assert limited.until == NOW + 12
    assert isinstance(away := outcome_of(Unavailable("x", code=AWAY), {}, NOW, cost_nano=7), Later)
    assert (away.until or 0) > NOW
    assert away.cost_nano == 7  # what it asked before is spent nevertheless


def test_the_reason_says_of_each_model_what_is_wrong_with_it() -> None:
    error = AllFailed("x", attempts=attempts("rate_limit", "transient"), retry_after=300)
    outcome = outcome_of(error, {**CHAIN, "local/m": "local"}, NOW)
    assert isinstance(outcome, WaitForModel)
    assert outcome.reason == (
        f"openai/gpt-4: rate limited until 08:05 UTC; anthropic/sonnet: unreachable or failing; local/m: {RESTING}"
    )
    assert outcome.until == NOW + 300


def test_who_failed_has_no_part_in_how_the_chain_is_called() -> None:
    """Tasks that wait for one chain are woken together."""
    chains = {outcome_of(error, CHAIN, NOW).models for error in WAITS}  # type: ignore[union-attr]
    assert chains == {("gpt-4", "sonnet")}


def test_without_a_chain_those_that_were_asked_are_waited_for() -> None:
    outcome = outcome_of(AllFailed("x", attempts=attempts("silent", "transient")), {}, NOW)
    assert isinstance(outcome, WaitForModel)
    assert outcome.models == ("gpt-4", "sonnet")


def test_every_class_of_the_failure_table_is_known() -> None:
    assert set(CLASSES) == set(TABLE) == set(Failure)
