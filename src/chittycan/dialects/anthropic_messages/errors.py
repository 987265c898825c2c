"""Errors of this dialect: an HTTP error body, an error inside a stream, and ours in its shape.

Source: the errors page of the API reference (types and their statuses).
"""

from typing import Any

from chittycan.chat import Failed, Json
from chittycan.dialects import wire
from chittycan.dialects.wire import error_fields, redact
from chittycan.errors import (
    AccessError,
    AllCooling,
    AllRateLimited,
    BudgetExceeded,
    ChittyError,
    NotFound,
    RateLimited,
    RequestError,
    RequestTooLarge,
    Unauthenticated,
    UnknownModel,
    UpstreamRefused,
    UpstreamTimeout,
)

STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
TYPES = {status: kind for kind, status in STATUS.items()} | {408: "timeout_error", 503: "overloaded_error"}
# The type of our own errors where no status is at hand; the first that fits.
KINDS: tuple[tuple[type[ChittyError], str], ...] = (
    (RequestTooLarge, "request_too_large"),
    (UnknownModel, "not_found_error"),
    (NotFound, "not_found_error"),
    (RequestError, "invalid_request_error"),
    (Unauthenticated, "authentication_error"),
    (AccessError, "permission_error"),
    (BudgetExceeded, "billing_error"),
    (RateLimited, "rate_limit_error"),
    (AllRateLimited, "rate_limit_error"),
    (AllCooling, "overloaded_error"),
    (UpstreamTimeout, "timeout_error"),
)


def parse_error(status: int, body: bytes) -> Failed:
    return wire.parse_error(status, body, failed_from)


def failed_from(error: Any) -> Failed:
    """An error object inside a stream: `type` and `message`, each possibly absent."""
    fields = error_fields(error)
    kind, message, details = fields.get("type"), fields.get("message"), fields.get("details")
    code = details.get("error_code") if isinstance(details, dict) else fields.get("code")
    return Failed(
        STATUS.get(kind, 500) if isinstance(kind, str) else 500,
        kind if isinstance(kind, str) else None,
        code if isinstance(code, str) else None,
        redact(message) if isinstance(message, str) else "",
    )


def build_error(error: ChittyError, status: int) -> Json:
    """The body of an HTTP error answer. `attempts` says which models were tried, without upstream text."""
    if isinstance(error, UpstreamRefused) and error.kind in STATUS:
        return _body(error, error.kind)
    return _body(error, TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error"))


def build_stream_error(error: ChittyError) -> Json:
    """The data of an `error` event."""
    if isinstance(error, UpstreamRefused):
        return build_error(error, error.status)
    return _body(error, next((kind for of, kind in KINDS if isinstance(error, of)), "api_error"))


def _body(error: ChittyError, kind: str) -> Json:
    body: Json = {"type": kind, "message": f"{error.message} {error.fix}" if error.fix else error.message}
    body["code"] = error.code
    if (param := getattr(error, "param", None)) is not None:
        body["param"] = param
    if attempts := getattr(error, "attempts", None):
        body["attempts"] = attempts
    return {"type": "error", "error": body}
