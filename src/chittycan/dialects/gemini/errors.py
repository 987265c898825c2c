"""Errors of the Gemini API. Source: ai.google.dev, troubleshooting, and google.rpc's Status and error details.

The machine-readable part is in `details`: `ErrorInfo.reason` ("API_KEY_INVALID", which comes with status 400) or the
id of the quota that was passed. Streams and some proxies wrap the object into a list.
"""

from typing import Any

from chittycan.chat import Failed
from chittycan.dialects import wire
from chittycan.dialects.wire import redact

STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


def parse_error(status: int, body: bytes) -> Failed:
    return wire.parse_error(status, body, failed_from)


def failed_from(error: Any) -> Failed:
    """An error object; `status` is its `code`, else what its status word means, else 500."""
    if isinstance(error, str):
        return Failed(500, None, None, redact(error))
    if not isinstance(error, dict):
        return Failed(500, None, None, "")
    code, word, message = error.get("code"), error.get("status"), error.get("message")
    word = word if isinstance(word, str) else None
    status = code if type(code) is int and 400 <= code <= 599 else STATUS.get(word or "", 500)
    text = redact(message) if isinstance(message, str) else ""
    return Failed(status, word, _reason(error.get("details")), text)


def _reason(details: Any) -> str | None:
    if not isinstance(details, list):
        return None
    for detail in details:
        if not isinstance(detail, dict):
            continue
        if isinstance(reason := detail.get("reason"), str):
            return reason
        violations = detail.get("violations")
        if isinstance(violations, list) and violations and isinstance(violations[0], dict):
            quota = violations[0].get("quotaId")
            if isinstance(quota, str):
                return quota
    return None
