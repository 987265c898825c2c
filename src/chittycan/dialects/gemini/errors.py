"""Errors of the Gemini API. Source: ai.google.dev, troubleshooting, and google.rpc's Status and error details.

The machine-readable part is in `details`: `ErrorInfo.reason` ("API_KEY_INVALID", which comes with status 400) or the
id of the quota that was passed, and when to come back (there is no Retry-After header). Streams and some proxies wrap
the object into a list.
"""

import re
from typing import Any

from chittycan.chat import Failed, Json
from chittycan.dialects import wire
from chittycan.dialects.wire import error_fields, redact

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
_DURATION = re.compile(r"\d{1,8}(?:\.\d{1,9})?s", re.ASCII)


def parse_error(status: int, body: bytes) -> Failed:
    return wire.parse_error(status, body, failed_from)


def failed_from(error: Any) -> Failed:
    """An error object; `status` is its `code`, else what its status word means, else 500."""
    fields = error_fields(error)
    code, word, message = fields.get("code"), fields.get("status"), fields.get("message")
    word = word if isinstance(word, str) else None
    status = code if type(code) is int and 400 <= code <= 599 else STATUS.get(word or "", 500)
    text = redact(message) if isinstance(message, str) else ""
    given = fields.get("details")
    details = [detail for detail in given if isinstance(detail, dict)] if isinstance(given, list) else []
    return Failed(status, word, _reason(details), text, _retry_after(details))


def _reason(details: list[Json]) -> str | None:
    for detail in details:
        if isinstance(reason := detail.get("reason"), str):
            return reason
        violations = detail.get("violations")
        if isinstance(violations, list) and violations and isinstance(violations[0], dict):
            quota = violations[0].get("quotaId")
            if isinstance(quota, str):
                return quota
    return None


def _retry_after(details: list[Json]) -> float | None:
    """Seconds that `RetryInfo.retryDelay` says, a protobuf Duration in its JSON form ("36.5s")."""
    for detail in details:
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and _DURATION.fullmatch(delay):
            return float(delay[:-1]) or None
    return None
