"""Anthropic Messages: what the golden files do not show, and properties over any input."""

import json
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import anthropic.types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from chittycan.chat import (
    ChatEvent,
    ChatRequest,
    Done,
    Failed,
    Finished,
    Image,
    Malformed,
    Message,
    Reasoning,
    ResponseFormat,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingSigned,
    Tool,
    ToolCall,
    ToolChoice,
    ToolDelta,
    ToolResult,
    ToolStarted,
    Usage,
    UsageReported,
    collect,
    user,
)
from chittycan.dialects import anthropic_messages as dialect
from chittycan.dialects.anthropic_messages.models import traits
from chittycan.errors import (
    AllFailed,
    AllRateLimited,
    BudgetExceeded,
    InvalidRequest,
    ProviderError,
    Unauthenticated,
    UnknownModel,
    UpstreamRefused,
)

GOLDEN = Path(__file__).parents[1] / "golden"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
BLOCK_TYPES = ["text", "image", "document", "thinking", "redacted_thinking", "tool_use", "tool_result", "new_thing"]
BLOCK = st.fixed_dictionaries(
    {"type": st.sampled_from(BLOCK_TYPES)},
    optional={
        "text": JSON,
        "thinking": JSON,
        "signature": JSON,
        "data": JSON,
        "id": st.text(max_size=5),
        "name": st.text(max_size=5),
        "input": JSON,
        "tool_use_id": st.text(max_size=5) | JSON,
        "content": JSON,
        "source": st.fixed_dictionaries({"type": st.sampled_from(["base64", "url", "text", "file", "content"])}) | JSON,
        "cache_control": JSON,
    },
)
BODY = st.fixed_dictionaries(
    {
        "model": st.just("claude-sonnet-4-5"),
        "messages": st.lists(
            st.fixed_dictionaries(
                {
                    "role": st.sampled_from(["user", "assistant", "system", "tool"]),
                    "content": st.text(max_size=5) | st.lists(BLOCK, max_size=4) | JSON,
                }
            ),
            max_size=4,
        ),
    },
    optional={
        "max_tokens": st.integers(0, 5000) | JSON,
        "system": st.text() | st.lists(BLOCK, max_size=2) | JSON,
        "tools": st.lists(st.fixed_dictionaries({"name": st.text(max_size=5)}), max_size=2) | JSON,
        "tool_choice": st.fixed_dictionaries({"type": st.sampled_from(["auto", "any", "tool", "x"])}) | JSON,
        "thinking": st.fixed_dictionaries({"type": st.sampled_from(["enabled", "disabled", "adaptive"])}) | JSON,
        "output_config": JSON,
        "stop_sequences": JSON,
        "metadata": JSON,
    },
)


# Any input


@given(BODY | st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_any_body_becomes_a_request_that_can_be_built_or_is_refused(body: dict[str, Any]) -> None:
    try:
        built = dialect.build_request(dialect.parse_request(body))
    except InvalidRequest:
        return
    roles = [message["role"] for message in built["messages"]]
    assert roles[0] == "user"
    assert all(before != after for before, after in pairwise(roles))
    assert all(message["content"] for message in built["messages"][:-1])


@given(st.text() | JSON.map(json.dumps))
def test_the_stream_parser_takes_any_data(data: str) -> None:
    parser = dialect.stream_parser()
    parser.feed("", data)
    parser.feed("message", data)


EVENT_TYPES = ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta"]
DELTA_TYPES = ["text_delta", "input_json_delta", "thinking_delta", "signature_delta", "citations_delta"]


@given(
    st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from([*EVENT_TYPES, "message_stop", "error", "ping"])},
            optional={
                "index": st.integers(0, 2),
                "content_block": BLOCK,
                "delta": st.fixed_dictionaries(
                    {"type": st.sampled_from(DELTA_TYPES)},
                    optional={"text": st.text(), "partial_json": st.text(), "thinking": st.text(), "signature": JSON},
                )
                | JSON,
                "message": JSON,
                "usage": JSON,
                "error": JSON,
            },
        ),
        max_size=10,
    )
)
def test_any_order_of_events_is_read_and_written_as_blocks_that_open_and_close(events: list[dict[str, Any]]) -> None:
    parser, builder = dialect.stream_parser(), dialect.stream_builder("r", "m", 0, True)
    written = b""
    for event in events:
        for neutral in parser.feed(event["type"], json.dumps(event)):
            written += builder.build(neutral)
    assert well_formed(read(written + builder.end()))


@given(st.binary(max_size=200), st.sampled_from([400, 401, 404, 429, 500, 502, 529]))
def test_any_error_body_is_read(body: bytes, status: int) -> None:
    failed = dialect.parse_error(status, body)
    assert failed.status == status
    assert failed.message


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_any_answer_is_read_or_named_unreadable(body: dict[str, Any]) -> None:
    with suppress(ProviderError):
        assert dialect.parse_response(body).parts is not None


def read(written: bytes) -> list[dict[str, Any]]:
    events = []
    for block in written.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        value = json.loads(data.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        events.append(value)
    return events


def well_formed(events: list[dict[str, Any]]) -> bool:
    """One start, blocks numbered from 0 that open, grow and close one after the other, one end."""
    kinds = [event["type"] for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("message_start") == kinds.count("message_delta") == 1
    current, count = None, 0
    for event in events[1:-2]:
        match event["type"]:
            case "content_block_start":
                assert (current, event["index"]) == (None, count)
                current, count = event["index"], count + 1
            case "content_block_delta":
                assert event["index"] == current
            case "content_block_stop":
                assert event["index"] == current
                current = None
    return current is None


# The vendor's own types accept what we write


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("anthropic-*/*/stream.out.sse")), ids=lambda path: path.parent.name)
def test_the_vendors_client_accepts_our_streams(path: Path) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(anthropic.types.RawMessageStreamEvent)
    for event in read(path.read_bytes()):
        if event["type"] != "error":
            assert adapter.validate_python(event).type == event["type"]


@pytest.mark.parametrize(
    "path", sorted(GOLDEN.glob("anthropic-*/*/response.out.json")), ids=lambda path: path.parent.name
)
def test_the_vendors_client_accepts_our_answers(path: Path) -> None:
    body = json.loads(path.read_bytes())
    assert len(anthropic.types.Message.model_validate(body).content) == len(body["content"])


# Requests


@pytest.mark.parametrize(
    ("name", "budgets", "adaptive", "schemas"),
    [
        ("claude-3-5-sonnet-20241022", True, False, False),
        ("claude-sonnet-4-20250514", True, False, False),
        ("claude-sonnet-4-5-20250929", True, False, True),
        ("anthropic.claude-opus-4-6-v1:0", True, True, True),
        ("claude-opus-4.7", False, True, True),
        ("claude-haiku-5-5", False, True, True),
        ("claude-mythos-preview", False, True, True),
        ("MiniMax-M2", True, False, False),
    ],
)
def test_generations_are_told_from_the_name(name: str, budgets: bool, adaptive: bool, schemas: bool) -> None:
    found = traits(name)
    assert (found.budgets, found.adaptive, found.schemas) == (budgets, adaptive, schemas)


def build(model: str = "claude-sonnet-4-5", **fields: Any) -> dict[str, Any]:
    return dialect.build_request(ChatRequest(model, fields.pop("messages", [user("Hi")]), **fields))


@pytest.mark.parametrize(
    ("max_tokens", "budget", "sent"),
    [
        (4000, 500, 1024),
        (4000, 2000, 2000),
        (4000, 9000, 2976),
        (1500, 9000, 1024),
        (1024, 500, None),
        (None, 500, 1024),
    ],
)
def test_a_budget_is_kept_between_the_least_and_the_limit(
    max_tokens: int | None, budget: int, sent: int | None
) -> None:
    body = build(max_tokens=max_tokens, reasoning=Reasoning(budget=budget))
    assert body.get("thinking") == (sent and {"type": "enabled", "budget_tokens": sent})
    assert sent is None or sent < body["max_tokens"]


@pytest.mark.parametrize(("budget", "effort"), [(1024, "low"), (10_000, "medium"), (30_000, "high")])
def test_a_budget_becomes_an_effort_where_budgets_are_refused(budget: int, effort: str) -> None:
    body = build("claude-opus-4-7", max_tokens=9, reasoning=Reasoning(budget=budget))
    assert body["thinking"]["type"] == "adaptive"
    assert body["output_config"] == {"effort": effort}


def test_thinking_gives_way_to_a_forced_tool() -> None:
    fields: dict[str, Any] = {
        "tools": [Tool("now")],
        "tool_choice": ToolChoice("required"),
        "reasoning": Reasoning(effort="high"),
    }
    assert "thinking" not in build(**fields)
    assert "thinking" not in build("claude-opus-4-8", **fields)


def test_thinking_gives_way_to_a_prefill() -> None:
    messages = [user("Hi"), Message("assistant", [Text("Well, ")])]
    body = build(messages=messages, reasoning=Reasoning(effort="high"))
    assert "thinking" not in body
    assert body["messages"][-1] == {"role": "assistant", "content": "Well,"}


def test_no_thinking_at_all_is_said_where_the_model_can() -> None:
    assert build("claude-opus-4-8", reasoning=Reasoning(off=True))["thinking"] == {"type": "disabled"}
    assert "thinking" not in build("claude-mythos-preview", reasoning=Reasoning(off=True))


def test_signed_thinking_goes_back_byte_for_byte_and_in_order() -> None:
    content: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": " a\n", "signature": "EqQB+/="},
        {"type": "redacted_thinking", "data": "Emwx"},
        {"type": "thinking", "thinking": "", "signature": "only"},
        {"type": "text", "text": "Hi"},
    ]
    history = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": "y"},
    ]
    body = dialect.build_request(dialect.parse_request({"model": "m", "max_tokens": 9, "messages": history}))
    assert body["messages"][1]["content"] == content


@pytest.mark.parametrize(
    "thinking", [Thinking("a"), Thinking("a", "s", signer="gemini"), Thinking(redacted="r", signer="openai_responses")]
)
def test_other_vendors_reasoning_survives_our_client_and_never_reaches_anthropic(thinking: Thinking) -> None:
    answer = {"role": "assistant", "content": dialect.build_response(collect_parts([thinking, Text("Hi")]))["content"]}
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}, answer, {"role": "user", "content": "y"}]}
    again = dialect.parse_request(body)
    assert again.messages[1].parts[0] == thinking
    assert dialect.build_request(again)["messages"][1] == {"role": "assistant", "content": "Hi"}
    assert dialect.holds_foreign_reasoning(json.dumps(body).encode())


def collect_parts(parts: list[Any]) -> Any:
    response = collect([])
    response.parts = parts
    return response


def test_a_body_of_anthropics_own_making_may_pass() -> None:
    assert not dialect.holds_foreign_reasoning(b'{"type": "thinking", "thinking": "a", "signature": "EqQB"}')


def test_ids_and_names_that_the_api_refuses_are_replaced_alike() -> None:
    messages = [
        user("Hi"),
        Message("assistant", [ToolCall("functions.read:0", "files.read")]),
        Message("tool", [ToolResult("functions.read:0", [Text("x")])]),
    ]
    tool = Tool("files.read")
    body = build(messages=messages, tools=[tool], tool_choice=ToolChoice("tool", "files.read"))
    call, result = body["messages"][1]["content"][0], body["messages"][2]["content"][0]
    assert call["id"] == result["tool_use_id"] != "functions.read:0"
    assert call["name"] == body["tools"][0]["name"] == body["tool_choice"]["name"]
    assert dialect.wire_names([tool]) == {call["name"]: "files.read"}


def test_a_json_answer_leaves_the_callers_tools_usable() -> None:
    body = build("claude-3-haiku-20240307", tools=[Tool("now")], response_format=ResponseFormat("json"))
    assert [tool["name"] for tool in body["tools"]] == ["now", "chitty_json_answer"]
    assert body["tool_choice"] == {"type": "any"}


def test_an_answer_that_is_no_object_is_refused_where_only_a_tool_could_give_it() -> None:
    with pytest.raises(InvalidRequest) as caught:
        build("claude-3-haiku-20240307", response_format=ResponseFormat("schema", {"type": "array"}))
    assert caught.value.param == "response_format"


def test_a_picture_in_an_assistants_message_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        build(messages=[user("Hi"), Message("assistant", [Image(data="iVBOR")]), user("?")])
    assert caught.value.param == "messages[1]"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, None),
        ({"model": "m"}, None),
        ({"model": 3, "messages": []}, "model"),
        ({"model": "m", "messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"model": "m", "messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        (
            {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
            "messages[0].content[0].text",
        ),
        ({"model": "m", "messages": [], "tools": [{"type": "custom"}]}, "tools[0]"),
        ({"model": "m", "messages": [], "tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"model": "m", "messages": [], "system": [{"type": "image"}]}, "system[0]"),
        ({"model": "m", "messages": [], "output_config": {"format": {"type": "xml"}}}, "output_config.format"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], param: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        dialect.parse_request(body)
    assert caught.value.param == param


# Usage


def test_input_counts_what_was_read_from_and_written_to_the_cache() -> None:
    usage = {
        "input_tokens": 3,
        "cache_creation_input_tokens": 12304,
        "cache_read_input_tokens": 0,
        "output_tokens": 550,
    }
    read = dialect.parse_response({"content": [], "usage": usage}).usage
    assert read == Usage(input=12307, output=550, cache_write=12304)
    # At $3, $3.75, $0.30 and $15 per million: $0.054399 (the sum that another gateway got wrong by 1.7 times).
    plain = read.input - read.cached - read.cache_write - read.cache_write_1h
    assert plain * 3000 + read.cache_write * 3750 + read.output * 15000 == 54_399_000  # nano-dollars


def test_cache_writes_are_told_apart_by_their_lifetime() -> None:
    split = {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 40}
    usage = {"input_tokens": 1, "cache_creation_input_tokens": 140, "cache_creation": split, "output_tokens": 2}
    read = dialect.parse_response({"content": [], "usage": usage}).usage
    assert read == Usage(input=141, output=2, cache_write=100, cache_write_1h=40)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ({"input_tokens": 25, "output_tokens": 1}, {"output_tokens": 15}, Usage(input=25, output=15)),
        (
            {"input_tokens": 25, "output_tokens": 1},
            {"input_tokens": 30, "output_tokens": 15},
            Usage(input=30, output=15),
        ),
        (
            {"input_tokens": 25, "cache_read_input_tokens": 9, "output_tokens": 1},
            {"input_tokens": 25, "cache_read_input_tokens": 9, "output_tokens": 15},
            Usage(input=34, output=15, cached=9),
        ),
        ({"input_tokens": 0, "output_tokens": 0}, {"input_tokens": None, "output_tokens": 3}, Usage(output=3)),
    ],
)
def test_later_counts_replace_earlier_ones(first: dict[str, Any], last: dict[str, Any], expected: Usage) -> None:
    parser = dialect.stream_parser()
    parser.feed("", json.dumps({"type": "message_start", "message": {"usage": first}}))
    events = parser.feed("", json.dumps({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": last}))
    assert events == [UsageReported(expected), Finished("stop")]


# Streams


def feed(*events: dict[str, Any]) -> list[Any]:
    parser = dialect.stream_parser()
    return [neutral for event in events for neutral in parser.feed(event["type"], json.dumps(event))]


def test_a_second_attempts_start_replaces_the_first_until_there_is_content() -> None:
    builder = dialect.stream_builder("r", "m", 0, True)
    written = builder.build(Started("msg_failed", "a")) + builder.build(Started("msg_good", "b"))
    written += builder.build(TextDelta("Hi")) + builder.build(Started("msg_late", "c")) + builder.build(TextDelta("!"))
    events = read(written + builder.build(Finished("stop")) + builder.end())
    assert well_formed(events)
    assert (events[0]["message"]["id"], events[0]["message"]["model"]) == ("msg_good", "b")


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["start", "more", "say"])), max_size=20))
def test_calls_that_a_provider_mixes_come_out_one_after_the_other(steps: list[tuple[int, str]]) -> None:
    builder = dialect.stream_builder("r", "m", 0, True)
    arguments = {index: f'{{"call": {index}, "why": "x"}}' for index in range(3)}
    left: dict[int, str] = {}
    written = b""
    for index, step in steps:
        if step == "start" and index not in left:
            left[index] = arguments[index]
            written += builder.build(ToolStarted(index, f"call_{index}", "now"))
        elif step == "more" and left.get(index):
            piece, left[index] = left[index][:9], left[index][9:]
            written += builder.build(ToolDelta(index, piece))
        elif step == "say":
            written += builder.build(TextDelta(""))
    for index, rest in left.items():
        written += builder.build(ToolDelta(index, rest))
    events = read(written + builder.build(Finished("tool_calls")) + builder.end())
    assert well_formed(events)
    assert inputs(events) == {f"call_{index}": arguments[index] for index in left}


def inputs(events: list[dict[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    current = ""
    for event in events:
        if event["type"] == "content_block_start":
            current = event["content_block"]["id"]
            found[current] = ""
        elif event["type"] == "content_block_delta":
            found[current] += event["delta"]["partial_json"]
    return found


def test_an_empty_answer_still_is_a_whole_stream() -> None:
    builder = dialect.stream_builder("r", "m", 0, True)
    events = read(builder.build(Finished("stop")) + builder.end())
    assert well_formed(events)
    assert events[0]["message"]["id"] == "msg_r"


def test_tool_calls_that_ended_with_stop_end_with_tool_use() -> None:
    builder = dialect.stream_builder("r", "m", 0, True)
    built: list[ChatEvent] = [ToolStarted(0, "call_1", "now"), ToolDelta(0, "{}"), Finished("stop")]
    events = read(b"".join(builder.build(event) for event in built) + builder.end())
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


def test_text_of_other_choices_is_not_mixed_in() -> None:
    builder = dialect.stream_builder("r", "m", 0, True)
    assert builder.build(TextDelta("other", choice=1)) == b""


def test_input_given_whole_at_the_start_of_a_block_counts() -> None:
    block = {"type": "tool_use", "id": "t", "name": "now", "input": {"a": 1}}
    events = feed(
        {"type": "content_block_start", "index": 0, "content_block": block}, {"type": "content_block_stop", "index": 0}
    )
    assert events == [ToolStarted(0, "t", "now"), ToolDelta(0, '{"a":1}')]


def test_reasoning_of_another_vendor_is_unsealed_from_a_chained_gateway() -> None:
    events = feed(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "signature_delta", "signature": "chitty:gemini:c:S"},
        },
    )
    assert events == [ThinkingSigned("c:S", signer="gemini")]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("overloaded_error", 529),
        ("rate_limit_error", 429),
        ("api_error", 500),
        ("authentication_error", 401),
        ("billing_error", 402),
        ("permission_error", 403),
        ("not_found_error", 404),
        ("request_too_large", 413),
        ("timeout_error", 504),
        ("an_error_of_the_future", 500),
    ],
)
def test_errors_in_a_stream_have_their_http_status(kind: str, status: int) -> None:
    assert feed({"type": "error", "error": {"type": kind, "message": "m"}}) == [Failed(status, kind, None, "m")]


def test_pings_and_events_of_the_future_say_nothing() -> None:
    assert feed({"type": "ping"}, {"type": "session_started", "x": 1}) == []


@pytest.mark.parametrize("data", ["", "{", "[]", "3", '{"type": 5}', '{"type": "content_block_delta"}', "nul"])
def test_what_cannot_be_read_is_counted_as_malformed(data: str) -> None:
    assert [type(event) for event in dialect.stream_parser().feed("", data)] == [Malformed]


def test_the_end_is_the_providers_own() -> None:
    assert feed({"type": "message_stop"}) == [Done()]


# Errors


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidRequest("m", param="model"), 400, "invalid_request_error"),
        (UnknownModel("m"), 404, "not_found_error"),
        (Unauthenticated("m"), 401, "authentication_error"),
        (BudgetExceeded("m"), 402, "billing_error"),
        (AllRateLimited("m"), 429, "rate_limit_error"),
        (AllFailed("m"), 502, "api_error"),
        (UpstreamRefused("m", status=529, kind="overloaded_error"), 529, "overloaded_error"),
        (UpstreamRefused("m", status=422, kind="weird"), 422, "invalid_request_error"),
    ],
)
def test_our_errors_have_the_apis_types(error: Any, status: int, kind: str) -> None:
    body = dialect.build_error(error, status)
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    in_stream = json.loads(dialect.stream_builder("r", "m", 0, True).fail(error).split(b"data: ")[1])
    assert in_stream["error"]["type"] == kind


def test_attempts_and_the_fix_are_told() -> None:
    attempts = [{"model": "a", "class": "transient", "status": 500, "ms": 3}]
    body = dialect.build_error(AllFailed("No model answered.", attempts=attempts, fix="Try later."), 502)
    assert body["error"]["attempts"] == attempts
    assert body["error"]["message"] == "No model answered. Try later."


def test_a_key_in_an_upstreams_words_is_taken_out() -> None:
    body = json.dumps(
        {"type": "error", "error": {"type": "authentication_error", "message": "bad sk-ant-api03-abcdefgh"}}
    )
    assert "abcdefgh" not in dialect.parse_error(401, body.encode()).message


def test_an_error_in_place_of_an_answer_is_raised_with_its_status() -> None:
    with pytest.raises(UpstreamRefused) as caught:
        dialect.parse_response({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    assert caught.value.status == 529
