"""A client that leaves: the provider is stopped within 100 ms, what was held is given back, what was made is billed."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from bare_http import Wire
from chittycan.testing import Scenario
from chittycan.testing.upstream import Recorded, ScriptedUpstream
from serving import Serve, Served, proxy

SECONDS = 0.1  # a contract: a client's leaving reaches the provider within these
MESSAGES = [{"role": "user", "content": "Hello"}]
PRICE = {"input": 1000, "output": 2000}  # dollars per million tokens: a millionth of a dollar is a thousandth here

Begin = Callable[[ScriptedUpstream, Wire], Awaitable[None]]


async def nothing_yet(up: ScriptedUpstream, wire: Wire) -> None:
    """The provider has the request and says nothing."""


async def first_word(up: ScriptedUpstream, wire: Wire) -> None:
    """The client has the headers and a part of the answer."""
    await up.gate("asked").release(3)
    assert (await wire.head()).status == 200
    while b" takes" not in await wire.chunk():
        pass


async def served_one(serve: Serve, up: ScriptedUpstream, dialect: str = "openai") -> Served:
    return await serve(
        {"first": proxy(up.url, dialect, timeouts={"firstToken": 20, "idle": 20})},
        {"asked": {"proxy": "first", "upstream": "asked", "price": PRICE}},
    )


async def leave(wire: Wire, request: Recorded) -> None:
    """Hang up, and see how long it takes until the provider knows."""
    left = time.monotonic()
    wire.close()
    await asyncio.wait_for(request.ended(), 5)
    assert request.closed_at is not None
    assert request.closed_at - left < SECONDS


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("stream", "scenario", "begin"),
    [
        (False, "s04-hang", nothing_yet),
        (False, "s07-slow-first-token", nothing_yet),
        (False, "s09-stall", nothing_yet),
        (True, "s04-hang", nothing_yet),
        (True, "s07-slow-first-token", nothing_yet),
        (True, "ok", first_word),
    ],
    ids=[
        "before headers", "before the body", "in the body", "before a stream's headers", "before the first token",
        "in the stream",
    ],
)  # fmt: skip
async def test_the_provider_is_stopped_at_once(
    up: ScriptedUpstream, serve: Serve, dialect: str, stream: bool, scenario: str, begin: Begin
) -> None:
    served = await served_one(serve, up, dialect)
    secret = await served.key(budget="100/day")
    (key,) = await served.network.keys.list()
    up.script("asked", [scenario])
    wire = await served.connect()
    if begin is first_word:
        up.gate("asked")
    body = {"model": "asked", "messages": MESSAGES, "stream": stream}
    wire.send("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {secret}"})
    request = await up.received(1)
    await begin(up, wire)
    await leave(wire, request)
    (row,) = await served.recorded(1)
    assert (row["outcome"], row["status"], row["failure"]) == ("cancelled", 499, "cancelled")
    produced = begin is first_word
    assert (row["output"] > 0) == produced
    assert row["cost_nano"] == (row["input"] * 1_000_000 + row["output"] * 2_000_000 if produced else 0)
    await served.network.meters.close()
    assert await served.network.meters.standing(key.budget_caps[0]) == (row["cost_nano"], 0)
    assert not served.network.gateway.health.snapshot()


@pytest.mark.parametrize("surface", ["/v1/messages", "/v1/responses"])
async def test_on_every_surface(up: ScriptedUpstream, serve: Serve, surface: str) -> None:
    served = await served_one(serve, up)
    up.script("asked", ["long"])
    wire = await served.connect()
    asked = {"input": "Hello"} if surface == "/v1/responses" else {"messages": MESSAGES, "max_tokens": 100}
    wire.send("POST", surface, {"model": "asked", "stream": True, **asked})
    request = await up.received(1)
    assert (await wire.head()).status == 200
    await leave(wire, request)
    assert (await served.recorded(1))[0]["outcome"] == "cancelled"


async def test_while_a_continuation_is_written(up: ScriptedUpstream, serve: Serve) -> None:
    served = await serve(
        {"first": proxy(up.url, "openai"), "second": proxy(up.url, "anthropic", "sk-second")},
        {
            "asked": {"proxy": "first", "upstream": "s08-cut-middle"},
            "spare": {"proxy": "second", "upstream": "s09-stall"},
        },
        {"asked": ["spare"]},
    )
    wire = await served.connect()
    wire.send("POST", "/v1/chat/completions", {"model": "asked", "messages": MESSAGES, "stream": True})
    request = await up.received(1, "s09-stall")
    await leave(wire, request)
    assert [row["outcome"] for row in await served.recorded(2)] == ["absorbed", "cancelled"]


async def test_while_it_waits_to_ask_again(up: ScriptedUpstream, serve: Serve) -> None:
    served = await served_one(serve, up)
    up.script("asked", [Scenario(does="", fault="rate_limit", headers=(("retry-after", "300"),)), "ok"])
    wire = await served.connect()
    wire.send("POST", "/v1/chat/completions", {"model": "asked", "messages": MESSAGES})
    await (await up.received(1)).ended()
    wire.close()
    assert [row["outcome"] for row in await served.recorded(2)] == ["absorbed", "cancelled"]
    assert len(up.requests) == 1


async def test_a_client_that_only_stops_sending_has_left_too(up: ScriptedUpstream, serve: Serve) -> None:
    served = await served_one(serve, up)
    up.script("asked", ["s04-hang"])
    wire = await served.connect()
    wire.send("POST", "/v1/chat/completions", {"model": "asked", "messages": MESSAGES})
    request = await up.received(1)
    wire.close_one_side()
    await asyncio.wait_for(request.ended(), 5)
    assert request.closed_at is not None
    wire.close()


async def test_others_are_not_disturbed(up: ScriptedUpstream, serve: Serve) -> None:
    served = await served_one(serve, up)
    gate = up.gate("asked")
    wires = [await served.connect() for _ in range(10)]
    for wire in wires:
        wire.send("POST", "/v1/chat/completions", {"model": "asked", "messages": MESSAGES, "stream": True})
    await up.received(10)
    for wire in wires[:5]:
        wire.close()
    for request in up.requests[:]:
        if request.closed_at:
            await request.ended()
    await gate.open()
    for wire in wires[5:]:
        got = await wire.read()
        assert got.complete
        assert got.body.endswith(b"data: [DONE]\n\n")
        wire.close()
    assert (await served.chat("asked")).status == 200
