"""Connections to providers: used again while they are good, and never mixed up; many calls at once."""

import asyncio
import json

import pytest

from bare_http import speaking
from chittycan.testing import ANSWER, Reply, Scenario
from chittycan.testing.upstream import ScriptedUpstream
from serving import SURFACES, Serve, Served, proxy, until

GOOD = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip
BODY = json.dumps(GOOD).encode()
JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@pytest.fixture
async def served(up: ScriptedUpstream, serve: Serve) -> Served:
    return await serve({"first": proxy(up.url, "openai")})


async def test_a_connection_is_used_again_after_every_kind_of_answer(up: ScriptedUpstream, served: Served) -> None:
    for model in ("ok", "400-bad-field", "tools", "429-hour", "echo", "utf8-split", "s11-no-done", "404-model", "ok"):
        for stream in (False, True):
            await served.chat(f"first/{model}", stream=stream)
    assert up.connections == 1


async def test_a_connection_that_died_in_the_pool_is_replaced_unseen(up: ScriptedUpstream, served: Served) -> None:
    for _ in range(3):
        got = await served.chat("first/ok")
        assert (got.status, got.headers["x-chitty-attempts"]) == (200, "1")
        await up.vanish()
        await up.listen()


async def test_a_provider_that_comes_back_is_asked_again(up: ScriptedUpstream, served: Served) -> None:
    assert (await served.chat("first/ok")).status == 200
    await up.vanish()
    assert (await served.chat("first/ok")).status == 502
    await up.listen()
    async with asyncio.timeout(10):
        while (await served.chat("first/ok")).status != 200:  # noqa: ASYNC110 (the circuit closes when it does)
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "said",
    [
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", JSON_HEAD, b"content-length: %d\r\n\r\n" % len(BODY), BODY),
        (b"HTTP/1.1 100 Continue\r\n\r\n", JSON_HEAD + b"connection: close\r\n\r\n" + BODY),
        (b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n" + BODY,),
        (
            JSON_HEAD,
            b"transfer-encoding: chunked\r\n\r\n",
            b"%x;ext=1\r\n" % len(BODY),
            BODY,
            b"\r\n0\r\ntrailer: x\r\n\r\n",
        ),
        tuple(bytes([byte]) for byte in JSON_HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY),
        (JSON_HEAD + b"\r\n  \n \n" + BODY + b"\n",),
    ],
    ids=["early hints", "continue", "HTTP/1.0", "chunk extensions and trailers", "byte by byte", "white space around"],
)
async def test_every_way_to_frame_an_answer(serve: Serve, said: tuple[bytes, ...]) -> None:
    async with speaking(*said) as url:
        served = await serve({"first": proxy(url, "openai")})
        got = await served.chat("first/m")
    assert got.status == 200
    assert got.json["choices"][0]["message"]["content"] == "Hi"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"HTTP/1.1 99999 What\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\nthis is not gzip",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: " + b"a" * 2_000_000,
        b"",
    ],
    ids=[
        "two lengths",
        "no chunk",
        "endless chunk",
        "odd status",
        "SSH",
        "not gzip",
        "101",
        "endless header",
        "nothing",
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_what_is_no_answer_is_a_failed_attempt(
    up: ScriptedUpstream, serve: Serve, said: bytes, stream: bool
) -> None:
    async with speaking(said) as url:
        served = await serve(
            {"first": proxy(url, "openai"), "second": proxy(up.url, "openai", "sk-second")},
            {"asked": {"proxy": "first"}, "spare": {"proxy": "second", "upstream": "ok"}},
            {"asked": ["spare"]},
        )
        got = await served.chat("asked", stream=stream)
    assert got.status == 200
    assert got.headers["x-chitty-served-by"] == "spare"


async def test_an_answer_never_reaches_another_caller(up: ScriptedUpstream, served: Served) -> None:
    """Each caller gets its own words back, however calls, streams and hang-ups interleave on the pooled connections."""

    async def echo(number: int) -> None:
        mark = f"caller-{number}-only"
        messages = [{"role": "user", "content": mark}]
        if number % 5 == 0:  # leaves before the answer
            wire = await served.connect()
            wire.send("POST", "/v1/chat/completions", {"model": "first/slow", "messages": messages, "stream": True})
            await wire.head()
            wire.close()
            return
        got = await served.chat("first/echo", messages=messages, stream=number % 2 == 0)
        assert got.status == 200
        assert mark in got.body.decode()
        assert got.body.decode().count("caller-") == got.body.decode().count(mark)

    for _ in range(3):
        await asyncio.gather(*(echo(number) for number in range(60)))


def our_tasks() -> int:
    """How many tasks the gateway runs, apart from the scripted provider and the test."""
    codes = [getattr(task.get_coro(), "cr_code", None) for task in asyncio.all_tasks()]
    files = [code.co_filename for code in codes if code is not None]
    return sum("/chittycan/" in file and "/testing/" not in file for file in files)


async def test_many_at_once_over_a_failing_provider_leave_nothing_behind(up: ScriptedUpstream, serve: Serve) -> None:
    broken = ["s03-500", "s05-dead-host", "s06-cut-before", "s08-cut-middle", "s12-200-error", "s10-malformed", "529"]
    names = [f"first/{name}" for name in broken]
    served = await serve(
        {
            "first": proxy(up.url, "openai", timeouts={}),
            "second": proxy(up.url, "anthropic", "sk-second", timeouts={}),
        },
        {"spare": {"proxy": "second", "upstream": "ok", "prefill": True, "price": {"input": 1, "output": 1}}},
        {name: ["spare"] for name in names},
    )
    secret = await served.key(budget="100/day", rpm=100_000)
    (key,) = await served.network.keys.list()
    clients = served.clients(secret)
    await clients.ask("openai", "spare", stream=True)
    before = our_tasks()

    async def one(number: int) -> None:
        own = served.clients(secret)
        seen = await own.ask(SURFACES[number % 3], names[number % len(names)], stream=number % 2 == 0)
        assert seen.error is None
        assert seen.text == ANSWER
        await own.close()

    await asyncio.gather(*(one(number) for number in range(84)))
    rows = [row for row in await served.ledger() if row["outcome"] == "ok"]
    assert len(rows) == 85
    await served.network.meters.close()
    budget = key.budget_caps[0]
    spent, held = await served.network.meters.standing(budget)
    assert held == 0
    assert spent == sum(row["cost_nano"] for row in await served.ledger())
    await until(lambda: our_tasks() == before)


async def test_a_huge_answer_arrives_whole(up: ScriptedUpstream, served: Served) -> None:
    text = "wörd " * 400_000
    up.script("big", [Scenario(does="", reply=Reply(text))])
    got = await served.chat("first/big")
    assert got.json["choices"][0]["message"]["content"] == text
    body = {"model": "first/big", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    assert (await served.fetch("POST", "/v1/messages", body)).json["content"][0]["text"] == text
