"""An answer that is complete, told as a stream."""

from typing import Any

import pytest

from chittycan.chat import ChatEvent, ChatResponse, Text, Usage, collect
from chittycan.dialects import load
from chittycan.dialects.sse import Splitter
from chittycan.gateway.call import Answer, Trace
from chittycan.gateway.ensemble_stream import ToldStream
from gateway_parts import call

ANSWER = Answer(
    response=ChatResponse(
        id="req_1", model="ensemble:e", parts=[Text("Paris\nit is")], stop_reason="stop",
        usage=Usage(input=30, output=6), created=1_800_000_000,
    ),
    trace=Trace(request_id="req_1", model="ensemble:e"),
)  # fmt: skip


async def read(stream: ToldStream, surface: str) -> ChatResponse:
    parser, splitter = load(surface).stream_parser(), Splitter()
    data = b"".join([chunk async for chunk in stream.chunks()])
    events: list[ChatEvent] = []
    for each in [*splitter.feed(data), *splitter.close()]:
        events += parser.feed(each.event, each.data)
    return collect(events)


@pytest.mark.parametrize("surface", ["openai", "openai_responses", "anthropic"])
async def test_a_client_reads_the_whole_answer(surface: str) -> None:
    fields: dict[str, Any] = {"stream_options": {"include_usage": True}} if surface == "openai" else {}
    stream = ToldStream(call(surface, model="ensemble:e", stream=True, fields=fields), ANSWER)
    found = await read(stream, surface)
    assert (found.text, found.model, found.stop_reason) == ("Paris\nit is", "ensemble:e", "stop")
    assert found.usage is not None
    assert (found.usage.input, found.usage.output) == (30, 6)


async def test_usage_is_only_told_to_who_asked_for_it() -> None:
    stream = ToldStream(call("openai", model="ensemble:e", stream=True), ANSWER)
    assert (await read(stream, "openai")).usage is None


async def test_a_caller_in_this_process_gets_the_events() -> None:
    stream = ToldStream(call(None, model="ensemble:e", stream=True), ANSWER)
    found = collect([event async for event in stream.events()])
    assert (found.text, found.stop_reason) == ("Paris\nit is", "stop")
    stream.close()
