"""Background responses, used by OpenAI's own client as its documentation says."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest

from bare_http import Json
from chittycan.app import Network
from chittycan.testing import ANSWER, Reply, Scenario
from chittycan.testing.scenarios import OTHER_ANSWER, ToolUse
from chittycan.testing.upstream import ScriptedUpstream
from serving import DIALECTS, PATIENCE, QuickClock, Serve, Served, proxy, until

TERMINAL = ("completed", "failed", "cancelled", "incomplete")


async def office(serve: Serve, up: ScriptedUpstream, dialect: str = "openai", *, works: bool = True) -> Served:
    """A gateway with one provider; `works`: it does durable work too."""
    served = await serve({"first": proxy(up.url, dialect)})
    if works:
        await served.network.work()
    return served


def gpt(served: Served, key: str = "any") -> Any:
    """OpenAI's client. Its types know too much for a test: each event may be any of fifty."""
    return served.clients(key).gpt


@asynccontextmanager
async def beside(served: Served) -> AsyncIterator[Served]:
    """Another gateway on the same database, which does no work."""
    network = Network(
        config_folder=served.folder, env=served.network.env, database=str(served.network.database.url),
        clock=QuickClock(), look_around=False,
    )  # fmt: skip
    async with network:
        other = Served(network, served.folder)
        await other.start()
        try:
            yield other
        finally:
            await other.stop()


async def ended(client: openai.AsyncOpenAI, given: str) -> Any:
    """The response once it has come to its end."""
    async with asyncio.timeout(PATIENCE):
        while (found := await client.responses.retrieve(given)).status not in TERMINAL:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found


async def stands(client: openai.AsyncOpenAI, given: str, status: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await client.responses.retrieve(given)).status != status:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def text_of(events: list[Any]) -> str:
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def numbers(events: list[Any]) -> list[int]:
    return [event.sequence_number for event in events]


async def test_it_is_there_at_once_and_done_later(up: ScriptedUpstream, serve: Serve) -> None:
    served = await office(serve, up)
    gate = up.gate("ok")
    client = gpt(served)
    made = await client.responses.create(
        model="first/ok", input="Hello", instructions="Be kind.", background=True, metadata={"case": "7"}
    )
    assert made.status == "queued"
    assert made.id.startswith("resp_")
    assert made.background is True
    assert (made.model, made.instructions, made.metadata) == ("first/ok", "Be kind.", {"case": "7"})
    await stands(client, made.id, "in_progress")
    await gate.open()
    found = await ended(client, made.id)
    assert (found.id, found.status, found.created_at) == (made.id, "completed", made.created_at)
    assert found.output_text == ANSWER
    assert found.background is True
    assert found.completed_at >= found.created_at
    assert found.usage.input_tokens == Reply().input_tokens
    assert found.error is None


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_stream_of_it_is_whole_whoever_answers(up: ScriptedUpstream, serve: Serve, dialect: str) -> None:
    reply = Reply(thinking="Well now.", tools=(ToolUse("call_1", "look", '{"at":"x"}'),), stop="tool_calls")
    up.script("busy", [Scenario(does="answers", reply=reply)])
    served = await office(serve, up, dialect)
    client = gpt(served)
    tool: Any = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}
    async with client.responses.stream(model="first/busy", input="Hello", background=True, tools=[tool]) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert numbers(events) == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert final.output_text == ANSWER
    assert [(item.name, item.arguments) for item in final.output if item.type == "function_call"] == [
        ("look", '{"at":"x"}')
    ]
    assert {event.response.id for event in events if hasattr(event, "response")} == {final.id}
    kept = await client.responses.retrieve(final.id)
    assert [item.id for item in kept.output] == [item.id for item in final.output]
    assert kept.output_text == ANSWER


async def test_the_provider_is_asked_as_if_somebody_waited(up: ScriptedUpstream, serve: Serve) -> None:
    served = await office(serve, up, "openai_responses")
    client = gpt(served)
    made = await client.responses.create(
        model="first/ok", input="Hello", background=True, reasoning={"effort": "low"},
        extra_body={"chitty": {"kind": "legal.review"}}, extra_headers={"openai-beta": "new=1"},
    )  # fmt: skip
    await ended(client, made.id)
    [asked] = up.calls("ok")
    assert asked.json == {"model": "ok", "input": "Hello", "reasoning": {"effort": "low"}}
    assert asked.headers["openai-beta"] == "new=1"
    [row] = await served.recorded(1)
    assert row["kind"] == "legal.review"


async def test_a_lost_stream_goes_on_in_another_gateway_where_it_was_left(up: ScriptedUpstream, serve: Serve) -> None:
    served = await office(serve, up)
    gate = up.gate("ok")
    stream = await gpt(served).responses.create(model="first/ok", input="Hello", background=True, stream=True)
    seen: list[Any] = []
    await gate.release(5)
    async for event in stream:
        seen.append(event)
        if event.type == "response.output_text.delta" and len(text_of(seen).split()) >= 3:
            break
    await stream.close()
    given = seen[0].response.id
    async with beside(served) as other:
        again = await gpt(other).responses.retrieve(given, stream=True, starting_after=seen[-1].sequence_number)
        await gate.open()
        seen += [event async for event in again]
        assert numbers(seen) == list(range(len(seen)))
        assert text_of(seen) == ANSWER
        assert seen[-1].type == "response.completed"
        assert seen[-1].response.output_text == ANSWER
        assert len(up.calls("ok")) == 1
        whole = await gpt(other).responses.retrieve(given, stream=True)
        assert [event.to_dict() async for event in whole] == [event.to_dict() for event in seen]
        rest = await gpt(other).responses.retrieve(given, stream=True, starting_after=seen[-1].sequence_number)
        assert [event async for event in rest] == []


async def test_cancelling_stops_the_provider(up: ScriptedUpstream, serve: Serve) -> None:
    served = await office(serve, up)
    gate = up.gate("ok")
    client = gpt(served)
    stream = await client.responses.create(model="first/ok", input="Hello", background=True, stream=True)
    await gate.release(3)
    given = (await anext(aiter(stream))).response.id
    asked = await up.received(1)
    cancelled = await client.responses.cancel(given)
    assert cancelled.status == "cancelled"
    async with asyncio.timeout(PATIENCE):
        await asked.ended()
        left = [event async for event in stream]
    assert asked.closed_at is not None
    assert not [event for event in left if event.type == "response.completed"]
    assert (await client.responses.cancel(given)).status == "cancelled"
    assert (await client.responses.retrieve(given)).status == "cancelled"


async def test_cancelling_what_nobody_has_begun(up: ScriptedUpstream, serve: Serve) -> None:
    served = await office(serve, up, works=False)
    client = gpt(served)
    made = await client.responses.create(model="first/ok", input="Hello", background=True)
    assert (await client.responses.cancel(made.id)).status == "cancelled"
    await served.network.work()
    other = await client.responses.create(model="first/ok", input="Hello", background=True)
    await ended(client, other.id)
    assert len(up.calls("ok")) == 1


async def test_cancelling_what_is_done_changes_nothing(up: ScriptedUpstream, serve: Serve) -> None:
    served = await office(serve, up)
    client = gpt(served)
    made = await client.responses.create(model="first/ok", input="Hello", background=True)
    done = await ended(client, made.id)
    assert await client.responses.cancel(made.id) == done


async def test_what_is_deleted_is_gone_and_stopped(up: ScriptedUpstream, serve: Serve) -> None:
    served = await office(serve, up)
    gate = up.gate("ok")
    client = gpt(served)
    made = await client.responses.create(model="first/ok", input="Hello", background=True)
    asked = await up.received(1)
    await client.responses.delete(made.id)
    async with asyncio.timeout(PATIENCE):
        await asked.ended()
    assert asked.closed_at is not None
    await gate.open()
    for call in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError):
            await call(made.id)


async def test_a_fault_of_the_caller_fails_at_once_with_the_reason(up: ScriptedUpstream, serve: Serve) -> None:
    served = await office(serve, up)
    client = gpt(served)
    made = await client.responses.create(model="first/400-bad-field", input="Hello", background=True)
    failed = await ended(client, made.id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.message
    assert len(up.calls("400-bad-field")) == 1


async def test_a_failed_stream_ends_with_the_reason(up: ScriptedUpstream, serve: Serve) -> None:
    served = await office(serve, up)
    stream = await gpt(served).responses.create(
        model="first/400-bad-field", input="Hello", background=True, stream=True
    )
    events = [event async for event in stream]
    assert numbers(events) == list(range(len(events)))
    assert events[-1].type == "response.failed"
    assert events[-1].response.error.message


async def test_while_no_model_can_answer_it_stays_queued(up: ScriptedUpstream, serve: Serve) -> None:
    up.script("weak", ["s03-500"])
    served = await office(serve, up)
    client = gpt(served)
    stream = await client.responses.create(model="first/weak", input="Hello", background=True, stream=True)
    given = (await anext(aiter(stream))).response.id
    await until(lambda: len(up.calls("weak")) >= 1)
    await waits(served, given)
    assert (await client.responses.retrieve(given)).status == "queued"
    up.script("weak", ["ok"])
    events = [event async for event in stream]
    assert text_of(events) == ANSWER
    assert events[-1].type == "response.completed"


async def waits(served: Served, given: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await served.network.tasks.get(given)).status != "waiting_for_model":  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("second", "shown"), [("ok", ANSWER), (Scenario(does="answers", reply=Reply(text=OTHER_ANSWER)), OTHER_ANSWER)]
)
async def test_a_stream_that_breaks_off_for_good_is_begun_again(
    up: ScriptedUpstream, serve: Serve, second: Scenario | str, shown: str
) -> None:
    up.script("torn", ["s08-cut-middle", second])
    served = await office(serve, up)
    client = gpt(served)
    async with client.responses.stream(model="first/torn", input="Hello", background=True) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert final.output_text == shown
    assert numbers(events) == list(range(len(events)))
    items: list[Any] = [event.item for event in events if event.type == "response.output_item.done"]
    if shown == ANSWER:
        assert text_of(events) == ANSWER
        assert [item.status for item in items] == ["completed"]
    else:
        assert [item.status for item in items] == ["incomplete", "completed"]
        assert ANSWER.startswith(items[0].content[0].text)
    assert [item.type for item in final.output] == ["message"]


async def test_the_server_that_was_at_it_goes_away_and_another_begins_again(up: ScriptedUpstream, serve: Serve) -> None:
    served = await office(serve, up)
    gate = up.gate("ok")
    async with beside(served) as other:
        stream = await gpt(other).responses.create(model="first/ok", input="Hello", background=True, stream=True)
        await gate.release(4)
        seen: list[Any] = []
        async for event in stream:
            seen.append(event)
            if len(text_of(seen).split()) >= 2:
                break
        worker = served.network.durable.runner
        assert worker is not None
        await served.network.durable.close()
        await gate.open()
        await other.network.work(worker.worker)
        seen += [event async for event in stream]
    assert numbers(seen) == list(range(len(seen)))
    assert text_of(seen) == ANSWER
    assert len(up.calls("ok")) == 2


async def test_each_key_sees_its_own(up: ScriptedUpstream, serve: Serve) -> None:
    served = await office(serve, up)
    mine, other = gpt(served, await served.key("mine")), gpt(served, await served.key("other"))
    made = await mine.responses.create(model="first/ok", input="Hello", background=True)
    await ended(mine, made.id)
    for call in (other.responses.retrieve, other.responses.delete, other.responses.cancel):
        with pytest.raises(openai.NotFoundError):
            await call(made.id)
    with pytest.raises(openai.BadRequestError) as refused:
        await other.responses.create(model="first/ok", input="And?", previous_response_id=made.id)
    assert refused.value.param == "previous_response_id"
    owner = gpt(served, served.network._admin)
    assert (await owner.responses.retrieve(made.id)).output_text == ANSWER
    assert (await served.recorded(1))[0]["key_id"] == (await served.network.tasks.get(made.id)).key_id


async def test_a_key_pays_and_obeys_its_limits_also_in_the_background(up: ScriptedUpstream, serve: Serve) -> None:
    served = await office(serve, up)
    narrow = gpt(served, await served.key("narrow", models=("first/other",)))
    with pytest.raises(openai.PermissionDeniedError):
        await narrow.responses.create(model="first/ok", input="Hello", background=True)
    closed = gpt(served, await served.key("closed", routes=("openai",)))
    with pytest.raises(openai.PermissionDeniedError):
        await closed.responses.retrieve("resp_1")


@pytest.mark.parametrize("background", [True, False])
async def test_a_conversation_goes_on_from_an_answer_that_is_kept(
    up: ScriptedUpstream, serve: Serve, background: bool
) -> None:
    served = await office(serve, up)
    client = gpt(served)
    first = await client.responses.create(model="first/ok", input="Hello", instructions="Kindly.", background=True)
    await ended(client, first.id)
    more: Any = await client.responses.create(
        model="first/ok", input="And?", previous_response_id=first.id, background=background
    )
    if background:
        more = await ended(client, more.id)
        assert more.previous_response_id == first.id
        third = await client.responses.create(model="first/ok", input="So?", previous_response_id=more.id)
        assert third.output_text == ANSWER
    said = [(message["role"], message["content"]) for message in up.calls("ok")[-1].json["messages"]]
    spoken = [("user", "Hello"), ("assistant", ANSWER), ("user", "And?")]
    assert said == spoken + ([("assistant", ANSWER), ("user", "So?")] if background else [])


async def test_a_conversation_cannot_go_on_from_what_is_not_answered(up: ScriptedUpstream, serve: Serve) -> None:
    served = await office(serve, up, works=False)
    client = gpt(served)
    first = await client.responses.create(model="first/ok", input="Hello", background=True)
    with pytest.raises(openai.BadRequestError, match="queued") as refused:
        await client.responses.create(model="first/ok", input="And?", previous_response_id=first.id, background=True)
    assert refused.value.param == "previous_response_id"


async def test_what_was_asked_can_be_listed(up: ScriptedUpstream, serve: Serve) -> None:
    served = await office(serve, up, works=False)
    client = gpt(served)
    asked: Any = [{"role": "user", "content": "One"}, {"role": "user", "content": "Two"}]
    made = await client.responses.create(model="first/ok", input=asked, background=True)
    listed: list[Any] = [item async for item in client.responses.input_items.list(made.id, limit=1)]
    assert [item.content[0].text for item in listed] == ["Two", "One"]
    oldest: Any = await client.responses.input_items.list(made.id, order="asc")
    assert [item.content[0].text for item in oldest.data] == ["One", "Two"]


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"store": False}, "store"),
        ({"background": "yes"}, "background"),
        ({"input": 7}, "input"),
        ({"stream": "yes"}, "stream"),
    ],
)
async def test_what_cannot_be_made_is_refused_at_once(
    up: ScriptedUpstream, serve: Serve, given: Json, param: str
) -> None:
    served = await office(serve, up, works=False)
    body = {"model": "first/ok", "input": "Hello", "background": True} | given
    got = await served.fetch("POST", "/v1/responses", body)
    assert got.status == 400
    assert json.loads(got.body)["error"]["param"] == param
    assert await served.network.tasks.list() == ([], None)


async def test_a_model_that_is_not_there_is_refused_at_once(up: ScriptedUpstream, serve: Serve) -> None:
    served = await office(serve, up, works=False)
    with pytest.raises(openai.NotFoundError) as refused:
        await gpt(served).responses.create(model="nobody", input="Hello", background=True)
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize("path", ["/v1/responses/resp_none", "/responses/resp_none?stream=true"])
async def test_what_is_not_kept_is_not_found(up: ScriptedUpstream, serve: Serve, path: str) -> None:
    served = await office(serve, up, works=False)
    got = await served.fetch("GET", path)
    error = json.loads(got.body)["error"]
    assert got.status == 404
    assert error["type"] == "invalid_request_error"
    assert "resp_none" in error["message"]


async def test_a_task_of_another_type_is_no_response(up: ScriptedUpstream, serve: Serve) -> None:
    served = await office(serve, up, works=False)
    task = await served.network.tasks.submit("Hello")
    assert (await served.fetch("GET", f"/v1/responses/{task.id}")).status == 404
    assert (await served.fetch("DELETE", f"/v1/responses/{task.id}")).status == 404


async def test_a_stream_can_only_be_had_of_what_was_made_as_one(up: ScriptedUpstream, serve: Serve) -> None:
    served = await office(serve, up, works=False)
    client = gpt(served)
    made = await client.responses.create(model="first/ok", input="Hello", background=True)
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.retrieve(made.id, stream=True)
    assert refused.value.param == "stream"
    got = await served.fetch("GET", f"/v1/responses/{made.id}?stream=true&starting_after=last")
    assert got.status == 400
