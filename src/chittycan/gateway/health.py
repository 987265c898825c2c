"""What rests after a failure, and until when: circuits per model, cool-downs per key.

A circuit opens on consecutive failures, on a high failure rate, or for the time a provider named; when its
time is over, exactly one call probes (half-open) and the rest wait for what it finds. A cool-down is only ever
extended, never shortened. Nothing here knows about callers: what a caller caused is not reported to it.
"""

from collections import deque
from collections.abc import Sequence

from msgspec import Struct, field

from chittycan.catalogue import Model, Provider, Secret
from chittycan.clock import Clock
from chittycan.routing.failure import LONG_SECONDS, QUOTA_SECONDS, RATE_LIMIT_SECONDS, TABLE, Cool, Failure

CONSECUTIVE = 3  # failures in a row that open a circuit
WINDOW = 20  # outcomes that the failure rate looks at
RATE = 0.5
FIRST_REST, LONGEST_REST = 5.0, 30.0  # seconds; doubles while probes fail
PROBE_PATIENCE = 60.0  # seconds after which an unfinished probe no longer blocks the next


class Circuit(Struct):
    outcomes: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    consecutive: int = 0
    until: float = 0.0  # monotonic; 0 = closed
    rest: float = FIRST_REST
    probe_since: float | None = None
    why: Failure | None = None


class Health:
    """State of one process. Keys are told apart by their secret, so a changed key starts fresh."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._circuits: dict[tuple[str, str], Circuit] = {}
        self._keys: dict[tuple[str, str], float] = {}  # (provider, secret) → monotonic time
        self._key_models: dict[tuple[str, str, str], float] = {}
        self._turn: dict[str, int] = {}

    def admits(self, model: Model) -> bool:
        """May this model be asked now? A True on an open circuit takes its one probe."""
        circuit = self._circuits.get((model.provider, model.upstream))
        if circuit is None or circuit.until == 0.0:
            return True
        now = self._clock.monotonic()
        if now < circuit.until:
            return False
        if circuit.probe_since is not None and now - circuit.probe_since < PROBE_PATIENCE:
            return False
        circuit.probe_since = now
        return True

    def rests_for(self, model: Model, provider: Provider) -> float | None:
        """Seconds until the model may be asked again: 0 now, None not before its key changes."""
        circuit = self._circuits.get((model.provider, model.upstream))
        if circuit is None and not self._keys and not self._key_models:
            return 0.0
        now = self._clock.monotonic()
        rest = max(0.0, circuit.until - now) if circuit else 0.0
        if circuit and circuit.until and circuit.probe_since is not None and rest == 0.0:
            rest = 1.0  # a probe is under way
        if provider.keys:
            key_rest = min(self._key_until(model, key) for key in provider.keys) - now
            rest = max(rest, key_rest)
        return None if rest == float("inf") else rest

    def keys(self, model: Model, provider: Provider) -> Sequence[Secret | None]:
        """The keys worth trying, in turn so that the load is spread; [None] where the provider needs none."""
        if not provider.keys:
            return (None,)
        if len(provider.keys) == 1 and not self._keys and not self._key_models:
            return provider.keys
        now = self._clock.monotonic()
        fit = [key for key in provider.keys if self._key_until(model, key) <= now]
        if len(fit) > 1:
            turn = self._turn[provider.name] = self._turn.get(provider.name, -1) + 1
            start = turn % len(fit)
            fit = fit[start:] + fit[:start]
        return fit

    def succeeded(self, model: Model) -> None:
        circuit = self._circuits.get((model.provider, model.upstream))
        if circuit is not None:
            if circuit.until:
                circuit.outcomes.clear()  # what led to the rest is over
            circuit.outcomes.append(True)
            circuit.consecutive, circuit.until, circuit.rest = 0, 0.0, FIRST_REST
            circuit.probe_since, circuit.why = None, None

    def failed(self, model: Model, key: Secret | None, failure: Failure, retry_after: float | None = None) -> None:
        """Records an upstream's failure; what a caller caused itself must not be passed here."""
        now = self._clock.monotonic()
        match TABLE[failure].cool:
            case Cool.RATE:
                self._count(model, failure, now)
            case Cool.RETRY_AFTER:
                self._rest_key(model, key, now + (retry_after or RATE_LIMIT_SECONDS), failure)
            case Cool.MINUTES:
                self._rest_whole_key(model, key, now + QUOTA_SECONDS, failure)
            case Cool.KEY_CHANGES:
                self._rest_whole_key(model, key, float("inf"), failure)
            case Cool.LONG:
                self._open(model, now + LONG_SECONDS, failure)
            case Cool.NO:
                self.probe_over(model)

    def probe_over(self, model: Model) -> None:
        """A probe ended without telling anything about the model (caller's fault, cancelled)."""
        circuit = self._circuits.get((model.provider, model.upstream))
        if circuit is not None:
            circuit.probe_since = None

    def forget(self, model: Model) -> None:
        """Drops what was learnt about a model and its provider's keys: the owner wants to know how it is now."""
        self._circuits.pop((model.provider, model.upstream), None)
        self._keys = {place: until for place, until in self._keys.items() if place[0] != model.provider}
        self._key_models = {
            place: until for place, until in self._key_models.items() if place[::2] != (model.provider, model.upstream)
        }

    def snapshot(self) -> dict[str, dict[str, object]]:
        """What rests now, for people: `provider/upstream` → seconds left and why."""
        now = self._clock.monotonic()
        return {
            f"{provider}/{upstream}": {"seconds": round(max(0.0, circuit.until - now), 1), "why": str(circuit.why)}
            for (provider, upstream), circuit in self._circuits.items()
            if circuit.until
        }

    def _key_until(self, model: Model, key: Secret) -> float:
        whole = self._keys.get((model.provider, key.value), 0.0)
        return max(whole, self._key_models.get((model.provider, key.value, model.upstream), 0.0))

    def _count(self, model: Model, failure: Failure, now: float) -> None:
        circuit = self._circuit(model)
        if circuit.until > now:
            return  # of a call that began before the rest did: nothing new
        circuit.outcomes.append(False)
        circuit.consecutive += 1
        failed = circuit.outcomes.count(False)
        often = len(circuit.outcomes) >= CONSECUTIVE * 2 and failed / len(circuit.outcomes) > RATE
        if circuit.until or circuit.consecutive >= CONSECUTIVE or often:
            self._open(model, now + circuit.rest, failure)
            circuit.rest = min(LONGEST_REST, circuit.rest * 2)

    def _open(self, model: Model, until: float, failure: Failure) -> None:
        circuit = self._circuit(model)
        circuit.until, circuit.why, circuit.probe_since = max(circuit.until, until), failure, None

    def _circuit(self, model: Model) -> Circuit:
        return self._circuits.setdefault((model.provider, model.upstream), Circuit())

    def _rest_key(self, model: Model, key: Secret | None, until: float, failure: Failure) -> None:
        if key is None:
            self._open(model, until, failure)
            return
        place = (model.provider, key.value, model.upstream)
        self._key_models[place] = max(self._key_models.get(place, 0.0), until)
        self.probe_over(model)

    def _rest_whole_key(self, model: Model, key: Secret | None, until: float, failure: Failure) -> None:
        if key is None:
            self._open(model, min(until, self._clock.monotonic() + LONG_SECONDS), failure)
            return
        place = (model.provider, key.value)
        self._keys[place] = max(self._keys.get(place, 0.0), until)
        self.probe_over(model)
