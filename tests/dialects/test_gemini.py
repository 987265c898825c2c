"""Gemini: what the golden files do not show, and properties over any input."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.chat import (
    ChatRequest,
    Done,
    Failed,
    File,
    Finished,
    Image,
    Malformed,
    Message,
    OpaqueBlock,
    Reasoning,
    ResponseFormat,
    Text,
    TextDelta,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
    collect,
    system,
    user,
)
from chittycan.dialects import gemini as dialect
from chittycan.errors import InvalidRequest, ProviderError, UpstreamRefused

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
PART = st.fixed_dictionaries(
    {},
    optional={
        "text": st.text(max_size=5) | JSON,
        "thought": st.booleans() | JSON,
        "thoughtSignature": st.text(max_size=5) | JSON,
        "functionCall": st.fixed_dictionaries({"name": st.text(max_size=5)}, optional={"args": JSON, "id": JSON})
        | JSON,
        "inlineData": st.fixed_dictionaries({"data": st.text(max_size=5)}) | JSON,
        "executableCode": JSON,
    },
)
ANSWER = st.fixed_dictionaries(
    {},
    optional={
        "candidates": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "content": st.fixed_dictionaries({}, optional={"parts": st.lists(PART, max_size=3) | JSON}) | JSON,
                    "finishReason": st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "NEW"]) | JSON,
                    "index": st.integers(0, 1) | JSON,
                },
            )
            | JSON,
            max_size=2,
        )
        | JSON,
        "promptFeedback": JSON,
        "usageMetadata": JSON,
        "responseId": JSON,
        "error": JSON,
    },
)


@given(st.lists(ANSWER.map(json.dumps) | JSON.map(json.dumps) | st.text(), max_size=4))
def test_the_stream_parser_takes_any_data(stream: list[str]) -> None:
    parser = dialect.stream_parser()
    for data in stream:
        parser.feed("", data)


@given(ANSWER)
def test_any_answer_is_read_or_named_unreadable(body: dict[str, Any]) -> None:
    with suppress(ProviderError):
        assert dialect.parse_response(body).parts is not None


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps({"error": value}).encode()))
def test_any_error_body_is_read(body: bytes) -> None:
    failed = dialect.parse_error(503, body)
    assert failed.status == 503
    assert failed.message


def build(model: str = "gemini-2.5-flash", **fields: Any) -> dict[str, Any]:
    return dialect.build_request(ChatRequest(model, fields.pop("messages", [user("Hi")]), **fields))


@pytest.mark.parametrize(
    ("model", "reasoning", "config"),
    [
        ("gemini-2.5-flash", Reasoning(budget=100), {"includeThoughts": True, "thinkingBudget": 512}),
        ("gemini-2.5-flash", Reasoning(effort="max"), {"includeThoughts": True, "thinkingBudget": 24576}),
        ("gemini-2.5-pro", Reasoning(off=True), {"thinkingBudget": 128}),
        ("gemini-2.5-flash-lite", Reasoning(off=True), {"thinkingBudget": 0}),
        ("gemini-3-pro-preview", Reasoning(effort="medium"), {"includeThoughts": True, "thinkingLevel": "high"}),
        ("gemini-3.1-pro", Reasoning(effort="medium"), {"includeThoughts": True, "thinkingLevel": "medium"}),
        ("gemini-3.1-pro", Reasoning(effort="minimal"), {"includeThoughts": True, "thinkingLevel": "low"}),
        ("gemini-3.5-flash", Reasoning(off=True), {"thinkingLevel": "minimal"}),
        ("gemini-4-argon", Reasoning(budget=20_000), {"includeThoughts": True, "thinkingLevel": "high"}),
        ("gemini-flash-latest", Reasoning(effort="low"), {"includeThoughts": True, "thinkingLevel": "low"}),
        ("gemini-2.0-flash", Reasoning(effort="low"), None),
        ("gemma-3-27b-it", Reasoning(effort="low"), None),
    ],
)
def test_thinking_is_asked_for_in_the_models_own_way(model: str, reasoning: Reasoning, config: Any) -> None:
    assert build(model, reasoning=reasoning).get("generationConfig", {}).get("thinkingConfig") == config


def test_functions_and_json_together_are_asked_for_in_words_before_version_3() -> None:
    fields: dict[str, Any] = {"tools": [Tool("now")], "response_format": ResponseFormat("schema", {"type": "object"})}
    old, new = build("gemini-2.5-pro", **fields), build("gemini-3.1-pro", **fields)
    assert "generationConfig" not in old
    assert '{"type":"object"}' in old["systemInstruction"]["parts"][0]["text"]
    assert new["generationConfig"] == {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"stop": list("abcdef")}, "stop"),
        ({"messages": [Message("user", [File(file_id="file-openai")])]}, "messages[0].content[0]"),
    ],
)
def test_what_cannot_be_said_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        build(**fields)
    assert caught.value.param == param


def test_a_conversation_without_a_user_gets_an_opening() -> None:
    body = build(messages=[system("Say hello.")])
    assert body["systemInstruction"] == {"parts": [{"text": "Say hello."}]}
    assert [turn["role"] for turn in body["contents"]] == ["user"]


def test_arguments_that_are_no_object_are_wrapped() -> None:
    messages = [user("Hi"), Message("assistant", [ToolCall("c", "now", '{"a": "cu')])]
    call = build(messages=messages)["contents"][1]["parts"][0]["functionCall"]
    assert call["args"] == {"unreadable_arguments": '{"a": "cu'}


def test_files_travel_in_the_form_that_each_needs() -> None:
    parts = [
        File("a.txt", text="hello"),
        File(data="JVBE"),
        File(url="https://example.com/c.pdf?x=1"),
        File(file_id="files/abc", media_type="application/pdf"),
        Image(url="https://example.com/d"),
    ]
    built = build(messages=[Message("user", parts)])["contents"][0]["parts"]  # type: ignore[arg-type]
    assert built == [
        {"text": "a.txt:\nhello"},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
        {"fileData": {"fileUri": "https://example.com/c.pdf?x=1", "mimeType": "application/pdf"}},
        {
            "fileData": {
                "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc",
                "mimeType": "application/pdf",
            }
        },
        {"fileData": {"fileUri": "https://example.com/d", "mimeType": "image/jpeg"}},
    ]


def candidate(*parts: Any, finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    one = {"content": {"role": "model", "parts": list(parts)}} | ({"finishReason": finish} if finish else {})
    return {"candidates": [one], "responseId": "r1", "modelVersion": "gemini-3.5-flash", **more}


def test_signed_calls_come_back_as_they_were_whether_by_the_call_or_by_the_block_ahead() -> None:
    signed = {"functionCall": {"name": "now", "args": {}, "id": "fc1"}, "thoughtSignature": "Sig"}
    parts = dialect.parse_response(candidate({"text": "Hi", "thoughtSignature": "TextSig"}, signed)).parts
    variants: list[list[Any]] = [parts, [part for part in parts if not isinstance(part, Thinking)], strip(parts)]
    for kept in variants:
        body = build("gemini-3.5-flash", messages=[user("x"), Message("assistant", kept)])
        assert body["contents"][1]["parts"][-1] == signed
    assert {"text": "", "thoughtSignature": "TextSig"} in build(messages=[user("x"), Message("assistant", parts)])[
        "contents"
    ][1]["parts"]


def strip(parts: list[Any]) -> list[Any]:
    """As a client returns it that knows nothing of a call's extra fields."""
    return [ToolCall(part.id, part.name, part.arguments) if isinstance(part, ToolCall) else part for part in parts]


def test_made_up_ids_are_stable_unique_and_never_sent_to_gemini() -> None:
    answer = candidate({"functionCall": {"name": "now"}}, {"functionCall": {"name": "now"}})
    calls = [part for part in dialect.parse_response(answer).parts if isinstance(part, ToolCall)]
    again = [part for part in dialect.parse_response(answer).parts if isinstance(part, ToolCall)]
    streamed = collect(dialect.stream_parser().feed("", json.dumps(answer))).parts
    assert calls == again == streamed
    assert calls[0].id != calls[1].id
    results = [Message("tool", [ToolResult(call.id, [Text(call.id)])]) for call in calls]
    body = build(messages=[user("x"), Message("assistant", list(calls)), *results])
    assert [part["functionCall"] for part in body["contents"][1]["parts"]] == [{"name": "now", "args": {}}] * 2
    assert [part["functionResponse"]["response"]["result"] for part in body["contents"][2]["parts"]] == [
        call.id for call in calls
    ]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("RECITATION", "content_filter"),
        ("SPII", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "MALFORMED_FUNCTION_CALL"),
        ("A_WORD_OF_THE_FUTURE", "A_WORD_OF_THE_FUTURE"),
        ("FINISH_REASON_UNSPECIFIED", None),
    ],
)
def test_finish_reasons(word: str, reason: str | None) -> None:
    answer = candidate({"text": "x"}, finish=word)
    assert dialect.parse_response(answer).stop_reason == reason
    finished = [event for event in dialect.stream_parser().feed("", json.dumps(answer)) if isinstance(event, Finished)]
    assert finished == ([Finished(reason)] if reason else [])


def test_the_end_is_told_with_the_finish_reason() -> None:
    events = dialect.stream_parser().feed("", json.dumps(candidate({"text": "x"})))
    assert [type(event) for event in events[-3:]] == [TextDelta, Finished, Done]


def test_usage_trusts_the_parts_and_not_the_total() -> None:
    counts = {"promptTokenCount": 10, "toolUsePromptTokenCount": 5, "thoughtsTokenCount": 7, "totalTokenCount": 999}
    answer = dialect.parse_response(candidate({"text": "x"}, usageMetadata=counts))
    assert answer.usage == Usage(input=15, output=7, reasoning=7)


def test_pictures_and_code_are_kept() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    answer = dialect.parse_response(candidate({"inlineData": {"mimeType": "image/png", "data": "iVBO"}}, code))
    assert answer.parts[0] == Image(data="iVBO", media_type="image/png")
    body = build(messages=[user("x"), Message("assistant", answer.parts)])
    assert body["contents"][1]["parts"][1] == code
    assert OpaqueBlock("gemini", code) in dialect.stream_parser().feed("", json.dumps(candidate(code)))


def test_an_answer_without_a_word_is_unreadable() -> None:
    with pytest.raises(ProviderError):
        dialect.parse_response({})


def test_an_error_in_place_of_an_answer_is_raised_with_its_status() -> None:
    with pytest.raises(UpstreamRefused) as caught:
        dialect.parse_response({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}})
    assert caught.value.status == 429


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        ({"code": 503, "message": "busy", "status": "UNAVAILABLE"}, Failed(503, "UNAVAILABLE", None, "busy")),
        ({"message": "busy", "status": "RESOURCE_EXHAUSTED"}, Failed(429, "RESOURCE_EXHAUSTED", None, "busy")),
        (
            {
                "code": 429,
                "message": "quota",
                "status": "RESOURCE_EXHAUSTED",
                "details": [{"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]}],
            },
            Failed(429, "RESOURCE_EXHAUSTED", "GenerateRequestsPerMinutePerProjectPerModel", "quota"),
        ),
    ],
)
def test_errors_in_a_stream_bare_or_in_a_list(error: dict[str, Any], failed: Failed) -> None:
    assert dialect.stream_parser().feed("", json.dumps({"error": error})) == [failed]
    assert dialect.stream_parser().feed("", json.dumps([{"error": error}])) == [failed]


@pytest.mark.parametrize(
    ("delay", "seconds"), [("36s", 36.0), ("1.250s", 1.25), ("0s", None), ("-1s", None), ("soon", None), (7, None)]
)
def test_a_refusal_says_when_to_come_back(delay: Any, seconds: float | None) -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    error = {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m", "details": [{"reason": "R"}, info]}
    assert dialect.parse_error(429, json.dumps({"error": error}).encode()).retry_after == seconds


def test_what_cannot_be_read_is_counted_as_malformed() -> None:
    assert [type(event) for event in dialect.stream_parser().feed("", "{oops")] == [Malformed]


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        ("gemini-2.5-flash", False, "/v1beta/models/gemini-2.5-flash:generateContent"),
        ("gemini-2.5-flash", True, "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
        ("tunedModels/mine-1", False, "/v1beta/tunedModels/mine-1:generateContent"),
        ("../x?y", False, "/v1beta/models/..%2Fx%3Fy:generateContent"),
    ],
)
def test_paths(model: str, stream: bool, path: str) -> None:
    assert dialect.path(model, stream) == path
