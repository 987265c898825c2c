"""What operators see: structured logs and Prometheus metrics. Never a message body, never a credential.

Counting costs one dictionary look-up per request.
"""

import json
import logging
import sys
import time
import traceback
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct, field

from chittycan.exposition import CONTENT_TYPE, Family, counter, gauge, histogram, text
from chittycan.gateway.call import Call, Trace

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)  # seconds
LOGGER = "chittycan"
LARGEST_SERIES = 5_000  # callers may make up names of models; what goes beyond is counted under OTHER
OTHER = "(other)"


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, event, and the fields given as `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        return json.dumps(line, default=str, ensure_ascii=False)


def setup_logging(level: str = "warning") -> None:
    """Logs of this package to standard error; `info` adds a line per request."""
    logger = logging.getLogger(LOGGER)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


class Series(Struct):
    """Counts of one (surface, model, status)."""

    requests: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    input: int = 0
    output: int = 0
    cost_nano: int = 0
    fallbacks: int = 0
    hedged: int = 0
    cached: int = 0


BY_MODEL: tuple[tuple[str, str, Callable[[Series], float]], ...] = (
    ("chitty_cost_usd", "Known cost in US dollars.", lambda series: series.cost_nano / 1e9),
    ("chitty_fallbacks", "Models passed over.", lambda series: series.fallbacks),
    ("chitty_hedged", "Models asked beside the quicker one.", lambda series: series.hedged),
    ("chitty_cache_hits", "Answers from the cache.", lambda series: series.cached),
)


class Telemetry:
    """Counts and logs of one process. `gauges` are asked when the metrics are read."""

    def __init__(self) -> None:
        self.series: dict[tuple[str, str, int], Series] = {}
        self.gauges: dict[str, Callable[[], float]] = {}
        self.first_tokens: Callable[[], Mapping[tuple[str, str], float]] = dict  # seconds, by provider and its own name
        self.work: Mapping[str, float] = {}  # open tasks by status
        self.mail: Mapping[str, tuple[float, bool]] = {}  # by source: seconds without a look that went well; too long?
        self.budgets: Mapping[tuple[str, str], float] = {}  # by whose and the period: the share that is spent
        self._log = logging.getLogger(LOGGER)
        self._verbose = self._log.isEnabledFor(logging.INFO)

    def request(self, call: Call, trace: Trace | None, status: int, seconds: float) -> None:
        """One request is over."""
        model = trace.model if trace is not None else ""
        place = (call.surface or "", model, status)
        series = self.series.get(place)
        if series is None:
            series = self._new_series(place)
        series.requests += 1
        series.seconds += seconds
        series.buckets[bisect_left(BUCKETS, seconds)] += 1
        if trace is not None:
            usage = trace.usage
            if usage is not None:
                series.input += usage.input
                series.output += usage.output
            if trace.cost_nano:
                series.cost_nano += trace.cost_nano
            if trace.fallbacks or trace.hedged or trace.cached:
                series.fallbacks += trace.fallbacks
                series.hedged += trace.hedged
                series.cached += trace.cached
        if self._verbose or status >= 500:
            self._line(call, trace, status, seconds)

    def _new_series(self, place: tuple[str, str, int]) -> Series:
        if len(self.series) >= LARGEST_SERIES:
            place = (place[0], OTHER, place[2])
        return self.series.setdefault(place, Series())

    def _line(self, call: Call, trace: Trace | None, status: int, seconds: float) -> None:
        fields: dict[str, Any] = {
            "request_id": call.request_id,
            "surface": call.surface,
            "asked": call.model[:100],
            "status": status,
            "ms": round(seconds * 1e3, 1),
            "key": call.key.id if call.key is not None else None,
        }
        if trace is not None:
            fields |= {
                "model": trace.model,
                "provider": trace.provider,
                "route": trace.route,
                "attempts": trace.attempts,
            }
        level = logging.WARNING if status >= 500 else logging.INFO
        self._log.log(level, "request", extra={"fields": fields})

    def bug(self, error: BaseException, request_id: str) -> None:
        """Something of ours broke: where, but not with what."""
        frames = traceback.extract_tb(error.__traceback__)[-6:]
        where = [f"{frame.filename.rpartition('chittycan/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
        fields = {"request_id": request_id, "error": type(error).__name__, "where": where}
        self._log.error("bug", extra={"fields": fields})

    def warn(self, event: str, **fields: Any) -> None:
        self._log.warning(event, extra={"fields": fields})

    def exposition(self) -> tuple[bytes, str]:
        """The metrics in Prometheus' text format, and its content type."""
        return text([*self._counted(), *self._now()]), CONTENT_TYPE

    def _counted(self) -> Iterable[Family]:
        """What was counted since the start."""
        placed = [
            ({"surface": surface, "model": model, "status": str(status)}, series)
            for (surface, model, status), series in list(self.series.items())
        ]
        sums: dict[str, Series] = {}
        for labels, series in placed:
            total = sums.setdefault(labels["model"], Series())
            for name in ("input", "output", "cost_nano", "fallbacks", "hedged", "cached"):
                setattr(total, name, getattr(total, name) + getattr(series, name))
        models = [({"model": model}, total) for model, total in sums.items()]
        tokens = [
            (labels | {"direction": direction}, float(getattr(total, direction)))
            for labels, total in models
            for direction in ("input", "output")
        ]
        yield counter("chitty_requests", "Requests answered.", ((at, each.requests) for at, each in placed))
        seconds = ((at, each.buckets, each.seconds) for at, each in placed)
        yield histogram("chitty_request_seconds", "Duration of requests.", BUCKETS, seconds)
        yield counter("chitty_tokens", "Tokens, by direction.", tokens)
        for name, what, read in BY_MODEL:
            yield counter(name, what, ((labels, read(total)) for labels, total in models))

    def _now(self) -> Iterable[Family]:
        """What is so at this moment."""
        first = (({"provider": by, "model": name}, average) for (by, name), average in self.first_tokens().items())
        yield gauge("chitty_first_token_seconds", "To the first token, on average now.", first)
        work = (({"status": state}, tasks) for state, tasks in self.work.items())
        yield gauge("chitty_tasks", "Tasks that have not ended.", work)
        mail = [({"source": source}, since, float(stale)) for source, (since, stale) in self.mail.items()]
        silent = ((labels, seconds) for labels, seconds, _ in mail)
        yield gauge("chitty_mail_silent_seconds", "Since mail was last looked for.", silent)
        yield gauge("chitty_mail_stale", "1 where that is too long.", ((labels, stale) for labels, _, stale in mail))
        spent = (({"budget": whose, "period": period}, share) for (whose, period), share in self.budgets.items())
        yield gauge("chitty_budget_spent", "Share of a budget.", spent)
        for name, read in self.gauges.items():
            yield gauge(name, name.replace("_", " "), [({}, read())])
