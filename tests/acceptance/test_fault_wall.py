"""Sixteen faults of providers, as a person's program meets them: with one other model to turn to, and without.

Each runs on every client surface over several pairs of provider dialects, streamed and not, with the vendors' own
clients. The last test adds them up.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest

from chittycan.testing import ANSWER, WALL
from chittycan.testing.upstream import ScriptedUpstream
from official_clients import Seen
from serving import PACE, QUICK, UPSTREAM_KEY, QuickClock, Serve, proxy

# surface, dialect of the model asked, dialect of the model that is there for it
PATHS = [
    ("openai", "openai", "anthropic"),
    ("anthropic", "anthropic", "openai"),
    ("openai_responses", "openai_responses", "openai"),
    ("openai", "anthropic", "openai"),
    ("anthropic", "openai", "anthropic"),
    ("openai", "openai", "openai"),
    ("openai_responses", "gemini", "anthropic"),
]
ALONE = [
    ("openai", "openai"),
    ("anthropic", "anthropic"),
    ("openai_responses", "openai"),
    ("openai", "anthropic"),
]
# These wait for deadlines, and so are tried on fewer paths.
SLOW = ("s04-hang", "s07-slow-first-token", "s09-stall")


def cases(paths: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return [(scenario, *path) for scenario in WALL for path in (paths[:3] if scenario in SLOW else paths)]


STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
FINISHED = {"openai": "stop", "anthropic": "end_turn", "openai_responses": "completed"}
STATUS_ALONE = {
    "s01-429-retry-after": 429,
    "s02-429": 429,
    "s03-500": 500,
    "s04-hang": 504,
    "s05-dead-host": 502,
    "s06-cut-before": 502,
    "s08-cut-middle": 502,
    "s09-stall": 504,
    "s10-malformed": 502,
    "s12-200-error": 500,
    "s13-outage": 503,
    "s14-content-filter": 400,
    "s16-bad-key": 502,
}
passed: dict[str, list[bool]] = defaultdict(list)


@pytest.fixture
def score(request: pytest.FixtureRequest) -> None:
    """A scenario counts as failed until its test comes to its end."""
    passed[request.node.callspec.params["scenario"]].append(False)


def count(scenario: str) -> None:
    passed[scenario][-1] = True


def assert_whole(seen: Seen, surface: str, *, stream: bool) -> None:
    """One answer from its first to its last word, ended once, as its dialect ends one."""
    assert seen.error is None
    assert seen.text == ANSWER
    assert seen.finish == FINISHED[surface]
    assert getattr(seen.usage, "completion_tokens", getattr(seen.usage, "output_tokens", 0)) > 0
    if not stream:
        return
    raw = seen.raw.decode()
    assert '"error"' not in raw.replace('"error":null', "")
    match surface:
        case "openai":
            assert raw.count("[DONE]") == 1
            assert raw.endswith("data: [DONE]\n\n")
            chunks = [json.loads(line[5:]) for line in raw.split("\n") if line.startswith("data: {")]
            assert len({chunk["id"] for chunk in chunks}) == 1
            finishes = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]]
            assert [finish for finish in finishes if finish] == ["stop"]
        case "anthropic":
            assert raw.count("event: message_start") == raw.count("event: message_stop") == 1
            assert raw.count("event: content_block_start") == raw.count("event: content_block_stop") == 1
        case _:
            assert raw.count("event: response.created") == raw.count("event: response.completed") == 1


def assert_broken(seen: Seen, surface: str) -> None:
    """A stream that says that it broke off, and does not pretend to have ended."""
    raw = seen.raw.decode()
    assert "upstream_stream_incomplete" in raw
    assert "[DONE]" not in raw
    assert "message_stop" not in raw
    assert "response.completed" not in raw
    assert seen.finish is None
    assert ANSWER.startswith(seen.text)
    assert seen.text
    if surface == "openai_responses":
        assert "event: response.failed" in raw
    else:
        assert seen.error is not None


def assert_leaks_nothing(seen: Seen) -> None:
    """No word of the failed attempt: its id, its fingerprint, its name, the credential that it repeated."""
    raw = seen.raw.decode()
    for trace in ('chatcmpl-1"', 'fp_1"', 'msg_1"', 'resp_1"', "never show", UPSTREAM_KEY[3:]):
        assert trace not in raw


@STREAM
@pytest.mark.parametrize(("scenario", "surface", "dialect", "spare"), cases(PATHS))
async def test_with_another_model(
    up: ScriptedUpstream, serve: Serve, score: None,
    scenario: str, surface: str, dialect: str, spare: str, stream: bool,
) -> None:  # fmt: skip
    served = await serve(
        {
            "first": proxy(up.url, dialect, **(QUICK if scenario in SLOW else {})),
            "second": proxy(up.url, spare, "sk-second"),
        },
        {
            "asked": {"proxy": "first", "upstream": scenario},
            "spare": {"proxy": "second", "upstream": "ok", "prefill": True},
        },
        {"asked": ["spare"]},
    )
    seen = await served.clients().ask(surface, "asked", stream=stream)
    rows = await served.ledger()
    if scenario == "s14-content-filter":
        if dialect == "gemini":  # which says so in a good answer without content
            assert (seen.text, seen.finish) == ("", "incomplete" if surface == "openai_responses" else "content_filter")
            assert "content_filter" in seen.raw.decode()
            assert not up.calls("ok")
            count(scenario)
            return
        assert seen.status == 400
        assert not up.calls("ok")
        assert [row["outcome"] for row in rows] == ["failed"]
        assert_leaks_nothing(seen)
        count(scenario)
        return
    assert_whole(seen, surface, stream=stream)
    by_itself = scenario == "s11-no-done" or (scenario == "s10-malformed" and stream)
    begun = stream and scenario in ("s08-cut-middle", "s09-stall")
    assert seen.headers["x-chitty-served-by"] == ("asked" if by_itself or begun else "spare")
    assert seen.headers["x-chitty-fallbacks"] == ("0" if by_itself or begun else "1")
    assert rows[-1]["outcome"] == "ok"
    assert rows[-1]["model"] == ("asked" if by_itself else "spare")
    assert {row["outcome"] for row in rows[:-1]} <= {"absorbed"}
    if not by_itself and not (begun and surface == "anthropic"):  # which names its model once, at the beginning
        assert seen.model == "ok"
    if not by_itself and not begun:
        assert [row["cost_nano"] for row in rows[:-1]] == [0] * (len(rows) - 1)
        assert_leaks_nothing(seen)
    assert up.calls("ok") or by_itself
    # Silence, a limit, an empty purse and a bad key are not asked twice; what may pass is asked once more at most.
    assert len(up.calls(scenario)) <= (2 if scenario[:3] in ("s03", "s05", "s06", "s08", "s10", "s12", "s13") else 1)
    count(scenario)


@STREAM
@pytest.mark.parametrize(("scenario", "surface", "dialect"), cases(ALONE))
async def test_alone(
    up: ScriptedUpstream, serve: Serve, score: None, scenario: str, surface: str, dialect: str, stream: bool
) -> None:
    deadlines = QUICK if scenario in ("s04-hang", "s09-stall") else {"timeouts": {}}
    served = await serve(
        {"first": proxy(up.url, dialect, **deadlines)}, {"asked": {"proxy": "first", "upstream": scenario}}
    )
    up.script("s07-slow-first-token", [replace(WALL["s07-slow-first-token"], first_token=8.0)])
    seen = await served.clients().ask(surface, "asked", stream=stream)
    rows = await served.ledger()
    if scenario in ("s07-slow-first-token", "s11-no-done") or (scenario == "s10-malformed" and stream):
        assert_whole(seen, surface, stream=stream)
        assert rows[-1]["outcome"] == "ok"
        assert len(up.requests) == 1
    elif stream and scenario in ("s08-cut-middle", "s09-stall"):
        assert_broken(seen, surface)
        assert rows[-1]["outcome"] == "failed"
        assert rows[-1]["failure"] == "truncated"
        assert rows[-1]["output"] > 0
    else:
        expected = STATUS_ALONE.get(scenario) or (400 if dialect == "anthropic" else 429)
        if scenario == "s12-200-error":
            assert seen.status is not None
            assert seen.status >= 500
        else:
            assert seen.status == expected
        assert rows[-1]["outcome"] == "failed"
        attempts = seen.detail["attempts"]
        assert attempts
        assert {attempt["model"] for attempt in attempts} == {"asked"}
        assert set(attempts[0]) == {"model", "class", "status", "ms"}
        assert_leaks_nothing(seen)
        if scenario == "s01-429-retry-after":
            assert int(seen.headers["retry-after"]) == 2
            waits = [later.at - earlier.at for earlier, later in zip(up.requests, up.requests[1:], strict=False)]
            assert waits
            assert min(waits) * PACE >= 1.8
        if scenario == "s16-bad-key":
            assert seen.detail["code"] == "upstream_credentials_exhausted"
    count(scenario)


class WaitingClock(QuickClock):
    """Quick, and as far ahead as clients have `waited`, in seconds: what the machine itself takes is not waiting."""

    waited = 0

    def monotonic(self) -> float:
        return super().monotonic() + self.waited


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_an_outage_is_over_for_clients_within_30_seconds_of_its_end(
    up: ScriptedUpstream, serve: Serve, dialect: str
) -> None:
    clock = WaitingClock()
    served = await serve(
        {
            "first": proxy(up.url, dialect),
            "second": proxy(up.url, "openai", "sk-second"),
        },
        {"asked": {"proxy": "first", "upstream": "s13-outage"}, "spare": {"proxy": "second", "upstream": "ok"}},
        {"asked": ["spare"]},
        clock=clock,
    )
    for _ in range(4):
        assert (await served.chat("asked")).headers["x-chitty-served-by"] == "spare"
    during = len(up.calls("s13-outage"))
    assert during < 8  # the circuit is open: the dead model is not asked each time
    up.recover("s13-outage")
    while (got := await served.chat("asked")).headers["x-chitty-served-by"] == "spare":
        assert got.status == 200
        clock.waited += 1
        assert clock.waited < 30


def test_sixteen_of_sixteen() -> None:
    """All sixteen hold on every path that this run has tried."""
    if not passed:
        pytest.skip("counts the tests above, and none of them ran")
    good = [scenario for scenario in passed if all(passed[scenario])]
    assert good == list(passed), f"{len(good)} of {len(passed)}"
    print(f"{len(good)} of {len(WALL)} faults")
