"""Walks the chain of a decision as the failure table says, until one model answers or none is left.

The walk is the same for whole answers, streams and recoveries: what one attempt does is given to it.
"""

import math
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

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
from chittycan.gateway.latency import Latency
from chittycan.gateway.redact import redact
from chittycan.routing.decide import Candidate
from chittycan.routing.failure import RATE_LIMIT_SECONDS, TABLE, Cool, Failure, Next, backoff

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


class Lost(Struct):
    """One attempt that another one overtook. `sent`: the provider had the request.

    `usage` None: nobody knows. When it is recorded, an estimate takes its place, and `cost_nano` is what that costs.
    """

    candidate: Candidate
    ms: float
    sent: bool
    usage: Usage | None = None
    cost_nano: int | None = 0


class Trail(Struct):
    """What was tried for one request, over all its walks."""

    tried: list[Tried] = field(default_factory=list)
    lost: tuple[Lost, ...] = ()
    started: int = 0  # attempts begun, the successful one included; not those that a limit or a dialect refused
    began: float = 0.0  # monotonic seconds: when the last attempt began; after a success, that one
    key: Secret | None = None  # of the attempt that succeeded
    first_token_ms: float | None = None  # from the call's beginning to its first content
    asked: list[Candidate] = field(default_factory=list)  # in order, without those that were overtaken
    skipped: dict[str, str] = field(default_factory=dict)  # model → why it was not asked
    longest_pause: float = math.inf  # seconds between two tries of one model

    @property
    def spent(self) -> tuple[int, int]:
        """Nano-dollars and tokens of the attempts that were overtaken, once they are recorded."""
        used = [lost.usage for lost in self.lost if lost.usage is not None]
        return sum(lost.cost_nano or 0 for lost in self.lost), sum(usage.input + usage.output for usage in used)

    @property
    def beside_nano(self) -> int:
        """Nano-dollars of what was used of broken-off answers, and of what was overtaken."""
        return sum(tried.cost_nano or 0 for tried in self.tried) + self.spent[0]

    def public(self) -> list[dict[str, object]]:
        """The failed attempts as an error body shows them, without upstream text."""
        return [tried.public() for tried in self.tried]


class NoKey(Exception):
    """All keys of a model rest: it was not asked."""


PASSED_OVER = (AttemptFailed, InvalidRequest, LimitError, NoKey)


class Chain:
    """Policy of one walk over shared `Health` and `Latency`."""

    def __init__(
        self,
        health: Health,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
        latency: Latency | None = None,
    ) -> None:
        self.health, self.clock, self._jitter = health, clock, jitter
        self.latency = latency or Latency(clock)

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
        walk = Walk(self, candidates, attempt, trail, deadline)
        while (candidate := walk.next()) is not None:
            try:
                return await walk.ask(candidate)
            except PASSED_OVER as error:
                walk.failed(candidate, error)
        raise walk.exhausted()

    def anyone(self, candidates: Sequence[Candidate]) -> bool:
        """Whether one of them could be asked now."""
        return any(self.health.rests_for(candidate.model, candidate.provider) == 0 for candidate in candidates)

    def rest(self, candidate: Candidate, key: Secret | None, failed: AttemptFailed) -> None:
        """What rests after this failure, and that it counts as slow."""
        if failed.by_caller:
            self.health.probe_over(candidate.model)
            return
        self.health.failed(candidate.model, key, failed.failure, failed.retry_after)
        if TABLE[failed.failure].cool is not Cool.NO:
            self.latency.failed(candidate.model.place)

    def pause(self, failed: AttemptFailed, retry: int, alone: bool, room: float) -> float | None:
        """Seconds to wait, less than `room`, before the same model and key are asked again; None: they are not."""
        if failed.by_caller:
            return None
        treatment = TABLE[failed.failure]
        pause: float | None = None
        if failed.failure is Failure.RATE_LIMIT:
            if alone and retry < RATE_LIMIT_WAITS:
                pause = failed.retry_after or backoff(retry + 1, self._jitter())
        elif retry < (treatment.retries if alone else min(1, treatment.retries)):
            pause = backoff(retry, self._jitter())
            if failed.retry_after is not None:
                pause = max(pause, failed.retry_after) if alone else None
        return pause if pause is not None and pause < room else None


class Walk(Struct, Generic[T], eq=False):
    """Who is asked next in one walk, and what the failures so far mean for that."""

    _chain: Chain
    _candidates: Sequence[Candidate]
    _attempt: Attempt[T]
    trail: Trail
    _deadline: float
    _place: int = 0  # of the next candidate
    _window: int = 0  # after "too long", only a model with a larger window than this is asked
    _objection: ChittyError | None = None

    def next(self) -> Candidate | None:
        """The next model that may be asked now; why others may not is noted."""
        while self._place < len(self._candidates):
            candidate = self._candidates[self._place]
            self._place += 1
            if self._window and (candidate.model.context_window or 0) <= self._window:
                against = "its window is not larger"
            elif self.trail.tried and self._chain.clock.monotonic() >= self._deadline:
                against = "no time left"
            elif self._chain.health.admits(candidate.model):
                return candidate
            else:
                against = "cooling down"
            self.trail.skipped[candidate.model.name] = against
        return None

    async def ask(self, candidate: Candidate) -> T:
        """Its answer, with its keys and retries. Raises one of `PASSED_OVER`, which `failed` has to be told."""
        chain, trail = self._chain, self.trail
        rest = self._candidates[self._place :]
        alone = not rest or not chain.anyone(rest)
        try:
            keys = chain.health.keys(candidate.model, candidate.provider)
            if not keys:
                raise NoKey
            trail.asked.append(candidate)
            last: AttemptFailed | None = None
            for number, key in enumerate(keys):
                only = alone and number == len(keys) - 1
                retry = 0
                while True:
                    trail.started += 1
                    trail.began = began = chain.clock.monotonic()
                    try:
                        result = await self._attempt(candidate, key, only)
                    except (InvalidRequest, LimitError):  # nobody was asked
                        trail.started -= 1
                        if last is None:
                            trail.asked.remove(candidate)
                        raise
                    except AttemptFailed as failed:
                        last = failed
                        trail.tried.append(Tried(candidate, failed, (chain.clock.monotonic() - began) * 1e3))
                        room = min(self._deadline - chain.clock.monotonic(), trail.longest_pause)
                        pause = chain.pause(failed, retry, only, room)
                        if pause is None:
                            chain.rest(candidate, key, failed)
                            break
                        retry += 1
                        await chain.clock.sleep(pause)
                        continue
                    chain.health.succeeded(candidate.model)
                    trail.began, trail.key = began, key
                    return result
                if not TABLE[last.failure].rotate:
                    break
            assert last is not None
            raise last
        except AttemptFailed:
            raise
        except BaseException:
            chain.health.probe_over(candidate.model)
            raise

    def failed(self, candidate: Candidate, error: Exception) -> None:
        """Takes notice. Raises the caller's own error where nobody else may be asked."""
        if isinstance(error, AttemptFailed):
            treatment = TABLE[error.failure].next_model
            if treatment is Next.NO:
                raise _own_status(error, self.trail) from error
            if treatment is Next.LARGER:
                self._window = max(self._window, candidate.model.context_window or 1)
        elif isinstance(error, InvalidRequest | LimitError):
            self.trail.skipped[candidate.model.name] = error.message
            self._objection = _sooner(self._objection, error)
        else:
            self.trail.skipped[candidate.model.name] = "all its keys are resting"

    def put_back(self, candidate: Candidate) -> None:
        """It was not asked after all, and is the next again."""
        place = self._place
        self._candidates = (*self._candidates[:place], candidate, *self._candidates[place:])

    def exhausted(self) -> ChittyError:
        """What to say where nobody is left."""
        objection, trail = self._objection, self.trail
        if objection is not None and (not trail.tried or _worth_waiting(objection, trail)):
            return objection
        return _exhausted(self._candidates, trail, self._chain.health)


# exhaustion


def _own_status(error: AttemptFailed, trail: Trail) -> ChittyError:
    last = next(tried for tried in reversed(trail.tried) if tried.error is error)
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


def _exhausted(candidates: Sequence[Candidate], trail: Trail, health: Health) -> ChittyError:
    """The rules of the design's section 6, in their order."""
    attempts = trail.public()
    classes = {tried.failure for tried in trail.tried}
    rests = [health.rests_for(candidate.model, candidate.provider) for candidate in candidates]
    names = ", ".join(dict.fromkeys(candidate.model.name for candidate in candidates))
    soonest = min((rest for rest in rests if rest), default=None)
    refused = {tried.candidate.model.place for tried in trail.tried if tried.failure is Failure.CREDENTIAL}
    if classes <= {Failure.CREDENTIAL} and all(
        rest is None or candidate.model.place in refused for candidate, rest in zip(candidates, rests, strict=True)
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
        return _own_status(last.error, trail)
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
