"""Edge cases of failing providers (numbers as in the list of edge cases that this gateway answers for)."""

import asyncio
import json
from typing import Any

import pytest

from bare_http import Json
from chittycan.clock import SystemClock
from chittycan.testing import ANSWER, FakeClock, Scenario
from chittycan.testing.upstream import ScriptedUpstream
from serving import PACE, SURFACES, UPSTREAM_KEY, Serve, Served, proxy

SPARE: Json = {"spare": {"proxy": "second", "upstream": "ok"}}
CHAIN = {"asked": ["spare"]}


async def chain(
    serve: Serve, up: ScriptedUpstream, upstream: str, dialect: str = "openai", *keys: str, **more: Any
) -> Served:
    """The model `asked`, which does what `upstream` says, and `spare`, which works."""
    return await serve(
        {"first": proxy(up.url, dialect, *keys), "second": proxy(up.url, "openai", "sk-second")},
        {"asked": {"proxy": "first", "upstream": upstream}, **SPARE},
        CHAIN,
        **more,
    )


async def alone(serve: Serve, up: ScriptedUpstream, dialect: str = "openai", *keys: str, **more: Any) -> Served:
    """One provider; its models are called `first/NAME`."""
    return await serve({"first": proxy(up.url, dialect, *keys)}, **more)


def gaps(up: ScriptedUpstream) -> list[float]:
    """Seconds between the requests, on the gateway's quick clock."""
    return [(later.at - earlier.at) * PACE for earlier, later in zip(up.requests, up.requests[1:], strict=False)]


@pytest.mark.parametrize(
    "scenario", ["408", "503", "504", "529", "502-html", "200-empty", "200-html", "redirect", "reset"]
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_what_may_pass_is_tried_again_and_then_another_model_answers(
    up: ScriptedUpstream, serve: Serve, scenario: str, stream: bool
) -> None:
    served = await chain(serve, up, scenario)
    got = await served.chat("asked", stream=stream)
    assert got.headers["x-chitty-served-by"] == "spare"
    assert got.headers["x-chitty-attempts"] == str(len(up.requests))
    assert 1 <= len(up.calls(scenario)) <= 2
    assert "BadGateway" not in got.body.decode()


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("scenario", ["400-bad-field", "400-context"])
async def test_what_the_caller_did_wrong_is_told_and_nobody_else_is_asked(
    up: ScriptedUpstream, serve: Serve, dialect: str, scenario: str
) -> None:
    served = await chain(serve, up, scenario, dialect)
    got = await served.chat("asked")
    assert got.status == 400
    assert not up.calls("ok")
    assert got.json["error"]["message"]
    assert not served.network.gateway.health.snapshot()


async def test_too_long_goes_only_to_a_larger_window(up: ScriptedUpstream, serve: Serve) -> None:
    served = await serve(
        {"first": proxy(up.url, "openai"), "second": proxy(up.url, "anthropic", "sk-second")},
        {
            "asked": {"proxy": "first", "upstream": "400-context", "contextWindow": 8192},
            "same": {"proxy": "second", "upstream": "ok-other", "contextWindow": 8192},
            "larger": {"proxy": "second", "upstream": "ok", "contextWindow": 200000},
        },
        {"asked": ["same", "larger"]},
    )
    got = await served.chat("asked")
    assert got.headers["x-chitty-served-by"] == "larger"
    assert not up.calls("ok-other")


async def test_case_34_an_unknown_finish_reason_is_passed_on(up: ScriptedUpstream, serve: Serve) -> None:
    from chittycan.testing import Reply

    up.script("odd", [Scenario(does="", reply=Reply("Hi", stop="recitation_limit"))])
    served = await alone(serve, up)
    assert (await served.chat("first/odd")).json["choices"][0]["finish_reason"] == "recitation_limit"
    seen = await served.clients().ask("anthropic", "first/odd", stream=True)
    assert seen.finish not in ("end_turn", None)


async def test_case_38_absorbed_attempts_cost_nothing(up: ScriptedUpstream, serve: Serve) -> None:
    price = {"input": 1000, "output": 2000}
    served = await serve(
        {"first": proxy(up.url, "openai"), "second": proxy(up.url, "openai", "sk-second")},
        {
            "asked": {"proxy": "first", "upstream": "s03-500", "price": {"input": 9, "output": 9}},
            "spare": {"proxy": "second", "upstream": "ok", "price": price},
        },
        CHAIN,
    )
    got = await served.chat("asked")
    *absorbed, ok = await served.ledger()
    assert {(row["outcome"], row["cost_nano"], row["failure"]) for row in absorbed} == {("absorbed", 0, "transient")}
    assert (ok["outcome"], ok["cost_nano"]) == ("ok", 17 * 1_000_000 + 40 * 2_000_000)
    assert float(got.headers["x-chitty-cost-usd"]) == ok["cost_nano"] / 1e9
    assert got.json["model"] == "ok"


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("scenario", ["s16-bad-key", "403"])
async def test_case_39_a_refused_key_of_ours_is_no_401_for_the_caller(
    up: ScriptedUpstream, serve: Serve, surface: str, stream: bool, scenario: str
) -> None:
    served = await alone(serve, up)
    clients = served.clients()
    for _ in range(2):  # the second time the key rests already
        seen = await clients.ask(surface, f"first/{scenario}", stream=stream)
        assert seen.status == 502
        assert "upstream_credentials_exhausted" in seen.raw.decode()
        assert UPSTREAM_KEY not in seen.raw.decode()
    assert len(up.requests) == 1


async def test_case_39_a_key_in_a_providers_words_is_blackened(up: ScriptedUpstream, serve: Serve) -> None:
    plain = "0123456789abcdef0123456789abcdef"  # without the look of a key, as some vendors' are
    words = f"Bad field for sk-proj-abcdefghijklmnop, Bearer abcdefghijklmnop0123, {plain} and {UPSTREAM_KEY}"
    body = json.dumps({"error": {"message": words, "type": "invalid_request_error", "code": UPSTREAM_KEY}}).encode()
    up.script("talks", [Scenario(does="", raw=(400, "application/json", body))])
    got = await (await alone(serve, up, "openai", plain)).chat("first/talks")
    assert got.status == 400
    assert "Bad field" in got.json["error"]["message"]
    for secret in ("abcdefghijklmnop", plain, UPSTREAM_KEY[3:]):
        assert secret not in got.body.decode()


@pytest.mark.parametrize("scenario", ["400-credit", "402", "403-key-limit", "s15-quota"])
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_case_40_quota_in_disguise(up: ScriptedUpstream, serve: Serve, dialect: str, scenario: str) -> None:
    served = await chain(serve, up, scenario, dialect)
    for _ in range(2):  # the second time that key rests
        assert (await served.chat("asked")).headers["x-chitty-served-by"] == "spare"
    assert len(up.calls(scenario)) == 1
    assert (await served.ledger())[0]["failure"] == "quota"


async def test_case_40_another_key_serves_where_one_has_no_credit(up: ScriptedUpstream, serve: Serve) -> None:
    served = await alone(serve, up, "openai", "sk-empty", "sk-full")
    up.script("m", ["s15-quota"], key="sk-empty")
    up.script("m", ["ok"], key="sk-full")
    for _ in range(4):
        got = await served.chat("first/m")
        assert got.status == 200
        assert got.headers["x-chitty-fallbacks"] == "0"
    assert [call.key for call in up.requests].count("sk-empty") <= 1


async def test_case_40_529_asks_the_same_key_again(up: ScriptedUpstream, serve: Serve) -> None:
    up.script("m", ["529", "ok"])
    got = await (await alone(serve, up, "anthropic", "sk-one", "sk-two")).chat("first/m")
    assert got.status == 200
    assert len({call.key for call in up.requests}) == 1


async def test_case_40_a_missing_model_and_a_missing_file_are_two_things(up: ScriptedUpstream, serve: Serve) -> None:
    served = await chain(serve, up, "404-model")
    for _ in range(2):
        assert (await served.chat("asked")).headers["x-chitty-served-by"] == "spare"
    assert len(up.calls("404-model")) == 1
    error = {"error": {"message": "No such file: file-abc", "type": "invalid_request_error", "code": None}}
    up.script("404-model", [Scenario(does="", raw=(404, "application/json", json.dumps(error).encode()))])
    served = await chain(serve, up, "404-model")
    got = await served.chat("asked")
    assert (got.status, got.headers.get("x-chitty-served-by")) == (404, None)


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        (("retry-after", "2"), 1.8, 6),
        (("retry-after", "{date}"), 1.0, 6),
        (("retry-after-ms", "2500"), 2.3, 6),
        (("retry-after", "0"), 0.2, 4),
        (("retry-after", "-1"), 0.2, 4),
        (("retry-after", "soon"), 0.2, 4),
    ],
    ids=["seconds", "date", "milliseconds", "zero", "negative", "garbage"],
)
async def test_case_41_forms_of_retry_after(
    up: ScriptedUpstream, serve: Serve, header: tuple[str, str], low: float, high: float
) -> None:
    up.script("m", [Scenario(does="", fault="rate_limit", headers=(header,)), "ok"])
    got = await (await alone(serve, up)).chat("first/m")
    assert got.status == 200
    (gap,) = gaps(up)
    assert low <= gap
    # The upper bound is generous: it tells a wait of seconds from one of a minute.
    assert gap < high * 5


async def test_case_41_a_wait_is_a_wait_in_the_real_world_too(up: ScriptedUpstream, serve: Serve) -> None:
    up.script("m", ["429-ms", "ok"])
    served = await alone(serve, up, clock=SystemClock())
    assert (await served.chat("first/m")).status == 200
    assert up.requests[1].at - up.requests[0].at >= 0.25


async def test_case_41_too_long_a_wait_fails_over_now(up: ScriptedUpstream, serve: Serve) -> None:
    served = await chain(serve, up, "429-hour")
    for _ in range(2):
        assert (await served.chat("asked")).headers["x-chitty-served-by"] == "spare"
    assert len(up.calls("429-hour")) == 1


async def test_case_41_a_lone_model_says_how_long(up: ScriptedUpstream, serve: Serve) -> None:
    got = await (await alone(serve, up)).chat("first/429-hour")
    assert got.status == 429
    assert int(got.headers["retry-after"]) == 3600
    assert len(up.requests) == 1


async def test_case_41_gemini_says_how_long_in_the_error_itself(up: ScriptedUpstream, serve: Serve) -> None:
    delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3600s"}
    error = {"code": 429, "message": "Too many requests", "status": "RESOURCE_EXHAUSTED", "details": [delay]}
    up.script("m", [Scenario(does="", raw=(429, "application/json", json.dumps({"error": error}).encode()))])
    got = await (await alone(serve, up, "gemini")).chat("first/m")
    assert (got.status, int(got.headers["retry-after"])) == (429, 3600)


async def test_case_41_when_all_are_limited_the_soonest_counts(up: ScriptedUpstream, serve: Serve) -> None:
    served = await serve(
        {"first": proxy(up.url, "openai"), "second": proxy(up.url, "openai", "sk-2")},
        {"asked": {"proxy": "first", "upstream": "hour"}, "spare": {"proxy": "second", "upstream": "quarter"}},
        CHAIN,
    )
    for name, seconds in (("hour", "3600"), ("quarter", "900")):
        up.script(name, [Scenario(does="", fault="rate_limit", headers=(("retry-after", seconds),))])
    for _ in range(2):  # the second time both rest already
        got = await served.chat("asked")
        assert got.status in (429, 503)
        assert 600 < int(got.headers["retry-after"]) <= 900


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_case_42_the_wrong_kind_of_body_is_classified(
    up: ScriptedUpstream, serve: Serve, dialect: str, stream: bool
) -> None:
    served = await chain(serve, up, "json-on-stream", dialect)
    got = await served.chat("asked", stream=stream)
    assert got.status == 200
    text = "".join(event["choices"][0]["delta"].get("content") or "" for event in got.events) if stream else None
    assert (text or got.json["choices"][0]["message"]["content"]) == ANSWER


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("scenario", ["502-html", "200-html", "200-empty", "redirect"])
async def test_case_42_no_page_is_echoed(up: ScriptedUpstream, serve: Serve, scenario: str, stream: bool) -> None:
    got = await (await alone(serve, up)).chat(f"first/{scenario}", stream=stream)
    assert got.status == 502
    for word in ("<", "Gateway</h1>", "captive", "127.0.0.1:9"):
        assert word not in got.json["error"]["message"]


async def test_case_42_gzip_is_read(up: ScriptedUpstream, serve: Serve) -> None:
    served = await alone(serve, up)
    for stream in (False, True):
        got = await served.chat("first/gzip", stream=stream)
        assert got.status == 200
        assert "content-encoding" not in got.headers
    assert (await served.ledger())[0]["output"] == 40


async def test_case_43_circles_and_duplicates_are_tried_once(up: ScriptedUpstream, serve: Serve) -> None:
    served = await serve(
        {"first": proxy(up.url, "openai"), "second": proxy(up.url, "openai", "sk-2")},
        {"a": {"proxy": "first", "upstream": "s15-quota"}, "b": {"proxy": "second", "upstream": "404-model"}},
        {"a": ["b", "a", "b", "nobody"], "b": ["a"]},
    )
    got = await served.chat("a")
    assert got.status == 502
    assert [attempt["model"] for attempt in got.json["error"]["attempts"]] == ["a", "b"]
    assert len(up.requests) == 2


async def test_case_43_a_model_that_the_key_may_not_use_is_passed_over(up: ScriptedUpstream, serve: Serve) -> None:
    served = await serve(
        {"first": proxy(up.url, "openai"), "second": proxy(up.url, "openai", "sk-2")},
        {
            "asked": {"proxy": "first", "upstream": "s15-quota"},
            "forbidden": {"proxy": "second", "upstream": "ok-other"},
            **SPARE,
        },
        {"asked": ["forbidden", "spare"]},
    )
    secret = await served.key(models=("asked", "spare"))
    got = await served.chat("asked", headers={"authorization": f"Bearer {secret}"})
    assert got.headers["x-chitty-served-by"] == "spare"
    assert not up.calls("ok-other")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_case_44_a_callers_own_haste_is_its_own(up: ScriptedUpstream, serve: Serve, stream: bool) -> None:
    up.script("m", ["s04-hang"] * 6 + ["ok"])
    served = await alone(serve, up, clock=SystemClock())
    for _ in range(6):
        got = await served.chat("first/m", stream=stream, headers={"x-chitty-timeout": "0.02"})
        assert got.status == 504
    assert not served.network.gateway.health.snapshot()
    assert (await served.chat("first/m", stream=stream)).status == 200


async def test_case_44_a_callers_bad_request_does_not_rest_a_model(up: ScriptedUpstream, serve: Serve) -> None:
    up.script("m", ["400-bad-field"] * 6 + ["ok"])
    served = await alone(serve, up)
    for _ in range(6):
        assert (await served.chat("first/m")).status == 400
    assert (await served.chat("first/m")).status == 200


class StillClock(FakeClock):
    """Stands still until told; pauses between attempts pass at once."""

    async def sleep(self, seconds: float) -> None:
        if seconds < 20:  # a backoff; the gateway's own housekeeping is woken by nobody here
            await asyncio.sleep(0.01)
        else:
            await super().sleep(seconds)


async def rested(served: Served, model: str) -> int:
    """Asks a failing model until it rests; its Retry-After."""
    for _ in range(10):
        got = await served.chat(model)
        if got.status == 503 and got.json["error"]["code"] == "all_models_cooling":
            return int(got.headers["retry-after"])
    raise AssertionError("never rested")


async def test_case_45_when_all_rest_the_caller_hears_until_when(up: ScriptedUpstream, serve: Serve) -> None:
    served = await alone(serve, up, clock=StillClock())
    seconds = await rested(served, "first/s03-500")
    asked = len(up.requests)
    assert 1 <= seconds <= 5
    assert (await served.chat("first/s03-500")).status == 503
    assert len(up.requests) == asked


async def test_case_45_one_probe_at_a_time(up: ScriptedUpstream, serve: Serve) -> None:
    clock = StillClock()
    served = await alone(serve, up, clock=clock)
    seconds = await rested(served, "first/s03-500")
    asked = len(up.requests)
    up.script("s03-500", ["ok"])
    gate = up.gate("s03-500")
    clock.advance(seconds + 1)
    probe = asyncio.create_task(served.chat("first/s03-500"))
    await up.received(asked + 1)
    for _ in range(5):
        assert (await served.chat("first/s03-500")).status == 503
    assert len(up.requests) == asked + 1
    await gate.open()
    assert (await probe).status == 200
    assert (await served.chat("first/s03-500")).status == 200


async def test_case_45_a_failed_probe_makes_the_rest_longer(up: ScriptedUpstream, serve: Serve) -> None:
    clock = StillClock()
    served = await alone(serve, up, clock=clock)
    first = await rested(served, "first/s03-500")
    clock.advance(first + 1)
    assert await rested(served, "first/s03-500") > first


async def test_a_new_key_is_tried_at_once(up: ScriptedUpstream, serve: Serve) -> None:
    served = await alone(serve, up, "openai", "sk-old")
    up.script("m", ["s16-bad-key"], key="sk-old")
    assert (await served.chat("first/m")).status == 502
    file = served.folder / "config.json"
    file.write_text(file.read_text().replace("sk-old", "sk-new"))
    await served.network.reload()
    assert (await served.chat("first/m")).status == 200
