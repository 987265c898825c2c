"""OpenAI Responses: streams, read and written. What is written goes through the official client's own types."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from chittycan import chat
from chittycan.chat import (
    ChatEvent,
    ChatResponse,
    Done,
    Failed,
    Finished,
    Malformed,
    OpaqueBlock,
    RefusalDelta,
    Started,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ThinkingSigned,
    ToolCall,
    ToolDelta,
    ToolStarted,
    Usage,
    UsageReported,
)
from chittycan.dialects import openai_responses as dialect
from chittycan.errors import AllRateLimited, ChittyError, InvalidRequest, StreamBroken, UpstreamRefused

Json = dict[str, Any]
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

KINDS = [
    "",
    "x",
    "error",
    "response.created",
    "response.completed",
    "response.failed",
    "response.output_item.added",
    "response.output_item.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.refusal.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.reasoning_summary_part.added",
    "response.reasoning_text.delta",
]
KEYS = ["type", "item", "response", "delta", "arguments", "output", "content", "id", "call_id", "name", "text", "error"]
TYPES = ["message", "reasoning", "function_call", "custom_tool_call", "output_text", "failed"]
ODD_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(TYPES),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)


def read(*events: Json, named: bool = True) -> list[ChatEvent]:
    parser = dialect.stream_parser()
    return [out for event in events for out in parser.feed(event["type"] if named else "", json.dumps(event))]


def created(**fields: Any) -> Json:
    return {
        "type": "response.created",
        "response": {"id": "resp_u", "model": "gpt-5", "created_at": 1700000000} | fields,
    }


def completed(**fields: Any) -> Json:
    return {"type": "response.completed", "response": {"id": "resp_u", "status": "completed", "output": []} | fields}


def text_delta(text: str) -> Json:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    return {"type": "response.output_text.delta", "delta": text, "logprobs": [], "sequence_number": 4} | place


def call_added(index: int, call_id: str, name: str = "f", kind: str = "function_call") -> Json:
    item = {"id": f"fc_{index}", "type": kind, "call_id": call_id, "name": name, "arguments": "", "input": ""}
    return {"type": "response.output_item.added", "output_index": index, "item": item | {"status": "in_progress"}}


def arguments(index: int, delta: str) -> Json:
    place = {"item_id": f"fc_{index}", "output_index": index}
    return {"type": "response.function_call_arguments.delta", "delta": delta} | place


def item_done(index: int, item: Json) -> Json:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


class TestParser:
    def test_text(self) -> None:
        events = read(
            created(),
            {"type": "response.in_progress", "response": {"id": "resp_u"}},
            {"type": "response.output_item.added", "output_index": 0, "item": {"id": "msg_1", "type": "message"}},
            {"type": "response.content_part.added", "content_index": 0, "part": {"type": "output_text", "text": ""}},
            text_delta("Hel"),
            text_delta("lo"),
            {"type": "response.output_text.done", "text": "Hello"},
            item_done(0, {"id": "msg_1", "type": "message", "content": [{"type": "output_text", "text": "Hello"}]}),
            completed(usage={"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}),
        )
        assert events == [
            Started("resp_u", "gpt-5", 1700000000),
            TextDelta("Hel"),
            TextDelta("lo"),
            UsageReported(Usage(3, 2)),
            Finished("stop"),
            Done(),
        ]

    def test_events_without_a_name_are_told_by_their_type(self) -> None:
        assert read(created(), text_delta("x"), completed(), named=False)[1:] == [
            TextDelta("x"),
            Finished("stop"),
            Done(),
        ]

    def test_text_that_came_without_deltas_is_not_lost(self) -> None:
        done = {"type": "response.output_text.done", "text": "Hello"}
        assert read(created(), done, completed())[1] == TextDelta("Hello")
        item = item_done(0, {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]})
        assert read(created(), item, completed())[1] == TextDelta("Hello")
        output = [{"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}]
        assert read(created(), completed(output=output))[1] == TextDelta("Hello")

    def test_the_end_of_a_text_that_only_done_holds_is_added(self) -> None:
        events = read(created(), text_delta("Hel"), {"type": "response.output_text.done", "text": "Hello"})
        assert events[1:] == [TextDelta("Hel"), TextDelta("lo")]

    def test_parallel_calls_count_from_zero(self) -> None:
        events = read(
            created(),
            item_done(0, {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "e"}),
            call_added(1, "a"),
            arguments(1, '{"x":'),
            call_added(2, "b", "g"),
            arguments(2, "{}"),
            arguments(1, "1}"),
            completed(),
        )
        answer = chat.collect(events)
        calls = [(part.id, part.name, part.arguments) for part in answer.parts if isinstance(part, ToolCall)]
        assert calls == [("a", "f", '{"x":1}'), ("b", "g", "{}")]
        assert [event.index for event in events if isinstance(event, ToolStarted)] == [0, 1]
        assert answer.stop_reason == "tool_calls"

    def test_arguments_only_in_done_come_once(self) -> None:
        done = {"type": "response.function_call_arguments.done", "item_id": "fc_0", "output_index": 0}
        item = {"id": "fc_0", "type": "function_call", "call_id": "a", "name": "f", "arguments": '{"x":1}'}
        events = read(created(), call_added(0, "a"), done | {"arguments": '{"x":1}'}, item_done(0, item), completed())
        assert [event for event in events if isinstance(event, ToolDelta)] == [ToolDelta(0, '{"x":1}')]

    def test_a_call_that_only_item_done_holds(self) -> None:
        item = {"id": "fc_0", "type": "function_call", "call_id": "a", "name": "f", "arguments": '{"x":1}'}
        call = chat.collect(read(created(), item_done(0, item), completed())).parts[0]
        assert isinstance(call, ToolCall)
        assert (call.id, call.name, call.arguments) == ("a", "f", '{"x":1}')

    def test_free_text_of_a_custom_tool_becomes_json_as_it_comes(self) -> None:
        place = {"item_id": "fc_0", "output_index": 0}
        events = read(
            created(),
            call_added(0, "a", "apply_patch", "custom_tool_call"),
            {"type": "response.custom_tool_call_input.delta", "delta": ""} | place,
            {"type": "response.custom_tool_call_input.delta", "delta": 'say "hi"\n'} | place,
            {"type": "response.custom_tool_call_input.delta", "delta": "end"} | place,
            {"type": "response.custom_tool_call_input.done", "input": 'say "hi"\nend'} | place,
            completed(),
        )
        call = chat.collect(events).parts[0]
        assert isinstance(call, ToolCall)
        assert json.loads(call.arguments) == {"input": 'say "hi"\nend'}

    def test_reasoning_summary_and_signature(self) -> None:
        events = read(
            created(),
            {"type": "response.output_item.added", "output_index": 0, "item": {"id": "rs_1", "type": "reasoning"}},
            {"type": "response.reasoning_summary_part.added", "summary_index": 0},
            {"type": "response.reasoning_summary_text.delta", "delta": "one", "summary_index": 0},
            {"type": "response.reasoning_summary_part.added", "summary_index": 1},
            {"type": "response.reasoning_summary_text.delta", "delta": "two", "summary_index": 1},
            item_done(0, {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"}),
            text_delta("x"),
            completed(),
        )
        thinking = chat.collect(events).parts[0]
        assert isinstance(thinking, Thinking)
        assert (thinking.text, thinking.signature, thinking.signer) == ("one\n\ntwo", "gAAA", "openai_responses")

    def test_a_refusal(self) -> None:
        events = read(created(), {"type": "response.refusal.delta", "delta": "I can't"}, completed())
        assert events[1:] == [RefusalDelta("I can't"), Finished("content_filter"), Done()]

    @pytest.mark.parametrize(
        ("reason", "stop"), [("max_output_tokens", "length"), ("content_filter", "content_filter")]
    )
    def test_incomplete(self, reason: str, stop: str) -> None:
        details = {"response": {"status": "incomplete", "incomplete_details": {"reason": reason}, "output": []}}
        assert read(created(), text_delta("x"), {"type": "response.incomplete"} | details)[-2:] == [
            Finished(stop),
            Done(),
        ]

    def test_items_of_openais_own_tools_are_kept_whole(self) -> None:
        item = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
        assert read(created(), item_done(0, item))[1] == OpaqueBlock("openai_responses", item)

    @pytest.mark.parametrize(
        "error",
        [
            {"type": "error", "error": {"type": "insufficient_quota", "code": "insufficient_quota", "message": "none"}},
            {"type": "error", "code": "insufficient_quota", "message": "none", "param": None, "sequence_number": 2},
        ],
    )
    def test_an_error_event_nested_or_flat_is_one_failure(self, error: Json) -> None:
        failed = {"type": "response.failed", "response": {"status": "failed", "error": {"code": "insufficient_quota"}}}
        events = read(created(), {"type": "response.in_progress", "response": {}}, error, failed)
        kind = "insufficient_quota" if "error" in error else None
        assert events[1:] == [Failed(429, kind, "insufficient_quota", "none")]

    def test_a_failed_response_alone_is_a_failure(self) -> None:
        error = {"code": "server_error", "message": "oops"}
        assert read({"type": "response.failed", "response": {"status": "failed", "error": error}}) == [
            Failed(500, None, "server_error", "oops")
        ]

    def test_what_cannot_be_read_is_counted_and_the_rest_goes_on(self) -> None:
        parser = dialect.stream_parser()
        assert isinstance(parser.feed("response.output_text.delta", '{"delta": ')[0], Malformed)
        assert isinstance(parser.feed("response.output_text.delta", '{"delta": 5}')[0], Malformed)
        assert isinstance(parser.feed("", "not json")[0], Malformed)
        assert parser.feed("response.output_text.delta", '{"delta": "x"}') == [TextDelta("x")]

    def test_events_unknown_to_us_and_end_marks_of_others_say_nothing(self) -> None:
        parser = dialect.stream_parser()
        assert parser.feed("response.web_search_call.searching", "{}") == []
        assert parser.feed("keepalive", "") == []
        assert parser.feed("", "[DONE]") == []

    @given(st.lists(st.tuples(st.sampled_from(KINDS), ODD_JSON), max_size=8))
    def test_never_raises(self, events: list[tuple[str, Any]]) -> None:
        parser = dialect.stream_parser()
        for name, value in events:
            assert isinstance(parser.feed(name, json.dumps(value)), list)

    @given(st.sampled_from(KINDS), st.text())
    def test_never_raises_for_what_is_not_json(self, name: str, data: str) -> None:
        assert isinstance(dialect.stream_parser().feed(name, data), list)


def write(*events: ChatEvent, request: Json | None = None, error: ChittyError | None = None) -> list[Json]:
    """Every event that a client reads, each valid by the client's own types and without loss."""
    chat_request = dialect.parse_request({"model": "m", "input": "hi"} | request) if request else None
    builder = dialect.stream_builder("abc", "our-model", 1700000000, False, chat_request)
    written = b"".join(builder.build(event) for event in events)
    return decode(written + (builder.fail(error) if error else builder.end()))


def decode(written: bytes) -> list[Json]:
    events = []
    for block in written.decode().removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def validate(events: list[Json]) -> Response:
    """Through the client's own types, without loss, and through what the client accumulates a stream with."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    for event in events:
        typed = EVENT.validate_python(event)
        assert typed.model_dump(mode="json", by_alias=True, exclude_unset=True) == event
        state.handle_event(typed)
    return Response.model_validate(events[-1]["response"])


def kinds(events: list[Json]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


class TestBuilder:
    def test_text(self) -> None:
        events = write(
            Started("up", "gpt-5"), TextDelta("Hel"), TextDelta("lo"), UsageReported(Usage(3, 2)), Finished("stop")
        )
        assert kinds(events) == [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed",
        ]
        assert [event["delta"] for event in events if "delta" in event] == ["Hel", "lo"]
        final = events[-1]["response"]
        assert (final["id"], final["model"], final["status"]) == ("resp_abc", "gpt-5", "completed")
        assert final["output"][0]["content"][0]["text"] == "Hello"
        assert final["usage"]["total_tokens"] == 5
        validate(events)

    def test_a_second_attempt_begins_nothing_again(self) -> None:
        events = write(Started("a", "first"), Started("b", "second"), TextDelta("x"), Finished("stop"))
        assert kinds(events).count("created") == 1
        models = [event["response"]["model"] for event in events if "response" in event]
        assert models == ["first", "first", "second"]  # created, in progress, completed: by whom it was

    def test_reasoning_message_and_parallel_calls(self) -> None:
        events = write(
            Started("up", "claude"),
            ThinkingDelta("let me "),
            ThinkingDelta("see"),
            ThinkingSigned("sig", signer="anthropic"),
            TextDelta("I'll look."),
            ToolStarted(0, "a", "f"),
            ToolDelta(0, '{"x"'),
            ToolStarted(1, "b", "g"),
            ToolDelta(0, ":1}"),
            Finished("tool_calls"),
        )
        final = validate(events)
        assert [item.type for item in final.output] == ["reasoning", "message", "function_call", "function_call"]
        added = [
            (event["output_index"], event["item"]["id"]) for event in events if event["type"].endswith("item.added")
        ]
        done = {(event["output_index"], event["item"]["id"]) for event in events if event["type"].endswith("item.done")}
        assert [index for index, _ in added] == [0, 1, 2, 3]
        assert set(added) == done
        calls = [item for item in events[-1]["response"]["output"] if item["type"] == "function_call"]
        assert [(call["call_id"], call["arguments"]) for call in calls] == [("a", '{"x":1}'), ("b", "{}")]
        deltas = [event for event in events if event["type"].endswith("arguments.delta")]
        assert [(event["output_index"], event["delta"]) for event in deltas] == [(2, '{"x"'), (2, ":1}"), (3, "{}")]

    def test_what_the_stream_says_is_what_the_whole_answer_would_have_said(self) -> None:
        events: list[ChatEvent] = [
            Started("abc", "claude", 1700000000),
            ThinkingSigned(redacted="cmVk", signer="anthropic"),
            ThinkingDelta("hm"),
            ThinkingSigned("sig", signer="anthropic"),
            TextDelta("Hello"),
            RefusalDelta("but no"),
            ToolStarted(0, "a", "f"),
            ToolDelta(0, "{}"),
            UsageReported(Usage(3, 2, cached=1)),
            Finished("tool_calls"),
        ]
        assert write(*events)[-1]["response"] == dialect.build_response(chat.collect(events))

    def test_a_custom_tools_call_is_free_text_again(self) -> None:
        tools = {"tools": [{"type": "custom", "name": "apply_patch"}]}
        arguments = [ToolDelta(0, '{"inp'), ToolDelta(0, 'ut": "*** Begin"}')]
        events = write(Started(), ToolStarted(0, "a", "apply_patch"), *arguments, Finished("tool_calls"), request=tools)
        assert kinds(events)[2:] == [
            "output_item.added",
            "custom_tool_call_input.delta",
            "custom_tool_call_input.done",
            "output_item.done",
            "completed",
        ]
        assert events[2]["item"]["input"] == ""
        assert events[-1]["response"]["output"][0]["input"] == "*** Begin"

    @pytest.mark.parametrize(
        ("reason", "detail"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
    )
    def test_an_answer_cut_short_is_incomplete(self, reason: str, detail: str) -> None:
        events = write(Started(), TextDelta("x"), Finished(reason))
        assert events[-1]["type"] == "response.incomplete"
        assert events[-1]["response"]["incomplete_details"] == {"reason": detail}
        validate(events)

    def test_no_content_is_an_empty_answer(self) -> None:
        events = write(Started(), TextDelta(""), Finished("stop"))
        assert kinds(events) == ["created", "in_progress", "completed"]
        assert events[-1]["response"]["output"] == []

    @pytest.mark.parametrize(
        ("error", "code", "ours"),
        [
            (StreamBroken("cut"), "server_error", "upstream_stream_incomplete"),
            (AllRateLimited("busy"), "rate_limit_exceeded", "rate_limit_exceeded"),
            (InvalidRequest("bad"), "invalid_prompt", "invalid_request"),
            (
                UpstreamRefused("long", status=400, code="context_length_exceeded"),
                "context_length_exceeded",
                "context_length_exceeded",
            ),
        ],
    )
    def test_a_broken_stream_ends_in_a_failed_response(self, error: ChittyError, code: str, ours: str) -> None:
        events = write(Started(), TextDelta("x"), error=error)
        assert kinds(events)[-1] == "failed"
        assert not {"completed", "incomplete"} & set(kinds(events))
        failed = events[-1]["response"]
        assert (failed["status"], failed["error"]["code"], failed["error"]["type"]) == ("failed", code, ours)
        assert failed["error"]["message"] == error.message

    def test_a_failure_before_anything_still_begins_with_created(self) -> None:
        assert kinds(write(error=StreamBroken("cut"))) == ["created", "in_progress", "failed"]

    def test_blocks_of_other_dialects_are_not_shown(self) -> None:
        events = write(Started(), OpaqueBlock("anthropic", {"type": "server_tool_use"}), Finished("stop"))
        assert kinds(events) == ["created", "in_progress", "completed"]

    def test_parsed_again_it_is_the_same_answer(self) -> None:
        events: list[ChatEvent] = [
            Started("resp_abc", "m", 1700000000),
            ThinkingDelta("hm"),
            ThinkingSigned("sig", signer="anthropic"),
            TextDelta('Grüße 👋 \u2028 "quoted"\n'),
            ToolStarted(0, "a", "f"),
            ToolDelta(0, '{"x":1}'),
            UsageReported(Usage(3, 2, cached=1, reasoning=1)),
            Finished("tool_calls"),
        ]
        again = chat.collect(read(*write(*events)))
        assert plain(again) == plain(chat.collect(events))

    @given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"])), max_size=5))
    def test_any_text_arrives_as_it_was(self, texts: list[str]) -> None:
        builder = dialect.stream_builder("abc", "m", 1, False)
        written = b"".join(builder.build(TextDelta(text)) for text in texts) + builder.build(Finished("stop"))
        body = decode(written + builder.end())[-1]["response"]
        said = "".join(part["text"] for item in body["output"] for part in item["content"])
        assert said == "".join(texts)


def plain(response: ChatResponse) -> ChatResponse:
    """Without what only this dialect keeps."""
    for part in response.parts:
        if isinstance(part, ToolCall | Thinking):
            part.extra = None
    return response
