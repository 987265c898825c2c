"""The errors that providers answer with, as each provider words its status, type and code.

Sources: the error pages of the four vendors' API references (platform.openai.com/docs/guides/error-codes,
docs.anthropic.com/en/api/errors, ai.google.dev/gemini-api/docs/troubleshooting); the messages are our own,
save for the words that a classifier must recognise because vendors report these cases under other codes.
"""

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """`status` counts for every dialect that `statuses` does not name. `gemini` is Google's status word."""

    status: int
    message: str
    openai_type: str
    openai_code: str | None
    anthropic_type: str
    gemini: str
    param: str | None = None
    statuses: dict[str, int] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)

    def status_for(self, dialect: str) -> int:
        return self.statuses.get(dialect, self.status)

    def message_for(self, dialect: str, key: str) -> str:
        return self.messages.get(dialect, self.message).replace("{key}", key)


FAULTS: dict[str, Fault] = {
    "rate_limit": Fault(
        429, "Rate limit reached for requests, slow down", "requests", "rate_limit_exceeded", "rate_limit_error",
        "RESOURCE_EXHAUSTED",
    ),
    "quota": Fault(
        429, "You exceeded your current quota, check your plan and billing details", "insufficient_quota",
        "insufficient_quota", "invalid_request_error", "RESOURCE_EXHAUSTED",
        statuses={"anthropic": 400},
        messages={"anthropic": "Your credit balance is too low to access this API"},
    ),
    "credit": Fault(
        400, "Your credit balance is too low to access this API", "invalid_request_error", None,
        "invalid_request_error", "FAILED_PRECONDITION",
    ),
    "payment": Fault(
        402, "Payment required", "billing_error", "payment_required", "billing_error", "FAILED_PRECONDITION"
    ),
    "key_limit": Fault(
        403, "Key limit exceeded (total limit)", "permission_error", "key_limit_exceeded", "permission_error",
        "PERMISSION_DENIED",
    ),
    "bad_key": Fault(
        401, "Incorrect API key provided: {key}", "invalid_request_error", "invalid_api_key", "authentication_error",
        "INVALID_ARGUMENT",
        statuses={"gemini": 400},
        messages={"gemini": "API key not valid. Please pass a valid API key. ({key})"},
    ),
    "forbidden": Fault(
        403, "This key may not use that model", "permission_error", "model_not_allowed", "permission_error",
        "PERMISSION_DENIED",
    ),
    "server": Fault(500, "The server had an error", "server_error", None, "api_error", "INTERNAL"),
    "unavailable": Fault(503, "The service is overloaded, try later", "server_error", None, "api_error", "UNAVAILABLE"),
    "overloaded": Fault(529, "Overloaded", "server_error", "overloaded", "overloaded_error", "UNAVAILABLE"),
    "gateway_timeout": Fault(504, "Deadline exceeded", "server_error", None, "timeout_error", "DEADLINE_EXCEEDED"),
    "request_timeout": Fault(408, "Request timed out", "server_error", None, "timeout_error", "DEADLINE_EXCEEDED"),
    "content": Fault(
        400, "The request was rejected by the content policy", "invalid_request_error", "content_policy_violation",
        "invalid_request_error", "INVALID_ARGUMENT",
        messages={"anthropic": "Output blocked by content filtering policy"},
    ),
    "context": Fault(
        400, "This model's maximum context length is 8192 tokens, the messages are longer", "invalid_request_error",
        "context_length_exceeded", "invalid_request_error", "INVALID_ARGUMENT", param="messages",
        messages={
            "anthropic": "prompt is too long: 210000 tokens > 200000 maximum",
            "gemini": "The input token count (210000) exceeds the maximum number of tokens allowed (200000)",
        },
    ),
    "too_large": Fault(
        413, "Request exceeds the maximum size", "invalid_request_error", "request_too_large", "request_too_large",
        "INVALID_ARGUMENT",
    ),
    "bad_field": Fault(
        400, "temperature must be at most 2", "invalid_request_error", None, "invalid_request_error",
        "INVALID_ARGUMENT", param="temperature",
    ),
    "no_model": Fault(
        404, "The model does not exist or you do not have access to it", "invalid_request_error", "model_not_found",
        "not_found_error", "NOT_FOUND", param="model",
    ),
    "no_prefill": Fault(
        400, "This model does not support assistant message prefill; end with a user message",
        "invalid_request_error", None, "invalid_request_error", "INVALID_ARGUMENT", param="messages",
    ),
    "no_stream_options": Fault(
        400, "Unknown field: stream_options", "invalid_request_error", "unknown_parameter", "invalid_request_error",
        "INVALID_ARGUMENT", param="stream_options",
    ),
    "trailing_space": Fault(
        400, "messages: final assistant content cannot end with trailing whitespace", "invalid_request_error", None,
        "invalid_request_error", "INVALID_ARGUMENT", param="messages",
    ),
    "no_route": Fault(404, "No such path", "invalid_request_error", None, "not_found_error", "NOT_FOUND"),
    "not_json": Fault(
        400, "The body is not a JSON object", "invalid_request_error", None, "invalid_request_error",
        "INVALID_ARGUMENT",
    ),
}  # fmt: skip
