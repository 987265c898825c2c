"""Batches as the official clients meet them: one at a time by a worker in the server's own process, and with real
servers that are killed in the middle."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anthropic
import openai
import pytest

from bare_http import Json
from chittycan.errors import Unavailable
from chittycan.testing import ANSWER, Scenario
from chittycan.testing.upstream import ScriptedUpstream
from official_clients import Clients
from serving import PATIENCE, Processes, Serve, Served, config, proxy, until, write_config

LONG_PATIENCE = 6 * PATIENCE
CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def begin(up: ScriptedUpstream, serve: Serve) -> Callable[..., Awaitable[Served]]:
    async def start(**more: Any) -> Served:
        served = await serve({"first": proxy(up.url, "openai"), "second": proxy(up.url, "anthropic")}, **more)
        await served.network.work()
        return served

    return start


@pytest.fixture
async def served(begin: Callable[..., Awaitable[Served]]) -> Served:
    """A server that does durable work too."""
    return await begin()


def line(custom_id: str, body: Json, url: str = CHAT) -> str:
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": url, "body": body})


def chats(count: int, model: str = "first/ok") -> list[str]:
    return [line(f"r{number}", {"model": model, "messages": HELLO}) for number in range(count)]


async def submit(gpt: openai.AsyncOpenAI, lines: list[str], endpoint: str = CHAT, **more: Any) -> Any:
    data = "\n".join(lines).encode()
    file = await gpt.files.create(file=("in.jsonl", data), purpose="batch")
    asked: Any = {"endpoint": endpoint, "completion_window": "24h", **more}
    return await gpt.batches.create(input_file_id=file.id, **asked)


async def ended(gpt: openai.AsyncOpenAI, batch: Any, patience: float = PATIENCE) -> Any:
    async with asyncio.timeout(patience):
        while batch.status in ("validating", "in_progress", "finalizing", "cancelling"):
            await asyncio.sleep(0.05)
            batch = await gpt.batches.retrieve(batch.id)
    return batch


async def lines_of(gpt: openai.AsyncOpenAI, file_id: str | None) -> list[Json]:
    if file_id is None:
        return []
    return [json.loads(each) for each in (await gpt.files.content(file_id)).text.splitlines()]


def status_of(answer: Json) -> int:
    return int(answer["response"]["status_code"])


async def test_every_line_has_its_answer(served: Served) -> None:
    gpt = served.clients().gpt
    batch = await ended(gpt, await submit(gpt, chats(60), metadata={"job": "nightly"}))
    answers = await lines_of(gpt, batch.output_file_id)

    assert batch.status == "completed"
    assert batch.request_counts.to_dict() == {"total": 60, "completed": 60, "failed": 0}
    assert Counter(each["custom_id"] for each in answers) == Counter(f"r{number}" for number in range(60))
    assert {status_of(each) for each in answers} == {200}
    assert {each["response"]["body"]["choices"][0]["message"]["content"] for each in answers} == {ANSWER}
    assert len({each["id"] for each in answers}) == 60
    assert (batch.error_file_id, batch.errors, batch.metadata) == (None, None, {"job": "nightly"})
    assert batch.created_at <= batch.in_progress_at <= batch.finalizing_at <= batch.completed_at <= batch.expires_at
    assert [each["task"] for each in await served.recorded(60)] == [batch.id] * 60


@pytest.mark.parametrize(
    ("endpoint", "body", "text"),
    [
        ("/v1/responses", {"input": "Hello"}, lambda body: body["output"][0]["content"][0]["text"]),
        ("/v1/messages", {"messages": HELLO, "max_tokens": 99}, lambda body: body["content"][0]["text"]),
        ("/v1/completions", {"prompt": "Hello"}, lambda body: body["choices"][0]["text"]),
    ],
)
async def test_each_endpoint_answers_in_its_own_dialect_from_any_model(
    served: Served, endpoint: str, body: Json, text: Callable[[Json], str]
) -> None:
    gpt = served.clients().gpt
    lines = [line(model, {**body, "model": model}, endpoint) for model in ("first/ok", "second/ok")]
    batch = await ended(gpt, await submit(gpt, lines, endpoint))
    answers = await lines_of(gpt, batch.output_file_id)
    assert {each["custom_id"]: text(each["response"]["body"]) for each in answers} == {
        "first/ok": ANSWER,
        "second/ok": ANSWER,
    }


async def test_embeddings(served: Served) -> None:
    gpt = served.clients().gpt
    lines = [line("a", {"model": "first/embed", "input": "x"}, "/v1/embeddings")]
    batch = await ended(gpt, await submit(gpt, lines, "/v1/embeddings"))
    [answer] = await lines_of(gpt, batch.output_file_id)
    assert answer["response"]["body"]["data"][0]["embedding"]


async def test_a_line_that_fails_is_in_the_error_file_and_the_others_are_done(served: Served) -> None:
    gpt = served.clients().gpt
    lines = [
        *chats(3),
        line("unknown", {"model": "no-such-model", "messages": HELLO}),
        line("wrong", {"model": "first/400-bad-field", "messages": HELLO}),
        line("streams", {"model": "first/ok", "messages": HELLO, "stream": True}),
        line("nobody", {"messages": HELLO}),
    ]
    batch = await ended(gpt, await submit(gpt, lines))
    failed = {each["custom_id"]: each for each in await lines_of(gpt, batch.error_file_id)}

    assert batch.status == "completed"
    assert batch.request_counts.to_dict() == {"total": 7, "completed": 3, "failed": 4}
    assert {name: status_of(each) for name, each in failed.items()} == {
        "unknown": 404, "wrong": 400, "streams": 400, "nobody": 400,
    }  # fmt: skip
    assert failed["unknown"]["response"]["body"]["error"]["code"] == "model_not_found"
    assert failed["streams"]["response"]["body"]["error"]["param"] == "stream"


async def test_what_is_wrong_with_a_file_is_said_line_by_line(served: Served) -> None:
    gpt = served.clients().gpt
    good = {"model": "first/ok", "messages": HELLO}
    lines = [line("a", good), "{", "", line("a", good), line("c", good, "/v1/responses"), '{"custom_id": "d"}', "[]"]
    batch = await ended(gpt, await submit(gpt, lines))
    assert batch.status == "failed"
    assert batch.failed_at is not None
    assert [(each.code, each.line, each.param) for each in batch.errors.data] == [
        ("invalid_json_line", 2, None),
        ("duplicate_custom_id", 4, "custom_id"),
        ("invalid_url", 5, "url"),
        ("missing_required_parameter", 6, "body"),
        ("invalid_json_line", 7, None),
    ]


async def test_an_empty_file_is_no_batch(served: Served) -> None:
    gpt = served.clients().gpt
    batch = await ended(gpt, await submit(gpt, ["", "  "]))
    assert [each.code for each in batch.errors.data] == ["empty_file"]


async def test_fallbacks_serve_a_batch_too(begin: Callable[..., Awaitable[Served]], up: ScriptedUpstream) -> None:
    models = {name: {"proxy": "first", "upstream": name} for name in ("s03-500", "ok")}
    served = await begin(models=models, fallbacks={"s03-500": ["ok"]})
    gpt = served.clients().gpt
    batch = await ended(gpt, await submit(gpt, chats(5, "s03-500")))
    assert (batch.status, batch.request_counts.completed) == ("completed", 5)


async def test_a_batch_waits_for_a_model_that_is_out_and_does_the_others(served: Served, up: ScriptedUpstream) -> None:
    gpt = served.clients().gpt
    up.script("away", ["503"])
    lines = [line(f"a{number}", {"model": "first/away", "messages": HELLO}) for number in range(5)]
    batch = await submit(gpt, [*lines, *chats(20)])
    async with asyncio.timeout(PATIENCE):
        while batch.request_counts is None or batch.request_counts.completed < 20:
            await asyncio.sleep(0.05)
            batch = await gpt.batches.retrieve(batch.id)
    assert (batch.status, batch.request_counts.failed) == ("in_progress", 0)

    up.script("away", ["ok"])
    batch = await ended(gpt, batch, LONG_PATIENCE)
    assert batch.request_counts.to_dict() == {"total": 25, "completed": 25, "failed": 0}
    assert len(await lines_of(gpt, batch.output_file_id)) == 25


async def test_one_line_that_a_model_breaks_on_does_not_hold_the_batch(served: Served, up: ScriptedUpstream) -> None:
    """Its model answers others, so the fault is the line's."""
    gpt = served.clients().gpt
    good = chats(30, "first/mixed")
    up.script("mixed", ["s03-500", *["ok"] * 100])
    batch = await ended(gpt, await submit(gpt, good))
    assert batch.request_counts.to_dict() == {"total": 30, "completed": 30, "failed": 0}


async def test_a_cancelled_batch_stops_and_keeps_what_it_has(served: Served, up: ScriptedUpstream) -> None:
    gpt = served.clients().gpt
    lines = [*chats(10), *chats(40, "first/held")[10:]]
    up.script("held", [Scenario(does="never answers", wait=float("inf"))])
    batch = await submit(gpt, lines)
    await until(lambda: len(up.calls("held")) >= 10)
    assert (await gpt.batches.cancel(batch.id)).status == "cancelling"
    batch = await ended(gpt, await gpt.batches.retrieve(batch.id))
    done = [each["custom_id"] for each in await lines_of(gpt, batch.output_file_id)]
    unasked = await lines_of(gpt, batch.error_file_id)

    assert batch.status == "cancelled"
    assert batch.cancelling_at <= batch.cancelled_at
    assert sorted(done) == sorted(f"r{number}" for number in range(10))
    assert {each["error"]["code"] for each in unasked} == {"batch_cancelled"}
    assert len(done) + len(unasked) == 40
    with pytest.raises(openai.BadRequestError, match="Cannot cancel"):
        await gpt.batches.cancel((await ended(gpt, await submit(gpt, chats(1)))).id)


async def test_a_batch_expires(served: Served, up: ScriptedUpstream) -> None:
    gpt = served.clients().gpt
    up.script("held", [Scenario(does="never answers", wait=float("inf"))])
    batch = await submit(gpt, [*chats(2), line("held", {"model": "first/held", "messages": HELLO})])
    await until(lambda: len(up.calls("held")) == 1)
    await expire(served, batch.id)
    batch = await ended(gpt, await gpt.batches.retrieve(batch.id))
    [late] = await lines_of(gpt, batch.error_file_id)
    assert batch.status == "expired"
    assert (late["custom_id"], late["error"]["code"]) == ("held", "batch_expired")
    assert len(await lines_of(gpt, batch.output_file_id)) == 2


async def expire(served: Served, batch_id: str) -> None:
    """Its time is over."""
    durable = served.network.durable
    await served.network.database.run(durable.engine.wake, [f"{batch_id}.expired"])


async def test_keys_hold_for_every_line(served: Served) -> None:
    secret = await served.key("limited", models=("first/ok",), routes=("files", "batches", "openai"))
    other = await served.key("other")
    gpt = served.clients(secret).gpt
    lines = [*chats(2), line("no", {"model": "second/ok", "messages": HELLO})]
    batch = await ended(gpt, await submit(gpt, lines))
    [refused] = await lines_of(gpt, batch.error_file_id)
    assert status_of(refused) == 403
    assert {each["key_id"] for each in await served.recorded(2)} != {None}

    stranger = served.clients(other).gpt
    for refusal in (stranger.batches.retrieve(batch.id), stranger.files.content(batch.output_file_id)):
        with pytest.raises(openai.NotFoundError):
            await refusal
    assert (await stranger.batches.list()).data == []
    with pytest.raises(openai.NotFoundError):
        await stranger.batches.create(
            input_file_id=batch.input_file_id, endpoint="/v1/chat/completions", completion_window="24h"
        )


async def test_batches_are_listed_page_by_page(served: Served) -> None:
    gpt = served.clients().gpt
    made = [(await submit(gpt, chats(1))).id for _ in range(5)]
    listed = [batch.id async for batch in gpt.batches.list(limit=2)]
    assert listed == made[::-1]


async def test_options_of_the_batch_and_of_a_line(served: Served) -> None:
    gpt = served.clients().gpt
    own = {"model": "first/ok", "messages": HELLO, "chitty": {"kind": "code.review"}}
    lines = [*chats(1), line("own", own)]
    batch = await submit(gpt, lines, extra_headers={"x-chitty-kind": "email.triage"})
    await ended(gpt, batch)
    assert {each["kind"] for each in await served.recorded(2)} == {"email.triage", "code.review"}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"endpoint": "/v1/moderations"}, "endpoint"),
        ({"completion_window": "soon"}, "completion_window"),
        ({"metadata": {"a": "x" * 513}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "output_expires_after"),
    ],
)
async def test_what_no_batch_can_be_is_refused(served: Served, change: Json, param: str) -> None:
    gpt = served.clients().gpt
    file = await gpt.files.create(file=("in.jsonl", chats(1)[0].encode()), purpose="batch")
    asked: Any = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h", **change}
    with pytest.raises(openai.BadRequestError) as refused:
        await gpt.batches.create(**asked)
    assert refused.value.param == param


# Anthropic


def asks(count: int, model: str = "second/ok") -> Any:
    params = {"model": model, "max_tokens": 100, "messages": HELLO}
    return [{"custom_id": f"r{number}", "params": params} for number in range(count)]


async def message_batch_ended(claude: anthropic.AsyncAnthropic, batch: Any) -> Any:
    async with asyncio.timeout(PATIENCE):
        while batch.processing_status != "ended":
            await asyncio.sleep(0.05)
            batch = await claude.messages.batches.retrieve(batch.id)
    return batch


async def test_anthropics_client_reads_the_results(served: Served) -> None:
    claude = served.clients().claude
    wrong: Any = {"custom_id": "bad", "params": {"model": "no-such-model", "max_tokens": 9, "messages": HELLO}}
    batch = await claude.messages.batches.create(requests=[*asks(3), *asks(4, "first/ok")[3:], wrong])
    assert batch.processing_status == "in_progress"
    assert batch.request_counts.processing == 5
    batch = await message_batch_ended(claude, batch)
    results: dict[str, Any] = {
        each.custom_id: each.result async for each in await claude.messages.batches.results(batch.id)
    }
    counts = {"processing": 0, "succeeded": 4, "errored": 1, "canceled": 0, "expired": 0}
    assert batch.request_counts.to_dict() == counts
    assert batch.ended_at is not None
    assert {name for name, result in results.items() if result.type == "succeeded"} == {"r0", "r1", "r2", "r3"}
    assert {r.message.content[0].text for r in results.values() if r.type == "succeeded"} == {ANSWER}
    assert results["bad"].type == "errored"
    assert results["bad"].error.error.type == "not_found_error"

    assert [each.id async for each in claude.messages.batches.list()] == [batch.id]
    assert (await claude.messages.batches.delete(batch.id)).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        await claude.messages.batches.retrieve(batch.id)
    assert (await served.clients().gpt.files.list()).data == [], "its files were left behind"


async def test_a_message_batch_is_done_though_nobody_heard_that_it_was_stored(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = served.network.database
    run = database.run

    async def unheard(fn: Any, *args: Any, **given: Any) -> Any:
        made = await run(fn, *args, **given)
        if fn.__name__ == "store":
            monkeypatch.setattr(database, "run", run)
            raise Unavailable("the database does not answer")
        return made

    monkeypatch.setattr(database, "run", unheard)
    claude = served.clients().claude
    with pytest.raises(anthropic.InternalServerError):
        await claude.messages.batches.create(requests=asks(2))
    (batch,) = [each async for each in claude.messages.batches.list()]
    batch = await message_batch_ended(claude, batch)
    assert batch.request_counts.succeeded == 2


async def test_a_cancelled_message_batch_says_what_was_not_asked(served: Served, up: ScriptedUpstream) -> None:
    claude = served.clients().claude
    up.script("held", [Scenario(does="never answers", wait=float("inf"))])
    batch = await claude.messages.batches.create(requests=asks(4, "second/held"))
    await until(lambda: len(up.calls("held")) == 4)
    with pytest.raises(anthropic.BadRequestError):
        await claude.messages.batches.delete(batch.id)
    assert (await claude.messages.batches.cancel(batch.id)).processing_status == "canceling"
    batch = await message_batch_ended(claude, batch)
    assert batch.request_counts.canceled == 4
    assert batch.cancel_initiated_at is not None
    results = [each.result.type async for each in await claude.messages.batches.results(batch.id)]
    assert results == ["canceled"] * 4


async def test_message_batches_are_listed_in_both_directions(served: Served) -> None:
    claude = served.clients().claude
    made = [(await claude.messages.batches.create(requests=asks(1))).id for _ in range(5)]
    batches: Any = claude.messages.batches
    first = await batches.list(limit=2)
    second = await batches.list(limit=2, after_id=first.last_id)
    back = await batches.list(limit=2, before_id=second.first_id)
    assert [each.id for each in first.data + second.data] == made[:0:-1]
    assert [each.id for each in back.data] == [each.id for each in first.data]
    assert (first.has_more, back.has_more) == (True, False)


@pytest.mark.parametrize(
    ("requests", "names"),
    [
        ([], "requests"),
        ([{"custom_id": "a b", "params": {}}], "requests.0.custom_id"),
        ([{"custom_id": "a", "params": {}}, {"custom_id": "a", "params": {}}], "a is used twice"),
        ([{"custom_id": "a", "params": []}], "params"),
        ([{"params": {}}], "custom_id"),
    ],
)
async def test_a_message_batch_that_makes_no_sense_is_refused_at_once(
    served: Served, requests: list[Json], names: str
) -> None:
    with pytest.raises(anthropic.BadRequestError, match=names):
        await served.clients().claude.messages.batches.create(requests=requests)  # type: ignore[arg-type]


# real processes


@pytest.fixture
async def clients() -> AsyncIterator[Callable[[str], Clients]]:
    made: list[Clients] = []

    def client(url: str) -> Clients:
        made.append(Clients(url))
        return made[-1]

    yield client
    for each in made:
        await each.close()


async def test_a_server_killed_in_the_middle_of_a_batch_goes_on_where_it_was(
    processes: Processes, up: ScriptedUpstream, clients: Callable[[str], Clients]
) -> None:
    lines, checkpoint, begun = 300, 50, 170
    write_config(processes.config, config({"first": proxy(up.url, "openai")}), {})
    never = Scenario(does="never answers", wait=float("inf"))
    up.script("pair", [*["ok"] * 150, never])
    async with asyncio.timeout(LONG_PATIENCE):
        server = await processes.serve("--worker-id", "one")
        gpt = clients(server.url).gpt
        batch = await submit(gpt, chats(lines, "first/pair"))
        await ScriptedUpstream.received(up, begun, "pair")
        server.process.kill()
        await server.end()
        up.script("pair", ["ok"])
        server = await processes.serve("--worker-id", "one")
        gpt = clients(server.url).gpt
        batch = await ended(gpt, batch, LONG_PATIENCE)
        answers = await lines_of(gpt, batch.output_file_id)

    assert batch.request_counts.to_dict() == {"total": lines, "completed": lines, "failed": 0}
    assert Counter(each["custom_id"] for each in answers) == Counter(f"r{number}" for number in range(lines))
    # Of each of the four pieces at work: what was being asked, and what was answered since its last checkpoint.
    assert 0 < len(up.calls("pair")) - lines <= 4 * (16 + checkpoint)
