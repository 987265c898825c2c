"""The failure table is what the design says, and vendors' own words land in the right row.

Wordings are facts from the vendors' error references and from the bodies their services send:
platform.openai.com/docs/guides/error-codes, docs.anthropic.com/en/api/errors, ai.google.dev/gemini-api/docs/
troubleshooting, openrouter.ai/docs/api-reference/errors, learn.microsoft.com (Azure OpenAI), api-docs.deepseek.com,
console.groq.com/docs/errors, docs.mistral.ai, docs.x.ai, docs.vllm.ai, github.com/ggml-org/llama.cpp.
"""

import datetime
import json
import os
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.chat import Failed
from chittycan.dialects import load
from chittycan.routing.failure import TABLE, Cool, Failure, Next, backoff, classify, retry_after

# class, tries again with the same key, next key, next model, what rests: the design's table, column by column
CONTRACT = [
    ("transient", 2, False, Next.YES, Cool.RATE),
    ("silent", 0, False, Next.YES, Cool.RATE),
    ("rate_limit", 0, True, Next.YES, Cool.RETRY_AFTER),
    ("quota", 0, True, Next.YES, Cool.MINUTES),
    ("credential", 0, True, Next.YES, Cool.KEY_CHANGES),
    ("context", 0, False, Next.LARGER, Cool.NO),
    ("content", 0, False, Next.NO, Cool.NO),
    ("model_gone", 0, False, Next.YES, Cool.LONG),
    ("truncated", 0, False, Next.RECOVER, Cool.RATE),
    ("caller_fault", 0, False, Next.NO, Cool.NO),
    ("cancelled", 0, False, Next.NO, Cool.NO),
]


def test_the_table_is_the_contract() -> None:
    written = [(str(row), t.retries, t.rotate, t.next_model, t.cool) for row, t in TABLE.items()]
    assert written == CONTRACT


def test_every_class_has_a_row() -> None:
    assert set(TABLE) == set(Failure)


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (400, Failure.CALLER_FAULT), (401, Failure.CREDENTIAL), (402, Failure.QUOTA), (403, Failure.CREDENTIAL),
        (404, Failure.MODEL_GONE), (405, Failure.CALLER_FAULT), (408, Failure.TRANSIENT), (409, Failure.CALLER_FAULT),
        (410, Failure.MODEL_GONE), (413, Failure.CONTEXT), (422, Failure.CALLER_FAULT), (429, Failure.RATE_LIMIT),
        (500, Failure.TRANSIENT), (502, Failure.TRANSIENT), (503, Failure.TRANSIENT), (504, Failure.TRANSIENT),
        (520, Failure.TRANSIENT), (529, Failure.TRANSIENT), (302, Failure.TRANSIENT),
    ],
)  # fmt: skip
def test_a_bare_status_says_enough(status: int, failure: Failure) -> None:
    assert classify(Failed(status, None, None, "")) is failure


def _openai(message: str, kind: str | None = "invalid_request_error", code: Any = None, **more: Any) -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **more}}


def _anthropic(kind: str, message: str) -> Any:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"}


def _google(code: int, status: str, message: str, reason: str | None = None) -> Any:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
    return {"error": {"code": code, "message": message, "status": status, "details": details}}


QUOTA = {
    "openai quota": ("openai", 429, _openai(
        "You exceeded your current quota, please check your plan and billing details. For more information on this "
        "error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
        "insufficient_quota", "insufficient_quota")),
    "openai hard limit": ("openai", 400, _openai(
        "Billing hard limit has been reached", code="billing_hard_limit_reached")),
    "openai not active": ("openai", 429, _openai(
        "Your account is not active, please check your billing details on our website.", "billing_not_active",
        "billing_not_active")),
    "anthropic credit": ("anthropic", 400, _anthropic(
        "invalid_request_error", "Your credit balance is too low to access the Anthropic API. Please go to Plans & "
        "Billing to upgrade or purchase credits.")),
    "anthropic usage limit": ("anthropic", 400, _anthropic(
        "invalid_request_error", "You have reached your specified API usage limits. You will regain access on "
        "2026-12-01 at 00:00 UTC.")),
    "anthropic billing": ("anthropic", 402, _anthropic("billing_error", "Your payment method was declined.")),
    "deepseek": ("openai", 402, _openai("Insufficient Balance", "unknown_error", "invalid_request_error")),
    "openrouter credits": ("openai", 402, {"error": {"code": 402, "message": "Insufficient credits. Add more using "
                                                     "https://openrouter.ai/settings/credits"}}),
    "openrouter key": ("openai", 403, {"error": {"code": 403, "message": "Key limit exceeded (daily limit). Manage it "
                                                 "using https://openrouter.ai/settings/keys"}}),
    "xai": ("openai", 403, {"code": "The caller does not have permission", "error": "Your team has either used all "
                            "available credits or reached its monthly spending limit."}),
    "together": ("openai", 402, _openai("Credit limit exceeded, please navigate to billing", "credit_limit", None)),
    "gemini prepaid": ("gemini", 429, _google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please "
                                              "check your plan and billing details.")),
    "responses stream": ("openai_responses", 429, _openai("You exceeded your current quota", "insufficient_quota",
                                                          "insufficient_quota")),
}  # fmt: skip

RATE_LIMIT = {
    "openai requests": ("openai", 429, _openai(
        "Rate limit reached for gpt-4o in organization org-abc on requests per min (RPM): Limit 3, Used 3, Requested "
        "1. Please try again in 20s.", "requests", "rate_limit_exceeded")),
    "openai tokens": ("openai", 429, _openai(
        "Rate limit reached for gpt-4o in organization org-abc on tokens per min (TPM): Limit 30000, Used 29000, "
        "Requested 2000. Please try again in 2s. Visit https://platform.openai.com/account/rate-limits to learn more.",
        "tokens", "rate_limit_exceeded")),
    "anthropic": ("anthropic", 429, _anthropic(
        "rate_limit_error", "This request would exceed your organization's rate limit of 50 requests per minute")),
    "gemini per minute": ("gemini", 429, _google(
        429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details. * "
        "Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 15, "
        "model: gemini-2.0-flash\nPlease retry in 32.2s.")),
    "azure": ("openai", 429, _openai(
        "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-06-01 have exceeded "
        "token rate limit of your current OpenAI S0 pricing tier. Please retry after 6 seconds.", None, "429")),
    "mistral": ("openai", 429, {"object": "error", "message": "Requests rate limit exceeded", "type": "rate_limited"}),
    "bedrock": ("openai", 400, {"message": "ThrottlingException: Too many requests, please wait before trying again."}),
    "groq too many tokens per minute": ("openai", 413, _openai(
        "Request too large for model `llama-3.1-8b-instant` on tokens per minute (TPM): Limit 6000, Requested 8000",
        "tokens", "rate_limit_exceeded")),
    "cloudflare page": ("openai", 429, b"<html><title>429 Too Many Requests</title></html>"),
}  # fmt: skip

CREDENTIAL = {
    "openai": ("openai", 401, _openai("Incorrect API key provided: sk-abc***xyz.", code="invalid_api_key")),
    "anthropic": ("anthropic", 401, _anthropic("authentication_error", "invalid x-api-key")),
    "anthropic permission": ("anthropic", 403, _anthropic(
        "permission_error", "Your API key does not have permission to use the specified resource.")),
    "gemini answers 400": ("gemini", 400, _google(
        400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", "API_KEY_INVALID")),
    "gemini expired": ("gemini", 400, _google(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.",
                                              "API_KEY_INVALID")),
    "xai answers 400": ("openai", 400, {"code": "Client specified an invalid argument", "error": "Incorrect API key "
                                        "provided: xa***Qr. You can obtain an API key from https://console.x.ai."}),
    "bedrock token": ("openai", 400, {"message": "UnrecognizedClientException: The security token is invalid."}),
    "azure": ("openai", 401, _openai(
        "Access denied due to invalid subscription key or wrong API endpoint.", None, "401")),
}  # fmt: skip

CONTEXT = {
    "openai": ("openai", 400, _openai(
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 10000 tokens. Please "
        "reduce the length of the messages.", code="context_length_exceeded")),
    "responses": ("openai_responses", 400, _openai(
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        code="context_length_exceeded")),
    "anthropic": ("anthropic", 400, _anthropic(
        "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")),
    "anthropic with its output": ("anthropic", 400, _anthropic(
        "invalid_request_error", "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, "
        "decrease input length or `max_tokens` and try again")),
    "anthropic size": ("anthropic", 413, _anthropic("request_too_large", "Request exceeds the maximum size")),
    "gemini": ("gemini", 400, _google(400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum "
                                      "number of tokens allowed (1048576).")),
    "bedrock": ("openai", 400, {"message": "Input is too long for requested model."}),
    "mistral": ("openai", 400, {"object": "error", "message": "Prompt contains 40012 tokens and 0 draft tokens, too "
                                "large for model with 32768 maximum context length", "type": "invalid_request_error"}),
    "vllm": ("openai", 400, {"object": "error", "message": "This model's maximum context length is 4096 tokens. "
                             "However, you requested 5000 tokens.", "type": "BadRequestError", "code": 400}),
    "llama.cpp": ("openai", 400, _openai("the request exceeds the available context size, try increasing it",
                                         "exceed_context_size_error", 400)),
    "wrapped into a 500": ("openai", 500, _openai("litellm: context_length_exceeded", "server_error")),
}  # fmt: skip

CONTENT = {
    "openai policy": ("openai", 400, _openai(
        "Your request was rejected as a result of our safety system.", code="content_policy_violation")),
    "openai prompt": ("openai", 400, _openai(
        "Invalid prompt: your prompt was flagged as potentially violating our usage policy.", code="invalid_prompt")),
    "azure": ("openai", 400, _openai(
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.", None,
        "content_filter")),
    "anthropic": ("anthropic", 400, _anthropic("invalid_request_error", "Output blocked by content filtering policy")),
    "openrouter moderation": ("openai", 403, {"error": {"code": 403, "message": "Your input was flagged for hate"}}),
    "xai": ("openai", 403, {"code": "The caller does not have permission", "error": "Content violates usage "
                            "guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}),
}  # fmt: skip

MODEL_GONE = {
    "openai": ("openai", 404, _openai(
        "The model `gpt-9` does not exist or you do not have access to it.", code="model_not_found")),
    "openai project": ("openai", 403, _openai(
        "Project `proj_abc` does not have access to model `gpt-5`", code="model_not_found")),
    "openai retired": ("openai", 404, _openai(
        "The model `text-davinci-003` has been deprecated, learn more here: https://platform.openai.com/docs",
        code="model_not_found")),
    "anthropic": ("anthropic", 404, _anthropic("not_found_error", "model: claude-9-opus")),
    "gemini": ("gemini", 404, _google(404, "NOT_FOUND", "models/gemini-9 is not found for API version v1beta, or is "
                                      "not supported for generateContent.")),
    "groq": ("openai", 400, _openai("The model `mixtral-8x7b` has been decommissioned and is no longer supported.",
                                    code="model_decommissioned")),
    "openrouter": ("openai", 400, {"error": {"code": 400, "message": "nosuch/model is not a valid model ID"}}),
    "mistral": ("openai", 400, {"object": "error", "message": "Invalid model: mistral-9", "type": "invalid_model"}),
    "ollama": ("openai", 404, _openai("model 'llama9' not found", "not_found_error")),
    "azure deployment": ("openai", 404, _openai(
        "The API deployment for this resource does not exist.", None, "DeploymentNotFound")),
    "gone": ("openai", 410, b"gone"),
}  # fmt: skip

CALLER_FAULT = {
    "openai field": ("openai", 400, _openai("Invalid type for 'temperature': expected a decimal, got a string.")),
    "openai output limit": ("openai", 400, _openai(
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.", code="invalid_value")),
    "anthropic output limit": ("anthropic", 400, _anthropic(
        "invalid_request_error", "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for "
        "claude-3-5-sonnet-20241022")),
    "openai file": ("openai", 404, _openai("No such File object: file-abc123", code="not_found")),
    "anthropic file": ("anthropic", 404, _anthropic(
        "not_found_error", "File not found: file_011CNha8iCJcU1wXNR6q4V8w")),
    "responses previous": ("openai_responses", 400, _openai(
        "Previous response with id 'resp_abc' not found.", code="previous_response_not_found")),
    "responses item": ("openai_responses", 404, _openai("Item with id 'rs_abc' not found.")),
    "mistral validation": ("openai", 422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required"}]}),
    "conflict": ("openai", 409, _openai("conflict")),
}  # fmt: skip

TRANSIENT = {
    "anthropic overloaded": ("anthropic", 529, _anthropic("overloaded_error", "Overloaded")),
    "openai": ("openai", 500, _openai("The server had an error while processing your request.", "server_error")),
    "openai overloaded": ("openai", 503, _openai(
        "That model is currently overloaded with other requests.", "server_error")),
    "gemini": ("gemini", 503, _google(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")),
    "html": ("openai", 502, b"<html><body>502 Bad Gateway</body></html>"),
    "limit named by a 503": ("openai", 503, _openai("Rate limiter unavailable", "server_error")),
    "capacity as 400": ("openai", 400, _openai("The service is temporarily unavailable, at capacity")),
}  # fmt: skip

WORDINGS = {
    Failure.QUOTA: QUOTA,
    Failure.RATE_LIMIT: RATE_LIMIT,
    Failure.CREDENTIAL: CREDENTIAL,
    Failure.CONTEXT: CONTEXT,
    Failure.CONTENT: CONTENT,
    Failure.MODEL_GONE: MODEL_GONE,
    Failure.CALLER_FAULT: CALLER_FAULT,
    Failure.TRANSIENT: TRANSIENT,
}


@pytest.mark.parametrize(
    ("expected", "answer"),
    [
        pytest.param(row, answer, id=f"{row}: {name}")
        for row, cases in WORDINGS.items()
        for name, answer in cases.items()
    ],
)
def test_vendors_wordings_land_in_their_row(expected: Failure, answer: tuple[str, int, Any]) -> None:
    dialect, status, body = answer
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert classify(load(dialect).parse_error(status, raw)) is expected


@pytest.mark.parametrize("status", [400, 403, 429])
def test_an_empty_balance_counts_before_anything_else(status: int) -> None:
    assert classify(Failed(status, "rate_limit_error", "insufficient_quota", "rate limit reached")) is Failure.QUOTA


@given(st.integers(100, 599), st.none() | st.text(max_size=30), st.none() | st.text(max_size=30), st.text(max_size=200))
def test_any_error_has_a_row(status: int, kind: str | None, code: str | None, message: str) -> None:
    assert classify(Failed(status, kind, code, message)) in TABLE


# Retry-After, as RFC 9110 §10.2.3 and two vendors' own headers give it

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": " 2 "}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "60"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "60"}, 60.0),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:02 GMT"}, 2.0),
        ({"retry-after": "Friday, 15-Jan-27 08:00:02 GMT"}, 2.0),
        ({"retry-after": "Fri Jan 15 08:00:02 2027"}, 2.0),
    ],
)
def test_a_wait_is_read_in_each_of_its_forms(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(headers, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "0", "-1", "soon", "nan", "inf", "-inf", "1e300", "2,5", "Fri, 99 Foo 2027 08:00:02 GMT",
     "Fri, 15 Jan 2027 07:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 15 Jan 99999 08:00:02 GMT", "\udcff"],
)  # fmt: skip
def test_a_wait_that_says_nothing_is_none(value: str) -> None:
    assert retry_after({"retry-after": value}, NOW) is None
    assert retry_after({}, NOW) is None


def test_a_date_is_greenwich_time_wherever_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.environ.get("TZ")
    try:
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        assert retry_after({"retry-after": "Fri Jan 15 08:00:02 2027"}, NOW) == 2.0
        assert retry_after({"retry-after": "Fri, 15 Jan 2027 08:00:02 -0000"}, NOW) == 2.0
    finally:
        monkeypatch.delenv("TZ") if before is None else monkeypatch.setenv("TZ", before)
        time.tzset()


@given(
    st.text() | st.datetimes(min_value=datetime.datetime(1000, 1, 1)).map(lambda t: f"{t:%a, %d %b %Y %H:%M:%S} GMT")
)
def test_any_header_gives_a_sane_wait_or_none(value: str) -> None:
    seconds = retry_after({"retry-after": value, "retry-after-ms": value}, NOW)
    assert seconds is None or 0 < seconds <= 365 * 86_400


@given(st.integers(0, 1000), st.floats(0, 1))
def test_backoff_grows_within_its_bounds(retry: int, jitter: float) -> None:
    assert 0.32 <= backoff(retry, jitter) <= 9.6 + 1e-9
    assert backoff(retry + 1, jitter) >= backoff(retry, jitter)


def test_backoff_is_spread() -> None:
    assert backoff(0, 0.0) == pytest.approx(0.32)
    assert backoff(0, 1.0) == pytest.approx(0.48)
    assert backoff(2, 0.5) == pytest.approx(1.6)
