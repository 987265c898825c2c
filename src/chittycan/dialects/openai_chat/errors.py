"""Errors, both ways: what a provider's error says, and our own errors in OpenAI's shape.

Sources: OpenAI's guide "Error codes"; OpenRouter's "Errors" (an integer `code`, the vendor's own words in
`metadata.raw`); vLLM (`{"object": "error", "message": …}`); FastAPI servers (`detail`); Cloudflare (`errors`).
"""

from typing import Any

import msgspec

from chittycan import errors
from chittycan.chat import Failed, Json
from chittycan.dialects.wire import redact

# HTTP equivalents of the types and codes seen inside streams, where no HTTP status says more.
_STATUS_OF = {
    "invalid_request_error": 400,
    "badrequesterror": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "content_policy_violation": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "insufficient_credits": 402,
    "permission_error": 403,
    "permission_denied": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "timeout": 408,
    "timeout_error": 408,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "tokens": 429,
    "requests": 429,
    "server_error": 500,
    "api_error": 500,
    "internal_server_error": 500,
    "engine_overloaded": 503,
    "overloaded": 503,
    "overloaded_error": 529,
}
UNKNOWN_STATUS = 502

_TYPES: list[tuple[type[errors.ChittyError], str]] = [
    (errors.RequestError, "invalid_request_error"),
    (errors.Unauthenticated, "authentication_error"),
    (errors.AccessError, "permission_error"),
    (errors.BudgetExceeded, "insufficient_quota"),
    (errors.LimitError, "rate_limit_error"),
    (errors.AllRateLimited, "rate_limit_error"),
    (errors.StreamBroken, "upstream_stream_incomplete"),
    (errors.UpstreamTimeout, "timeout_error"),
]
_TYPE_OF_STATUS = {401: "authentication_error", 402: "insufficient_quota", 403: "permission_error"}
_TYPE_OF_STATUS |= {408: "timeout_error", 429: "rate_limit_error", 504: "timeout_error"}


# From the wire


def parse_error(status: int, body: bytes) -> Failed:
    """What an error answer says. Pages in HTML and other unreadable bodies are named, never echoed."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Failed(status, None, None, f"the provider answered {status} without a readable error")
    return read_error(value, status)


def read_error(value: Any, status: int | None = None) -> Failed:
    """The error in a decoded body or event of any known shape. `status` wins over what the error itself says."""
    if isinstance(value, list) and value:
        value = value[0]
    fields = _error_fields(value)
    kind, code = _word(fields.get("type")), _word(fields.get("code"))
    if status is None:
        status = _status_inside(fields, kind, code)
    message = _message(fields) or (value if isinstance(value, str) else None)
    message = message or f"the provider answered {status} without a readable error"
    return Failed(status, kind, code, redact(message))


def _error_fields(value: Any) -> Json:
    if not isinstance(value, dict):
        return {}
    inner = value.get("error") or value.get("errors") or value.get("detail")
    if isinstance(inner, list) and inner:
        inner = inner[0]
    if isinstance(inner, dict):
        return inner
    if isinstance(inner, str):
        return {"message": inner, **{key: value[key] for key in ("type", "code", "status") if key in value}}
    return value


def _word(value: Any) -> str | None:
    if isinstance(value, str):
        return value[:200] or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _message(fields: Json) -> str | None:
    found = next((fields[key] for key in ("message", "msg", "detail") if isinstance(fields.get(key), str)), None)
    metadata = fields.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return f"{found}: {raw}" if found and isinstance(raw, str) and raw else found


def _status_inside(fields: Json, kind: str | None, code: str | None) -> int:
    for key in ("status_code", "status", "code"):
        value = fields.get(key)
        if isinstance(value, str) and value.isdecimal() and len(value) == 3:
            value = int(value)
        if type(value) is int and 400 <= value <= 599:
            return value
    for word in (code, kind):
        if word is not None and word.lower() in _STATUS_OF:
            return _STATUS_OF[word.lower()]
    return UNKNOWN_STATUS


# To the wire


def build_error(error: errors.ChittyError, status: int) -> Json:
    """OpenAI's error object; `attempts` says which models were tried where several were."""
    message = error.message if error.fix is None else f"{error.message.rstrip('.')}. {error.fix}"
    built: Json = {
        "message": message,
        "type": _type(error, status),
        "param": getattr(error, "param", None),
        "code": error.code,
    }
    if isinstance(error, errors.ProviderError) and error.attempts:
        built["attempts"] = error.attempts
    return {"error": built}


def _type(error: errors.ChittyError, status: int) -> str:
    if isinstance(error, errors.UpstreamRefused):
        if error.kind is not None:
            return error.kind
        status = error.status
    for kind, name in _TYPES:
        if isinstance(error, kind):
            return name
    return _TYPE_OF_STATUS.get(status) or ("invalid_request_error" if 400 <= status < 500 else "server_error")
