"""Errors of this dialect: an HTTP error body, an error inside a stream, and ours in its shape.

Sources: the API's error codes guide, and the `error` object of a response (its `code` is a closed list).
"""

from typing import Any

from chittycan.chat import Failed, Json
from chittycan.dialects import wire
from chittycan.dialects.wire import error_fields, redact
from chittycan.errors import (
    AccessError,
    AllRateLimited,
    ChittyError,
    InvalidRequest,
    LimitError,
    RateLimited,
    RequestError,
    UpstreamRefused,
)

# The HTTP status that an error would have had, by its `code` or else its `type`.
STATUS = {
    "insufficient_quota": 429,
    "credit_balance_exhausted": 429,
    "billing_hard_limit_reached": 429,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "too_many_requests": 429,
    "requests": 429,
    "tokens": 429,
    "usage_limit_reached": 429,
    "slow_down": 503,
    "overloaded_error": 529,
    "server_is_overloaded": 503,
    "service_unavailable": 503,
    "timeout": 504,
    "vector_store_timeout": 504,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "context_length_exceeded": 400,
    "string_above_max_length": 400,
    "content_policy_violation": 400,
    "content_filter": 400,
    "bio_policy": 400,
    "misalignment_policy_violation": 400,
    "data_residency_mismatch": 400,
    "invalid_prompt": 400,
    "invalid_request_error": 400,
    "empty_image_file": 400,
    "failed_to_download_image": 400,
    "image_file_not_found": 400,
    "unsupported_image_media_type": 400,
}
# Of ours, what a client of this API may find in `response.error.code`; all else is "server_error".
IN_STREAM_CODES = {"rate_limit_exceeded", "insufficient_quota", "context_length_exceeded", "invalid_prompt"}


def parse_error(status: int, body: bytes) -> Failed:
    return wire.parse_error(status, body, failed_from)


def failed_from(error: Any) -> Failed:
    """An error inside a stream or a failed response: an object of `code`, `type`, `message`, each possibly absent."""
    fields = error_fields(error)
    kind, code = _word(fields.get("type")), _word(fields.get("code"))
    message = fields.get("message") or fields.get("detail")
    if kind == "error":  # the flat form of the event has its own name in `type`
        kind = None
    return Failed(_status(code, kind), kind, code, redact(message) if isinstance(message, str) else "")


def _word(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


def _status(code: str | None, kind: str | None) -> int:
    for word in (code, kind):
        if word in STATUS:
            return STATUS[word]
        if word and word.isdecimal() and 400 <= int(word[:4]) <= 599:
            return int(word)
    return 400 if (code or "").startswith(("invalid_", "image_")) else 500


def build_error(error: ChittyError, status: int) -> Json:
    """The body of an HTTP error answer. `attempts` says which models were tried, without upstream text."""
    body: Json = {
        "message": f"{error.message} {error.fix}" if error.fix else error.message,
        "type": _type(error, status),
        "param": getattr(error, "param", None),
        "code": error.code,
    }
    if attempts := getattr(error, "attempts", None):
        body["attempts"] = attempts
    return {"error": body}


def _type(error: ChittyError, status: int) -> str:
    if isinstance(error, UpstreamRefused) and error.kind:
        return error.kind
    if status == 401:
        return "authentication_error"
    if status == 403 or isinstance(error, AccessError):
        return "permission_error"
    if isinstance(error, RequestError):
        return "invalid_request_error"
    if status == 402 or (isinstance(error, LimitError) and not isinstance(error, RateLimited)):
        return "insufficient_quota"
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"


def build_stream_error(error: ChittyError) -> Json:
    """`response.error`: its `code` from the API's own list, our word beside it in `type`."""
    if isinstance(error, RateLimited | AllRateLimited):
        code = "rate_limit_exceeded"
    elif isinstance(error, InvalidRequest):
        code = "invalid_prompt"
    else:
        code = error.code if error.code in IN_STREAM_CODES else "server_error"
    return {"code": code, "message": error.message, "type": error.code, "param": getattr(error, "param", None)}
