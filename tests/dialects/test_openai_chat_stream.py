"""Streams of OpenAI chat: every vendor's habits in, one clean form out."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan import errors
from chittycan.chat import (
    ChatEvent,
    Done,
    Failed,
    Finished,
    Malformed,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCall,
    ToolDelta,
    ToolStarted,
    Usage,
    UsageReported,
    collect,
)
from chittycan.dialects import openai_chat
from chittycan.dialects.sse import Splitter

WORDS = (
    "id model created choices delta content tool_calls function name arguments index finish_reason usage error x_groq"
    " reasoning message type object code detail function_call reasoning_details extra_content google refusal"
)
KEYS = st.sampled_from(WORDS.split())
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "stop", "error", "{", "f"])
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


def feed(*chunks: Any) -> list[ChatEvent]:
    parser = openai_chat.stream_parser()
    return [
        event for chunk in chunks for event in parser.feed("", chunk if isinstance(chunk, str) else json.dumps(chunk))
    ]


def delta(index: int | None = 0, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": index, "delta": fields, "finish_reason": reason}]}


def piece(name: str | None = None, arguments: Any = "", **fields: Any) -> dict[str, Any]:
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return delta(tool_calls=[{"function": function, **fields}])


def calls(*chunks: Any) -> list[tuple[str, str]]:
    """(name, arguments) of the tool calls that the chunks add up to."""
    return [(part.name, part.arguments) for part in collect(feed(*chunks)).parts if isinstance(part, ToolCall)]


@given(st.lists(JSON, max_size=5), st.sampled_from(["", "error", "ping"]))
def test_any_json_is_read_without_an_exception(chunks: list[Any], name: str) -> None:
    parser, builder = openai_chat.stream_parser(), openai_chat.stream_builder("r", "m", 1, True)
    for chunk in chunks:
        for event in parser.feed(name, json.dumps(chunk)):
            builder.build(event)


@given(st.text(max_size=30) | st.text('{}[]":,\\ \n[DONE]', max_size=30), st.sampled_from(["", "error"]))
def test_any_text_is_read_without_an_exception(data: str, name: str) -> None:
    openai_chat.stream_parser().feed(name, data)


def test_nesting_that_breaks_a_parser_is_malformed() -> None:
    assert feed('{"a":' * 20_000) == [Malformed("not valid JSON")]
    assert feed('{"error":' + "[" * 20_000 + "]" * 20_000 + "}") == [Malformed("not valid JSON")]


F, G = {"index": 0, "id": "a"}, {"index": 1, "id": "b"}
REST = piece(None, "}", index=0)


@pytest.mark.parametrize(
    ("case", "chunks"),
    [
        ("numbered", [piece("f", "", **F), piece(None, "{}", index=0), piece("g", "{}", **G)]),
        ("no index", [piece("f", "{", id="a"), piece(None, "}"), piece("g", "{}", id="b")]),
        ("all at index 0", [piece("f", "{}", **F), piece("g", "{}", index=0, id="b")]),
        ("no ids", [piece("f", "{}", index=0), piece("g", "{}", index=0)]),
        ("id in every piece", [piece("f", "{", **F), piece(None, "}", **F), piece("g", "{}", **G)]),
        ("name in every piece", [piece("f", "{", **F), piece("f", "}", **F), piece("g", "{}", **G)]),
        ("new id in every piece", [piece("f", "{", **F), piece(None, "}", index=0, id="z"), piece("g", "{}", **G)]),
        ("same id twice", [piece("f", "{}", **F), piece("g", "{}", index=1, id="a")]),
        ("arguments as object", [piece("f", {}, **F), piece("g", {}, **G)]),
        ("indexes from 1", [piece("f", "{}", index=1, id="a"), piece("g", "{}", index=2, id="b")]),
        ("null arguments", [piece("f", None, **F), piece("g", None, **G)]),
        ("interleaved", [piece("f", "{", **F), piece("g", "{", **G), REST, piece(None, "}", index=1)]),
    ],
)
def test_parallel_calls_are_told_apart(case: str, chunks: list[Any]) -> None:
    events = feed(*chunks, delta(reason="stop"))
    started = [event for event in events if isinstance(event, ToolStarted)]
    assert [event.index for event in started] == [0, 1]
    assert len({event.id for event in started}) == 2
    assert calls(*chunks) == [("f", "{}"), ("g", "{}")]
    assert events[-1] == Finished("tool_calls")


def test_the_same_tool_called_twice_without_ids() -> None:
    assert calls(piece("f", '{"a":1}', index=0), piece("f", '{"a":2}', index=0)) == [("f", '{"a":1}'), ("f", '{"a":2}')]


def test_a_piece_of_a_call_that_never_began_is_malformed() -> None:
    assert isinstance(feed(piece(None, "{}", index=3))[-1], Malformed)


@pytest.mark.parametrize(
    ("name", "data", "failed"),
    [
        ("", {"error": {"message": "m", "code": 502}}, Failed(502, None, "502", "m")),
        ("", {"error": {"message": "m", "type": "rate_limit_exceeded"}}, Failed(429, "rate_limit_exceeded", None, "m")),
        ("", {"error": "boom"}, Failed(502, None, None, "boom")),
        ("", {"object": "error", "message": "m", "code": 400}, Failed(400, None, "400", "m")),
        ("error", {"message": "m", "type": "overloaded_error"}, Failed(529, "overloaded_error", None, "m")),
        ("error", "oops", Failed(502, None, None, "oops")),
        ("", {"error": {"message": "m", "code": "insufficient_quota"}}, Failed(429, None, "insufficient_quota", "m")),
    ],
)
def test_an_error_inside_the_stream_is_told_with_its_status(name: str, data: Any, failed: Failed) -> None:
    text = data if isinstance(data, str) else json.dumps(data)
    assert openai_chat.stream_parser().feed(name, text) == [failed]


def test_a_finish_reason_of_error_is_a_failure() -> None:
    assert isinstance(feed(delta(reason="error"))[-1], Failed)


def test_what_precedes_content_is_not_content() -> None:
    azure = {"id": "", "model": "", "choices": [], "prompt_filter_results": []}
    assert feed(azure, delta(role="assistant", content="")) == [Started("c", "m")]


def test_odd_chunks_say_nothing() -> None:
    odd = [{"choices": [{"delta": None}]}, {"choices": [{}]}, {"choices": [None]}, {"type": "ping"}, "", {"id": 5}]
    assert feed(*odd, delta(content=None)) == [Started("c", "m")]


def test_each_choice_finishes_once() -> None:
    events = feed(delta(reason="stop"), delta(reason="stop"), delta(index=1, reason="length"))
    assert events[1:] == [Finished("stop"), Finished("length", choice=1)]


def test_an_empty_finish_reason_is_none() -> None:
    assert feed(delta(reason="", content="a"))[1:] == [TextDelta("a")]


def test_groqs_own_place_for_usage_is_read() -> None:
    chunk = {**delta(reason="stop"), "x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}}
    assert feed(chunk)[-1] == UsageReported(Usage(input=3, output=4))


def test_the_end_marker() -> None:
    assert feed("[DONE]", " [DONE] ") == [Done(), Done()]


def test_both_names_of_reasoning_are_read() -> None:
    assert feed(delta(reasoning="a"), delta(reasoning_content="b"))[1:] == [ThinkingDelta("a"), ThinkingDelta("b")]


def written(*events: ChatEvent, usage: bool = False, end: bool = False) -> list[Any]:
    builder = openai_chat.stream_builder("chatcmpl-x", "ours", 7, usage)
    stream = b"".join(builder.build(event) for event in events) + (builder.end() if end else b"")
    return [e.data if e.data == "[DONE]" else json.loads(e.data) for e in Splitter().feed(stream)]


def test_nothing_is_written_before_content_and_nothing_of_a_failed_attempt_leaks() -> None:
    assert written(Started("first", "a", 1), UsageReported(Usage(input=1))) == []
    chunks = written(Started("first", "a", 1), Started(None, "b", None), TextDelta("x"), Started("late", "c", 3))
    assert {(chunk["id"], chunk["model"], chunk["created"]) for chunk in chunks} == {("chatcmpl-x", "b", 7)}


def test_the_usage_chunk_comes_only_when_asked_for_and_has_no_choices() -> None:
    events = (TextDelta("x"), UsageReported(Usage(input=1)), UsageReported(Usage(2, 3)), Finished("stop"))
    *chunks, last, done = written(*events, usage=True, end=True)
    assert all(chunk["usage"] is None for chunk in chunks)
    assert (last["choices"], last["usage"]["total_tokens"], done) == ([], 5, "[DONE]")
    quiet = written(*events, end=True)
    assert quiet[-1] == "[DONE]"
    assert not any("usage" in chunk for chunk in quiet[:-1])


def test_an_answer_without_content_still_names_its_role_and_end() -> None:
    assert [chunk["choices"][0]["delta"] for chunk in written(Finished("stop"))] == [
        {"role": "assistant", "content": ""},
        {},
    ]


def test_a_signature_follows_the_thinking_it_signs() -> None:
    chunks = written(ThinkingDelta("h"), ThinkingDelta("m"), ThinkingSigned("sig", signer="anthropic"), TextDelta("a"))
    assert chunks[3]["choices"][0]["delta"]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "hm", "signature": "sig", "format": "anthropic-claude-v1"}
    ]


def test_a_broken_stream_ends_with_an_error_and_no_end_marker() -> None:
    builder = openai_chat.stream_builder("r", "m", 1, True)
    error = errors.StreamBroken("cut", attempts=[{"model": "a", "class": "truncated", "status": 200, "ms": 5}])
    (event,) = Splitter().feed(builder.fail(error))
    assert json.loads(event.data)["error"] == {
        "message": "cut",
        "type": "upstream_stream_incomplete",
        "param": None,
        "code": "upstream_stream_incomplete",
        "attempts": error.attempts,
    }


@given(
    st.lists(
        st.builds(TextDelta, st.text(st.characters(codec="utf-8"), min_size=1, max_size=9))
        | st.builds(ThinkingDelta, st.text(st.characters(codec="utf-8"), min_size=1, max_size=9)),
        max_size=6,
    ),
    st.lists(st.sampled_from(["f", "g"]), max_size=3),
)
def test_what_is_written_reads_back(content: list[ChatEvent], tools: list[str]) -> None:
    events = list(content)
    for index, name in enumerate(tools):
        events += [ToolStarted(index, f"c{index}", name), ToolDelta(index, '{"a":'), ToolDelta(index, "1}")]
    events += [Finished("tool_calls" if tools else "stop"), UsageReported(Usage(1, 2))]
    builder, parser = openai_chat.stream_builder("r", "m", 1, True), openai_chat.stream_parser()
    stream = b"".join(builder.build(event) for event in events) + builder.end()
    read = [event for raw in Splitter().feed(stream) for event in parser.feed(raw.event, raw.data)]
    assert read == [Started("r", "m", 1), *events, Done()]
