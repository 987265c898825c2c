"""Metrics that add up, and logs that hold neither words of a conversation nor credentials."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chittycan import telemetry as module
from chittycan.auth.keys import Key
from chittycan.chat import Usage
from chittycan.gateway.call import Trace
from chittycan.telemetry import Telemetry, setup_logging
from gateway_parts import call

SERVED = Trace(
    request_id="req_1", model="gpt-4", provider="openai", route="named", attempts=2, fallbacks=1,
    cost_nano=1_500_000_000, usage=Usage(input=100, output=20),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    logger = logging.getLogger(module.LOGGER)
    before = (logger.handlers, logger.level, logger.propagate)
    yield
    logger.handlers, logger.level, logger.propagate = before


def samples(telemetry: Telemetry) -> list[Any]:
    """What a scraper reads."""
    text, kind = telemetry.exposition()
    assert kind.startswith("text/plain")
    return [sample for family in text_string_to_metric_families(text.decode()) for sample in family.samples]


def value(telemetry: Telemetry, name: str, **labels: str) -> float:
    (found,) = (each.value for each in samples(telemetry) if (each.name, each.labels) == (f"chitty_{name}", labels))
    return float(found)


# Metrics


def test_requests_are_counted_by_surface_model_and_status() -> None:
    telemetry = Telemetry()
    telemetry.request(call(), SERVED, 200, 0.3)
    telemetry.request(call(), SERVED, 200, 0.3)
    telemetry.request(call("anthropic"), SERVED, 200, 0.3)
    telemetry.request(call(), None, 404, 0.001)
    assert value(telemetry, "requests_total", surface="openai", model="gpt-4", status="200") == 2
    assert value(telemetry, "requests_total", surface="anthropic", model="gpt-4", status="200") == 1
    assert value(telemetry, "requests_total", surface="openai", model="", status="404") == 1


def test_tokens_money_and_fallbacks_are_summed_by_model() -> None:
    telemetry = Telemetry()
    for surface in ("openai", "anthropic"):
        telemetry.request(call(surface), SERVED, 200, 0.3)
    assert value(telemetry, "tokens_total", model="gpt-4", direction="input") == 200
    assert value(telemetry, "tokens_total", model="gpt-4", direction="output") == 40
    assert value(telemetry, "cost_usd_total", model="gpt-4") == 3.0
    assert value(telemetry, "fallbacks_total", model="gpt-4") == 2
    assert value(telemetry, "cache_hits_total", model="gpt-4") == 0


def test_an_unknown_cost_adds_nothing_and_a_cached_answer_is_a_hit() -> None:
    telemetry = Telemetry()
    telemetry.request(call(), Trace(request_id="r", model="local", cached=True, usage=Usage()), 200, 0.001)
    assert value(telemetry, "cost_usd_total", model="local") == 0
    assert value(telemetry, "cache_hits_total", model="local") == 1


@pytest.mark.parametrize(("bound", "count"), [("0.05", 1), ("0.25", 1), ("0.5", 3), ("120.0", 3), ("+Inf", 4)])
def test_durations_fall_into_cumulative_buckets(bound: str, count: int) -> None:
    telemetry = Telemetry()
    for seconds in (0.05, 0.3, 0.3, 500.0):
        telemetry.request(call(), SERVED, 200, seconds)
    labels = {"surface": "openai", "model": "gpt-4", "status": "200"}
    assert value(telemetry, "request_seconds_bucket", le=bound, **labels) == count
    assert value(telemetry, "request_seconds_count", **labels) == 4
    assert value(telemetry, "request_seconds_sum", **labels) == pytest.approx(500.65)


def test_gauges_are_asked_when_they_are_read() -> None:
    telemetry = Telemetry()
    pending = 1.0
    telemetry.gauges["chitty_ledger_pending"] = lambda: pending
    assert value(telemetry, "ledger_pending") == 1.0
    pending = 7.0
    assert value(telemetry, "ledger_pending") == 7.0


def test_odd_names_do_not_break_the_format() -> None:
    telemetry = Telemetry()
    odd = 'a"b\\c\nd'
    telemetry.request(call(), Trace(request_id="r", model=odd), 200, 0.1)
    assert value(telemetry, "requests_total", surface="openai", model=odd, status="200") == 1


def test_made_up_model_names_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_SERIES", 10)
    telemetry = Telemetry()
    for number in range(50):
        telemetry.request(call(), Trace(request_id="r", model=f"openai/model-{number}"), 200, 0.1)
    assert len(telemetry.series) == 11
    assert value(telemetry, "requests_total", surface="openai", model="(other)", status="200") == 40


# Logs


def lines(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_request_is_one_line_of_json_without_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("info")
    key = Key(id="key_1", name="laptop", hint="abcd")
    asked = call(key=key, fields={"messages": [{"role": "user", "content": "my secret diary"}]})
    Telemetry().request(asked, SERVED, 200, 0.3125)
    (line,) = lines(capsys)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info", "event": "request", "request_id": "req_1", "surface": "openai", "asked": "m", "status": 200,
        "ms": 312.5, "key": "key_1", "model": "gpt-4", "provider": "openai", "route": "named", "attempts": 2,
    }  # fmt: skip


def test_usually_only_failures_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging()
    telemetry = Telemetry()
    telemetry.request(call(), SERVED, 200, 0.3)
    telemetry.request(call(), None, 404, 0.3)
    telemetry.request(call(), None, 502, 0.3)
    assert [(line["level"], line["status"]) for line in lines(capsys)] == [("warning", 502)]


def test_a_bug_says_where_and_not_with_what(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging()
    try:
        raise ValueError("my secret diary")
    except ValueError as error:
        Telemetry().bug(error, "req_1")
    (line,) = lines(capsys)
    assert (line["event"], line["error"], line["request_id"]) == ("bug", "ValueError", "req_1")
    assert "test_a_bug_says_where_and_not_with_what" in line["where"][-1]
    assert "diary" not in str(line)


def test_a_line_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("info")
    Telemetry().request(call(model='a\n{"event": "forged"}'), None, 404, 0.1)
    (line,) = lines(capsys)
    assert line["event"] == "request"


def test_a_very_long_name_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("info")
    Telemetry().request(call(model="x" * 10_000), None, 404, 0.1)
    assert len(lines(capsys)[0]["asked"]) == 100


def test_warnings_carry_their_fields(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging()
    Telemetry().warn("config_kept", error="config.json:3:1: not JSON")
    (line,) = lines(capsys)
    assert (line["event"], line["error"]) == ("config_kept", "config.json:3:1: not JSON")
