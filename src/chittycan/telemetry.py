"""What operators see: structured logs and Prometheus metrics. Never a message body, never a credential.

Counting costs one dictionary look-up per request; the Prometheus library is only imported when it is asked.
"""

import json
import logging
import sys
import time
import traceback
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from msgspec import Struct, field

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
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.exposition import CONTENT_TYPE_LATEST

        registry = CollectorRegistry(auto_describe=False)
        registry.register(cast(Any, _Collector(self)))
        return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collector:
    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def collect(self) -> Iterable[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        labels = ["surface", "model", "status"]
        requests = CounterMetricFamily("chitty_requests", "Requests answered.", labels=labels)
        seconds = HistogramMetricFamily("chitty_request_seconds", "Duration of requests.", labels=labels)
        tokens = CounterMetricFamily("chitty_tokens", "Tokens, by direction.", labels=["model", "direction"])
        cost = CounterMetricFamily("chitty_cost_usd", "Known cost in US dollars.", labels=["model"])
        fallbacks = CounterMetricFamily("chitty_fallbacks", "Models passed over.", labels=["model"])
        hedged = CounterMetricFamily("chitty_hedged", "Models asked beside the quicker one.", labels=["model"])
        cached = CounterMetricFamily("chitty_cache_hits", "Answers from the cache.", labels=["model"])
        sums: dict[str, Series] = {}
        for (surface, model, status), series in list(self._telemetry.series.items()):
            values = [surface, model, str(status)]
            requests.add_metric(values, series.requests)
            running, buckets = 0, []
            for bound, count in zip([*map(str, BUCKETS), "+Inf"], series.buckets, strict=True):
                running += count
                buckets.append((bound, running))
            seconds.add_metric(values, buckets, series.seconds)
            total = sums.setdefault(model, Series())
            for name in ("input", "output", "cost_nano", "fallbacks", "hedged", "cached"):
                setattr(total, name, getattr(total, name) + getattr(series, name))
        for model, total in sums.items():
            tokens.add_metric([model, "input"], total.input)
            tokens.add_metric([model, "output"], total.output)
            cost.add_metric([model], total.cost_nano / 1e9)
            fallbacks.add_metric([model], total.fallbacks)
            hedged.add_metric([model], total.hedged)
            cached.add_metric([model], total.cached)
        yield from (requests, seconds, tokens, cost, fallbacks, hedged, cached)
        first = GaugeMetricFamily(
            "chitty_first_token_seconds", "To the first token, on average now.", labels=["provider", "model"]
        )
        for (provider, upstream), average in self._telemetry.first_tokens().items():
            first.add_metric([provider, upstream], average)
        yield first
        work = GaugeMetricFamily("chitty_tasks", "Tasks that have not ended.", labels=["status"])
        for state, tasks in self._telemetry.work.items():
            work.add_metric([state], tasks)
        yield work
        silent = GaugeMetricFamily("chitty_mail_silent_seconds", "Since mail was last looked for.", labels=["source"])
        stale = GaugeMetricFamily("chitty_mail_stale", "1 where that is too long.", labels=["source"])
        for source, (seconds_silent, too_long) in self._telemetry.mail.items():
            silent.add_metric([source], seconds_silent)
            stale.add_metric([source], float(too_long))
        yield from (silent, stale)
        spent = GaugeMetricFamily("chitty_budget_spent", "Share of a budget.", labels=["budget", "period"])
        for (budget, period), share in self._telemetry.budgets.items():
            spent.add_metric([budget, period], share)
        yield spent
        for name, read in self._telemetry.gauges.items():
            yield GaugeMetricFamily(name, name.replace("_", " "), value=read())
