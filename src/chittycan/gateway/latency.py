"""How quick each model is, and how busy: what orders those that are as good as each other.

Averages are weighted by age, and a failure counts as a slow answer. All of it is what this process has seen itself;
other processes on the same database have their own figures.
"""

import math
import random
from collections import deque
from collections.abc import Callable, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from chittycan.clock import Clock
from chittycan.routing.decide import Candidate, Decision
from chittycan.routing.equals import Equals

Place = tuple[str, str]  # a provider, and its own name for the model
Load = Callable[[Candidate], tuple[float, float]]  # what the least busy is found by

TAU_SECONDS = 30.0  # after so long without news, news count for 63 %
LEAST_WEIGHT = 0.05  # what one answer among many counts for
SOON_SECONDS = -TAU_SECONDS * math.log(1.0 - LEAST_WEIGHT)  # after these it counts for more
FORGET_SECONDS = 600.0  # an average as old as this says nothing any more
FAILED_SECONDS = 14.0  # what a failure counts for: as long as a first token is waited for
FEW_TOKENS = 16  # shorter answers tell little about tokens: most of their time is the first one's
USUAL_TOKENS = 100  # of an answer
NEAR, NEAR_SECONDS = 1.2, 0.005  # within these of the quickest, the load decides
EXPLORE = 0.05  # of the calls begin with another than the best, which may have recovered
KEPT = 100  # answers that a percentile is taken from
ENOUGH = 20  # fewer say nothing about the slowest of them
PLACES = 4_096  # remembered: a caller may name any model of a provider


class Average(Struct):
    """Seconds, weighted by age. `at` is monotonic: when the last news came."""

    value: float = 0.0
    at: float = -math.inf

    def add(self, seconds: float, now: float) -> None:
        age = now - self.at
        weight = LEAST_WEIGHT if age < SOON_SECONDS else 1.0 - math.exp(-age / TAU_SECONDS)
        self.value += (seconds - self.value) * weight
        self.at = now

    def known(self, now: float) -> float | None:
        return self.value if now - self.at < FORGET_SECONDS else None


class Pace(Struct):
    """What one model at one place has shown. `open`: calls to it under way, counted where it has equals."""

    first: Average = field(default_factory=Average)  # to the first content of a stream
    token: Average = field(default_factory=Average)  # a whole answer's time by its tokens
    firsts: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))  # seconds, the latest last
    wholes: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    open: int = 0


class Latency:
    """State of one process. `chance` gives numbers from 0 to 1."""

    def __init__(self, clock: Clock, chance: Callable[[], float] = random.random) -> None:
        self._clock, self._chance = clock, chance
        self._paces: dict[Place, Pace] = {}

    def began(self, place: Place) -> Callable[[], None]:
        """A call to this place is open until what is returned is called."""
        pace = self._pace(place)
        pace.open += 1

        def ended() -> None:
            pace.open -= 1

        return ended

    def streamed(self, place: Place, seconds: float) -> None:
        """A stream's first content came after so long."""
        pace = self._paces.get(place) or self._pace(place)
        pace.first.add(seconds, self._clock.monotonic())
        pace.firsts.append(seconds)

    def answered(self, place: Place, seconds: float, tokens: int) -> None:
        """A whole answer of so many tokens came after so long."""
        pace = self._paces.get(place) or self._pace(place)
        pace.token.add(seconds / (tokens if tokens > FEW_TOKENS else FEW_TOKENS), self._clock.monotonic())
        pace.wholes.append(seconds)

    def failed(self, place: Place) -> None:
        """Nothing came, and that was the place's own fault."""
        pace, now = self._pace(place), self._clock.monotonic()
        pace.first.add(max(FAILED_SECONDS, pace.first.value), now)
        pace.token.add(max(FAILED_SECONDS / FEW_TOKENS, pace.token.value), now)

    def overtaken(self, place: Place, seconds: float, *, stream: bool) -> None:
        """Nothing had come after so long, when another was quicker. Counts where it is more than was expected."""
        pace, now = self._pace(place), self._clock.monotonic()
        if stream:
            pace.first.add(max(seconds, pace.first.known(now) or 0.0), now)
            pace.firsts.append(seconds)
        else:
            pace.token.add(max(seconds / USUAL_TOKENS, pace.token.known(now) or 0.0), now)
            pace.wholes.append(seconds)

    # what is asked

    def first_token(self, place: Place) -> float | None:
        """Seconds to the first content of a stream, on average; None where nothing is known."""
        pace = self._paces.get(place)
        return None if pace is None else pace.first.known(self._clock.monotonic())

    def per_token(self, place: Place) -> float | None:
        """Seconds for each token of a whole answer, on average; None where nothing is known."""
        pace = self._paces.get(place)
        return None if pace is None else pace.token.known(self._clock.monotonic())

    def open(self, place: Place) -> int:
        """Calls under way there, from this process; counted where a model has equals."""
        pace = self._paces.get(place)
        return 0 if pace is None else pace.open

    def slow(self, place: Place, *, stream: bool) -> float | None:
        """Seconds within which 95 of 100 of the latest answers (streams: first contents) came; None: too few."""
        pace = self._paces.get(place)
        seen = () if pace is None else pace.firsts if stream else pace.wholes
        return sorted(seen)[math.ceil(len(seen) * 0.95) - 1] if len(seen) >= ENOUGH else None

    def averages(self) -> dict[Place, float]:
        """Every place whose first-token time is known, in seconds."""
        now = self._clock.monotonic()
        known = ((place, pace.first.known(now)) for place, pace in self._paces.items())
        return {place: seconds for place, seconds in known if seconds is not None}

    def ordered(
        self, chain: Sequence[Candidate], equals: Sequence[Equals], *, stream: bool, explore: bool = True
    ) -> tuple[Candidate, ...]:
        """The chain with its equals in the order of this moment. `explore` False: leaving nothing to chance."""
        found = list(chain)
        load = self._load if explore else self._busy
        for each in equals:
            group = found[each.start : each.end]
            if each.balance == "least-busy":
                group.sort(key=load)
            else:
                group = self._quickest(group, stream, load)
                if explore and self._chance() < EXPLORE:
                    group.insert(0, group.pop(1 + int(self._chance() * (len(group) - 1))))
            found[each.start : each.end] = group
        return tuple(found)

    def explained(self, decision: Decision, *, stream: bool) -> Decision:
        """The decision with its equals as they stand now, and why they stand so."""
        if not decision.equals:
            return decision
        chain = self.ordered(decision.chain, decision.equals, stream=stream, explore=False)
        said: dict[str, str] = {}
        for each in decision.equals:
            for rank, candidate in enumerate(chain[each.start : each.end], 1):
                words = f"; {rank}. of {each.end - each.start} equals: {self._said(candidate, stream)}"
                said[candidate.model.name] = said["/".join(candidate.model.place)] = words
        reasons = [
            replace(each, why=each.why + said.get(each.place or each.model, "")) if each.kept else each
            for each in decision.reasons
        ]
        return replace(decision, chain=chain, reasons=tuple(reasons))

    def _said(self, candidate: Candidate, stream: bool) -> str:
        first, token = self.first_token(candidate.model.place), self.per_token(candidate.model.place)
        known = [f"first token in {first * 1e3:.0f} ms"] if first is not None and (stream or token is None) else []
        known += [f"{token * 1e3:.1f} ms per token"] if token is not None and not known else []
        return f"{known[0] if known else 'not measured yet'}, {self.open(candidate.model.place)} open"

    def _quickest(self, group: Sequence[Candidate], stream: bool, load: Load) -> list[Candidate]:
        """The quickest first; who is nearly as quick, or not known yet, goes by its load."""
        times = self._times(group, stream)
        best = min((time for time in times if time is not None), default=math.inf)
        reach = best * NEAR + NEAR_SECONDS
        near = [each for each, time in zip(group, times, strict=True) if time is None or time <= reach]
        far = [(time, place) for place, time in enumerate(times) if time is not None and time > reach]
        return sorted(near, key=load) + [group[place] for _, place in sorted(far)]

    def _times(self, group: Sequence[Candidate], stream: bool) -> list[float | None]:
        """Seconds that can be compared: of what is asked for, and where nobody has shown that, of the other kind."""
        firsts = [self.first_token(each.model.place) for each in group]
        tokens = (self.per_token(each.model.place) for each in group)
        wholes = [None if time is None else time * USUAL_TOKENS for time in tokens]
        wanted, other = (firsts, wholes) if stream else (wholes, firsts)
        return other if all(time is None for time in wanted) else wanted

    def _busy(self, candidate: Candidate) -> tuple[float, float]:
        """Calls open, by weight."""
        return self.open(candidate.model.place) / candidate.model.weight, 0.0

    def _load(self, candidate: Candidate) -> tuple[float, float]:
        """The same; among those with as many, chance by weight."""
        return self._busy(candidate)[0], -(self._chance() ** (1.0 / candidate.model.weight))

    def _pace(self, place: Place) -> Pace:
        pace = self._paces.get(place)
        if pace is None:
            if len(self._paces) >= PLACES:
                self._paces = {busy: kept for busy, kept in self._paces.items() if kept.open}
            pace = self._paces[place] = Pace()
        return pace
