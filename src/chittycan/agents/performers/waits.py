"""What an error means for a task: that it waits for its models, is tried again later, or has failed. Pure.

The design's asynchronous difference: a chain exhausted by what passes by itself is no failure of the work.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from chittycan.errors import (
    AccessError,
    AllCooling,
    AllFailed,
    AllRateLimited,
    BudgetExceeded,
    ChittyError,
    ConfigError,
    CredentialsExhausted,
    ProviderError,
    RateLimited,
    RequestError,
    Unavailable,
    UpstreamRefused,
    UpstreamTimeout,
)
from chittycan.routing.failure import RATE_LIMIT_SECONDS, Failure
from chittycan.store.database import AWAY
from chittycan.workstreams.task import Failed, Later, Outcome, WaitForModel

# What is said of a model that failed so. True: time alone may cure it, so the task waits.
CLASSES: Mapping[Failure, tuple[str, bool]] = {
    Failure.TRANSIENT: ("unreachable or failing", True),
    Failure.SILENT: ("does not answer in time", True),
    Failure.RATE_LIMIT: ("rate limited", True),
    Failure.QUOTA: ("its credit is used up", True),
    Failure.TRUNCATED: ("breaks its answers off", True),
    Failure.CREDENTIAL: ("refuses every key there is", False),
    Failure.CONTEXT: ("the request is too long for it", False),
    Failure.CONTENT: ("its content policy forbids the request", False),
    Failure.MODEL_GONE: ("its provider does not have it", False),
    Failure.CALLER_FAULT: ("refuses the request", False),
    Failure.CANCELLED: ("was cancelled", False),
}
RESTING = "resting after failures"

# What nobody else would answer either, whoever else is away.
HOPELESS = (Failure.CONTENT, Failure.CALLER_FAULT)

LONGEST_PAUSE = 5.0  # seconds that a Retry-After is waited for within a call; a longer one the task waits out in a row
AWAY_SECONDS = 5.0  # until another look where the database was away
QUORUM_MISSED = "ensemble_quorum_missed"

# No further try mends these.
FINAL = (RequestError, AccessError, ConfigError, BudgetExceeded, CredentialsExhausted, UpstreamRefused)

Chain = Mapping[str, str]  # model → its provider, in the order of trying


def outcome_of(error: ChittyError, chain: Chain, now: float, *, cost_nano: int | None = None) -> Outcome:
    """What a call that raised `error` means for its task. `chain` are the models that might have served it.

    `now` is Unix seconds, `cost_nano` what was spent nevertheless.
    """
    held = held_by(error, chain, now)
    if held is not None:
        return replace(held, cost_nano=cost_nano)
    return Failed(error=error, again=not isinstance(error, FINAL), cost_nano=cost_nano)


def held_by(error: ChittyError, chain: Chain, now: float) -> WaitForModel | Later | None:
    """What the task waits for, or None where it has failed."""
    match error:
        case RateLimited():
            until = now + (error.retry_after or RATE_LIMIT_SECONDS)
            return Later(reason=f"a limit of this network: {error.message}", until=until)
        case Unavailable() if error.code == AWAY:
            return Later(reason="the database was away", until=now + AWAY_SECONDS)
        case AllRateLimited() | AllCooling() | AllFailed() | UpstreamTimeout() | UpstreamRefused():
            return _waiting(error, chain, now) if _passes(error, chain) else None
    return None


def _passes(error: ProviderError, chain: Chain) -> bool:
    """Whether waiting may help: somebody fails in a way that passes, and nobody said that the request is at fault."""
    if isinstance(error, AllCooling):
        return True
    failures = [_failure(each) for each in error.attempts]
    if any(failure in HOPELESS for failure in failures):
        return False
    if any(CLASSES[failure][1] for failure in failures if failure is not None):
        return True
    # Who was not asked is resting; but after "too long" the smaller windows are passed over, and an ensemble's error
    # names only those that failed, not those whose answers could not be read.
    explained = isinstance(error, UpstreamRefused) or error.code == QUORUM_MISSED or Failure.CONTEXT in failures
    return not explained and bool(set(chain) - {each.get("model") for each in error.attempts})


def _waiting(error: ProviderError, chain: Chain, now: float) -> WaitForModel:
    until = None if error.retry_after is None else now + error.retry_after
    failures = {str(each.get("model")): _failure(each) for each in error.attempts}
    models = tuple(chain) or tuple(failures)
    said = []
    for model in models:
        failure = failures.get(model)
        why = RESTING if failure is None else CLASSES[failure][0]
        if failure is Failure.RATE_LIMIT and until is not None:
            why += f" until {datetime.fromtimestamp(until, UTC):%H:%M} UTC"
        said.append(f"{_label(model, chain)}: {why}")
    return WaitForModel(models=models, reason="; ".join(said) or error.message, until=until)


def _label(model: str, chain: Chain) -> str:
    provider = chain.get(model)
    return model if provider is None or model.startswith(f"{provider}/") else f"{provider}/{model}"


def _failure(attempt: Mapping[str, Any]) -> Failure | None:
    try:
        return Failure(str(attempt.get("class")))
    except ValueError:
        return None
