"""OpenAI Responses: answers and errors, against neutral values and the official client's own types."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response

from chittycan.chat import ChatRequest, ChatResponse, Opaque, Refusal, Text, Thinking, ToolCall, Usage
from chittycan.dialects import openai_responses as dialect
from chittycan.errors import (
    AllRateLimited,
    ChittyError,
    InvalidRequest,
    ProviderError,
    StreamBroken,
    Unauthenticated,
    UpstreamRefused,
)

Json = dict[str, Any]
WORDS = st.sampled_from(["message", "reasoning", "function_call", "output_text", "completed", "failed"])
ODD_ANSWERS = st.dictionaries(
    st.sampled_from(["id", "output", "status", "usage", "error"]),
    st.recursive(
        st.none() | st.text(max_size=5) | st.integers() | WORDS,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["type", "content", "text", "call_id", "name"]), inner)
        ),
        max_leaves=12,
    ),
)


def parse(**fields: Any) -> ChatRequest:
    return dialect.parse_request({"model": "gpt-5", "input": "hi"} | fields)


def answer(**fields: Any) -> Json:
    body = {"id": "resp_1", "object": "response", "created_at": 1700000000, "status": "completed", "model": "gpt-5"}
    return body | {"output": [], "error": None, "incomplete_details": None} | fields


def message_item(*content: Json, **fields: Any) -> Json:
    return (
        {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
        | fields
        | {"content": list(content)}
    )


def output_text(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": []}


def validate(body: Json) -> Response:
    """By the client's own types, every field of it, and back without loss."""
    response = Response.model_validate(body)
    assert response.model_dump(mode="json", by_alias=True, exclude_unset=True) == json.loads(json.dumps(body))
    return response


class TestParseResponse:
    def test_parts_stop_reason_and_usage(self) -> None:
        summary = [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]
        response = dialect.parse_response(
            answer(
                output=[
                    {"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": "e"},
                    message_item(output_text("Hello")),
                    {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "f", "arguments": ""},
                    {"id": "ws_1", "type": "web_search_call", "status": "completed"},
                ],
                usage={
                    "input_tokens": 1000,
                    "input_tokens_details": {"cached_tokens": 800, "cache_write_tokens": 100},
                    "output_tokens": 50,
                    "output_tokens_details": {"reasoning_tokens": 30},
                    "total_tokens": 1050,
                },
            )
        )
        thinking, text, call, search = response.parts
        assert isinstance(thinking, Thinking)
        assert (thinking.text, thinking.signature, thinking.signer) == ("a\n\nb", "e", "openai_responses")
        assert isinstance(text, Text)
        assert isinstance(call, ToolCall)
        assert (text.text, call.id, call.name, call.arguments) == ("Hello", "c", "f", "{}")
        assert isinstance(search, Opaque)
        assert (response.id, response.stop_reason, response.created) == ("resp_1", "tool_calls", 1700000000)
        assert response.usage == Usage(input=1000, output=50, cached=800, cache_write=100, reasoning=30)

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"output": [message_item(output_text("x"))]}, "stop"),
            ({"output": [message_item({"type": "refusal", "refusal": "no"})]}, "content_filter"),
            ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
            ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
            ({"status": "incomplete", "incomplete_details": {"reason": "steered"}}, "steered"),
            ({"status": "incomplete"}, "incomplete"),
            ({"status": "cancelled"}, "cancelled"),
            ({"status": "queued"}, None),
        ],
    )
    def test_stop_reasons(self, fields: Json, reason: str | None) -> None:
        assert dialect.parse_response(answer(**fields)).stop_reason == reason

    def test_an_old_or_sparse_answer_is_read(self) -> None:
        body = {
            "id": "r",
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "x"}]}],
            "user": None,
        }
        assert dialect.parse_response(body).text == "x"

    def test_a_failed_response_says_what_the_provider_said(self) -> None:
        with pytest.raises(UpstreamRefused) as caught:
            dialect.parse_response(
                answer(status="failed", error={"code": "rate_limit_exceeded", "message": "slow down"})
            )
        assert (caught.value.status, caught.value.code, caught.value.message) == (
            429,
            "rate_limit_exceeded",
            "slow down",
        )

    @given(ODD_ANSWERS)
    def test_any_json_is_an_answer_or_an_error_of_ours(self, body: Json) -> None:
        try:
            response = dialect.parse_response(body)
        except ProviderError:
            return
        assert isinstance(dialect.build_response(response), dict)


class TestBuildResponse:
    def test_every_field_is_there_and_the_official_client_takes_it(self) -> None:
        body = dialect.build_response(
            ChatResponse(
                "msg_x",
                "claude-sonnet-4-5",
                [Thinking("hm", "sig", signer="anthropic"), Text("Hello"), Refusal("no"), ToolCall("c", "f", "")],
                "tool_calls",
                Usage(input=10, output=5, cached=4, cache_write=1, cache_write_1h=2, reasoning=3),
                created=1700000000,
            )
        )
        response = validate(body)
        assert response.output_text == "Hello"
        assert response.id == "resp_msg_x"
        assert (response.status, response.completed_at) == ("completed", 1700000000)
        assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
        assert len({getattr(item, "id", None) for item in response.output}) == 3
        assert body["output"][2]["arguments"] == "{}"
        assert body["usage"] == {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 3},
            "total_tokens": 15,
        }

    @pytest.mark.parametrize(
        ("reason", "parts", "status", "details"),
        [
            ("stop", [Text("x")], "completed", None),
            ("stop_sequence", [Text("x")], "completed", None),
            ("length", [Text("x")], "incomplete", {"reason": "max_output_tokens"}),
            ("content_filter", [Text("x")], "incomplete", {"reason": "content_filter"}),
            ("content_filter", [Refusal("no")], "completed", None),
            ("pause", [Text("x")], "incomplete", {"reason": "pause"}),
            (None, [Text("x")], "incomplete", None),
        ],
    )
    def test_status(self, reason: str | None, parts: list[Any], status: str, details: Json | None) -> None:
        body = dialect.build_response(ChatResponse("r", "m", parts, reason))
        assert (body["status"], body["incomplete_details"]) == (status, details)

    def test_the_answer_repeats_the_request_where_it_is_known(self) -> None:
        request = parse(
            instructions="Be brief.",
            temperature=0.2,
            max_output_tokens=99,
            metadata={"k": "v"},
            tools=[{"type": "function", "name": "f", "parameters": {"type": "object"}}],
            tool_choice="required",
            reasoning={"effort": "low"},
            text={"verbosity": "low"},
        )
        body = dialect.build_response(ChatResponse("r", "m", [Text("x")], "stop"), request)
        assert (body["instructions"], body["temperature"], body["max_output_tokens"]) == ("Be brief.", 0.2, 99)
        assert (body["metadata"], body["tool_choice"], body["store"]) == ({"k": "v"}, "required", True)
        assert body["reasoning"] == {"effort": "low", "summary": None}
        assert body["text"] == {"format": {"type": "text"}, "verbosity": "low"}
        assert body["tools"][0]["name"] == "f"
        validate(body)

    def test_an_own_answer_survives_translation(self) -> None:
        output = [
            {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
            message_item(output_text("one") | {"logprobs": []}, id="msg_1", phase="commentary"),
            message_item(output_text("two") | {"logprobs": []}, id="msg_2"),
            {
                "id": "fc_1",
                "type": "function_call",
                "call_id": "c",
                "name": "f",
                "arguments": "{}",
                "status": "completed",
            },
            {
                "id": "ws_1",
                "type": "web_search_call",
                "status": "completed",
                "action": {"type": "search", "query": "q"},
            },
        ]
        body = dialect.build_response(dialect.parse_response(answer(output=output, service_tier="flex")))
        assert (body["output"], body["service_tier"]) == (output, "flex")


class TestForeignReasoning:
    @pytest.mark.parametrize(
        "thinking",
        [
            Thinking("hm", "sig:with:colons", signer="anthropic"),
            Thinking("", None, "cmVkYWN0ZWQ=", signer="anthropic"),
            Thinking("hm", "", signer="anthropic"),
            Thinking("open thoughts"),
        ],
    )
    def test_another_vendors_signature_travels_through_the_client(self, thinking: Thinking) -> None:
        body = dialect.build_response(ChatResponse("r", "m", [thinking, Text("x")], "stop"))
        back = parse(input=body["output"]).messages[0].parts[0]
        assert isinstance(back, Thinking)
        assert (back.text, back.signature or None, back.redacted, back.signer) == (
            thinking.text,
            thinking.signature or None,
            thinking.redacted,
            thinking.signer,
        )

    def test_openai_never_sees_it(self) -> None:
        body = dialect.build_response(
            ChatResponse("r", "m", [Thinking("hm", "s", signer="anthropic"), Text("x")], "stop")
        )
        request = parse(input=[{"role": "user", "content": "a"}, *body["output"], {"role": "user", "content": "b"}])
        assert [item["type"] for item in dialect.build_request(request)["input"]] == ["message"] * 3
        assert dialect.holds_foreign_reasoning(json.dumps({"input": body["output"]}, separators=(",", ":")).encode())
        assert not dialect.holds_foreign_reasoning(b'{"input":"chitty: a bill"}')


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "body", "expected"),
        [
            (429, b'{"error":{"message":"no","type":"tokens","code":"slow"}}', (429, "tokens", "slow", "no")),
            (400, b'{"error":"bad"}', (400, None, None, "bad")),
            (400, b'{"message":"bad","type":"invalid_request_error"}', (400, "invalid_request_error", None, "bad")),
            (502, b"<html>502</html>", (502, None, None, "The provider answered with status 502.")),
            (500, b"", (500, None, None, "The provider answered with status 500.")),
            (500, b'{"error":null}', (500, None, None, "The provider answered with status 500.")),
        ],
    )
    def test_an_upstream_error_is_read_whatever_its_shape(self, status: int, body: bytes, expected: Any) -> None:
        failed = dialect.parse_error(status, body)
        assert (failed.status, failed.kind, failed.code, failed.message) == expected

    def test_a_key_in_an_upstream_error_is_not_passed_on(self) -> None:
        body = b'{"error":{"message":"Incorrect API key provided: sk-proj-abcdefgh12345678."}}'
        assert "abcdefgh" not in dialect.parse_error(401, body).message

    @given(st.integers(400, 599), st.binary(max_size=60))
    def test_any_bytes_are_an_error(self, status: int, body: bytes) -> None:
        assert dialect.parse_error(status, body).status == status

    @pytest.mark.parametrize(
        ("error", "status", "kind"),
        [
            (InvalidRequest("tools: no", param="tools"), 400, "invalid_request_error"),
            (Unauthenticated("no key"), 401, "authentication_error"),
            (AllRateLimited("busy"), 429, "rate_limit_error"),
            (StreamBroken("cut"), 502, "server_error"),
            (UpstreamRefused("no", status=400, kind="image_error", code="c"), 400, "image_error"),
        ],
    )
    def test_ours_in_the_shape_of_the_api(self, error: ChittyError, status: int, kind: str) -> None:
        body = dialect.build_error(error, status)["error"]
        assert (body["type"], body["code"]) == (kind, error.code)
        assert body["param"] == getattr(error, "param", None)
        assert body["message"].startswith(error.message)
