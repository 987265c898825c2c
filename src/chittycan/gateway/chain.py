"""Walks the chain of a decision as the failure table says, until one model answers or none is left.

The walk is the same for whole answers, streams and recoveries: what one attempt does is given to it.
"""

import math
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from msgspec import Struct, field

from chittycan.catalogue import Secret
from chittycan.chat import Usage
from chittycan.clock import Clock
from chittycan.errors import (
    AllCooling,
    AllFailed,
    AllRateLimited,
    ChittyError,
    CredentialsExhausted,
    InvalidRequest,
    LimitError,
    RateLimited,
    UpstreamRefused,
    UpstreamTimeout,
)
from chittycan.gateway.attempt import AttemptFailed
from chittycan.gateway.health import Health
from chittycan.gateway.redact import redact
from chittycan.routing.decide import Candidate
from chittycan.routing.failure import RATE_LIMIT_SECONDS, TABLE, Failure, Next, backoff

T = TypeVar("T")
# (candidate, key, alone) -> result; raises AttemptFailed
Attempt = Callable[[Candidate, Secret | None, bool], Awaitable[T]]

RATE_LIMIT_WAITS = 2  # how often a lone model's Retry-After is waited for
PASSING = frozenset({Failure.TRANSIENT, Failure.SILENT, Failure.TRUNCATED})
# The upstream's own words help the caller only where the caller can act on them.
TELLING = frozenset({Failure.CALLER_FAULT, Failure.CONTEXT, Failure.CONTENT, Failure.MODEL_GONE})


class Tried(Struct):
    """One attempt that failed. `usage` and `cost_nano` are of the part of its answer that was used, if any."""

    candidate: Candidate
    error: AttemptFailed
    ms: float
    usage: Usage | None = None
    cost_nano: int | None = 0

    @property
    def model(self) -> str:
        return self.candidate.model.name

    @property
    def failure(self) -> Failure:
        return self.error.failure

    @property
    def status(self) -> int:
        return self.error.failed.status

    def public(self) -> dict[str, object]:
        return {"model": self.model, "class": str(self.failure), "status": self.status, "ms": round(self.ms, 1)}


class Trail(Struct):
    """What was tried for one request, over all its walks."""

    tried: list[Tried] = field(default_factory=list)
    started: int = 0  # attempts begun, the successful one included
    began: float = 0.0  # monotonic seconds: when the last attempt began
    first_token_ms: float | None = None  # from the call's beginning to its first content
    models: list[str] = field(default_factory=list)  # distinct, in order
    skipped: dict[str, str] = field(default_factory=dict)  # model → why it was not asked
    longest_pause: float = math.inf  # seconds between two tries of one model

    def public(self) -> list[dict[str, object]]:
        """The failed attempts as an error body shows them, without upstream text."""
        return [tried.public() for tried in self.tried]


class Chain:
    """Policy of one walk over shared `Health`."""

    def __init__(self, health: Health, clock: Clock, jitter: Callable[[], float] = random.random) -> None:
        self._health, self._clock, self._jitter = health, clock, jitter

    async def walk(
        self,
        candidates: Sequence[Candidate],
        attempt: Attempt[T],
        trail: Trail,
        deadline: float,
    ) -> T:
        """The first success. Raises ProviderError as the exhaustion rules say, or the caller's own error.

        `deadline`: monotonic seconds after which no new attempt begins.
        """
        window = 0  # after "too long", only a model with a larger window than this is asked
        objection: ChittyError | None = None
        for place, candidate in enumerate(candidates):
            model = candidate.model
            if window and (model.context_window or 0) <= window:
                trail.skipped[model.name] = "its window is not larger"
                continue
            if trail.tried and self._clock.monotonic() >= deadline:
                trail.skipped[model.name] = "no time left"
                continue
            if not self._health.admits(model):
                trail.skipped[model.name] = "cooling down"
                continue
            alone = place + 1 == len(candidates) or not self._anyone_else(candidates[place + 1 :])
            try:
                result = await self._ask(candidate, attempt, alone, trail, deadline)
            except AttemptFailed as failed:
                match TABLE[failed.failure].next_model:
                    case Next.NO:
                        raise self._own_status(trail) from failed
                    case Next.LARGER:
                        window = max(window, model.context_window or 1)
                    case _:
                        pass
                continue
            except (InvalidRequest, LimitError) as error:
                self._health.probe_over(model)
                trail.skipped[model.name] = error.message
                objection = _sooner(objection, error)
                continue
            except BaseException:
                self._health.probe_over(model)
                raise
            if result is not None:
                return result
        if objection is not None and (not trail.tried or _worth_waiting(objection, trail)):
            raise objection
        raise self._exhausted(candidates, trail)

    def _anyone_else(self, rest: Sequence[Candidate]) -> bool:
        return any(self._health.rests_for(candidate.model, candidate.provider) == 0 for candidate in rest)

    async def _ask(
        self,
        candidate: Candidate,
        attempt: Attempt[T],
        alone: bool,
        trail: Trail,
        deadline: float,
    ) -> T | None:
        """One model, with its keys and retries. None where all its keys rest; raises the last AttemptFailed."""
        model = candidate.model
        keys = self._health.keys(model, candidate.provider)
        if not keys:
            trail.skipped[model.name] = "all its keys are resting"
            self._health.probe_over(model)
            return None
        trail.models.append(model.name)
        last: AttemptFailed | None = None
        for number, key in enumerate(keys):
            retry = waits = 0
            while True:
                trail.started += 1
                trail.began = self._clock.monotonic()
                try:
                    result = await attempt(candidate, key, alone and number == len(keys) - 1)
                except AttemptFailed as failed:
                    last = failed
                    trail.tried.append(Tried(candidate, failed, (self._clock.monotonic() - trail.began) * 1e3))
                    room = min(deadline - self._clock.monotonic(), trail.longest_pause)
                    pause = self._pause(failed, retry, waits, alone and number == len(keys) - 1, room)
                    if pause is not None:
                        retry, waits = retry + 1, waits + 1
                        await self._clock.sleep(pause)
                        continue
                    self._rest(candidate, key, failed)
                    break
                self._health.succeeded(model)
                return result
            if not TABLE[last.failure].rotate:
                break
        assert last is not None
        raise last

    def _rest(self, candidate: Candidate, key: Secret | None, failed: AttemptFailed) -> None:
        if failed.by_caller:
            self._health.probe_over(candidate.model)
        else:
            self._health.failed(candidate.model, key, failed.failure, failed.retry_after)

    def _pause(self, failed: AttemptFailed, retry: int, waits: int, alone: bool, room: float) -> float | None:
        """Seconds to wait, less than `room`, before the same model and key are asked again; None: they are not."""
        if failed.by_caller:
            return None
        treatment = TABLE[failed.failure]
        pause: float | None = None
        if failed.failure is Failure.RATE_LIMIT:
            if alone and waits < RATE_LIMIT_WAITS:
                pause = failed.retry_after or backoff(waits + 1, self._jitter())
        elif retry < (treatment.retries if alone else min(1, treatment.retries)):
            pause = backoff(retry, self._jitter())
            if failed.retry_after is not None:
                pause = max(pause, failed.retry_after) if alone else None
        return pause if pause is not None and pause < room else None

    # exhaustion

    @staticmethod
    def _own_status(trail: Trail) -> ChittyError:
        last = trail.tried[-1]
        failed, keys = last.error.failed, last.candidate.provider.keys
        message = redact(failed.message, keys) if last.failure in TELLING else ""
        return UpstreamRefused(
            message or f"The provider of '{last.model}' refused the call.",
            status=502 if failed.status == 401 else failed.status,  # a 401 would say that the caller's own key is bad
            kind=failed.kind and redact(failed.kind, keys),
            code=failed.code and redact(failed.code, keys),
            attempts=trail.public(),
            retry_after=last.error.retry_after,
        )

    def _exhausted(self, candidates: Sequence[Candidate], trail: Trail) -> ChittyError:
        """The rules of the design's section 6, in their order."""
        attempts = trail.public()
        classes = {tried.failure for tried in trail.tried}
        rests = [self._health.rests_for(candidate.model, candidate.provider) for candidate in candidates]
        names = ", ".join(dict.fromkeys(candidate.model.name for candidate in candidates))
        soonest = min((rest for rest in rests if rest), default=None)
        refused = {tried.model for tried in trail.tried if tried.failure is Failure.CREDENTIAL}
        if classes <= {Failure.CREDENTIAL} and all(
            rest is None or candidate.model.name in refused for candidate, rest in zip(candidates, rests, strict=True)
        ):
            return CredentialsExhausted(
                f"The provider refused every key there is for {names}.",
                attempts=attempts,
                fix="Correct the provider's API key; `can doctor` shows which one.",
            )
        if not trail.tried:
            return AllCooling(
                f"Every model that could answer is resting after failures: {names}.",
                attempts=attempts,
                retry_after=soonest or RATE_LIMIT_SECONDS,
            )
        last = trail.tried[-1]
        alone = len(candidates) == 1 and last.failure not in (Failure.CREDENTIAL, Failure.SILENT)
        if alone or classes == {Failure.CONTEXT}:  # "too long": clients that are told so shorten their request
            return self._own_status(trail)
        if classes == {Failure.RATE_LIMIT}:
            return AllRateLimited(
                f"Every model that could answer is rate-limited: {names}.",
                attempts=attempts,
                retry_after=min(tried.error.retry_after or RATE_LIMIT_SECONDS for tried in trail.tried),
            )
        if last.failure is Failure.SILENT:
            return UpstreamTimeout(f"No model answered in time: {names}.", attempts=attempts)
        return AllFailed(f"No model could answer: {names}.", attempts=attempts)


def _sooner(one: ChittyError | None, other: ChittyError) -> ChittyError:
    """Of two objections the one that time cures sooner, if any; else the later one."""
    return other if one is None else min(other, one, key=lambda error: getattr(error, "retry_after", None) or math.inf)


def _worth_waiting(objection: ChittyError, trail: Trail) -> bool:
    """A model had no room for this call, and no other failed in a way that time cures: room is what it waits for."""
    return isinstance(objection, RateLimited) and not any(tried.failure in PASSING for tried in trail.tried)
