"""The failure table: what went wrong, and what is done about it. Nothing about failures may be decided elsewhere.

`TABLE` is the contract; `classify` says which row applies. Quota is tested before rate limit, because vendors
report an empty balance as 429 or 400; credential before caller fault, because some report a bad key as 400.
"""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum

from msgspec import Struct

from chittycan.chat import Failed


class Failure(StrEnum):
    TRANSIENT = "transient"
    SILENT = "silent"
    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    CREDENTIAL = "credential"
    CONTEXT = "context"
    CONTENT = "content"
    MODEL_GONE = "model_gone"
    TRUNCATED = "truncated"
    CALLER_FAULT = "caller_fault"
    CANCELLED = "cancelled"


class Next(StrEnum):
    """Whether another model may be asked."""

    YES = "yes"
    NO = "no"
    LARGER = "only to a larger window"
    RECOVER = "recover"


class Cool(StrEnum):
    """What rests afterwards, and for how long."""

    NO = "no"
    RATE = "by failure rate"
    RETRY_AFTER = "Retry-After"
    MINUTES = "minutes"
    KEY_CHANGES = "until the key changes"
    LONG = "long"


class Treatment(Struct, frozen=True):
    examples: str
    retry: str  # in words, for the documentation
    retries: int  # how often the same key and model are tried again after a backoff
    rotate: bool  # try the provider's next key
    next_model: Next
    cool: Cool


TABLE: dict[Failure, Treatment] = {
    Failure.TRANSIENT: Treatment(
        "408 500 502 503 504 529, reset, DNS", "1–2 with backoff + jitter", 2, False, Next.YES, Cool.RATE
    ),
    Failure.SILENT: Treatment("connect, first-token or idle timeout", "no", 0, False, Next.YES, Cool.RATE),
    Failure.RATE_LIMIT: Treatment(
        "429 or its wording",
        "wait Retry-After if it fits the deadline and nobody else can serve",
        0,
        True,
        Next.YES,
        Cool.RETRY_AFTER,
    ),
    Failure.QUOTA: Treatment(
        '402, `insufficient_quota`, "credit balance" (even as 400/429)', "no", 0, True, Next.YES, Cool.MINUTES
    ),
    Failure.CREDENTIAL: Treatment("401 403, vendor-specific 400", "no", 0, True, Next.YES, Cool.KEY_CHANGES),
    Failure.CONTEXT: Treatment("too long, 413", "no", 0, False, Next.LARGER, Cool.NO),
    Failure.CONTENT: Treatment("provider's content policy", "no", 0, False, Next.NO, Cool.NO),
    Failure.MODEL_GONE: Treatment("404 410 model not found", "no", 0, False, Next.YES, Cool.LONG),
    Failure.TRUNCATED: Treatment(
        "stream ended without finish_reason, cut, stalled, error event after content",
        "no",
        0,
        False,
        Next.RECOVER,
        Cool.RATE,
    ),
    Failure.CALLER_FAULT: Treatment("other 400 409 422", "no", 0, False, Next.NO, Cool.NO),
    Failure.CANCELLED: Treatment("client left", "no", 0, False, Next.NO, Cool.NO),
}

LONGEST_WAIT = 365 * 86_400.0  # seconds; a provider that names a later time has said nothing
QUOTA_SECONDS = 300.0
LONG_SECONDS = 600.0
RATE_LIMIT_SECONDS = 5.0  # where a 429 says no time

# Wording seen in the answers of OpenAI, Anthropic, Gemini, OpenRouter, Azure, Bedrock, Groq, Mistral and DeepSeek.
_QUOTA = re.compile(
    r"insufficient_quota|insufficient.(balance|credit|funds)|credit balance|billing_(hard_limit|not_active|error)"
    r"|spend(ing)?[ _](cap|limit)|specified api usage limit"
    r"|credit limit exceeded|exceeded your current quota|key limit exceeded|quota_exceeded|out of credits"
    r"|payment.required",
    re.I,
)
_PER_MINUTE = re.compile(r"per[ _-]?(minute|second|day)|PerMinute|retry in", re.I)
_RATE = re.compile(r"rate[ _-]?limit|too many requests|throttl|tokens per min|requests per min", re.I)
_OVERLOADED = re.compile(r"overloaded|at capacity|temporarily unavailable|server had an error", re.I)
_CREDENTIAL = re.compile(
    r"api[ _-]?key[ _](not[ _]valid|invalid|expired|not[ _]found)|API_KEY_INVALID|invalid_api_key"
    r"|incorrect api key|invalid x-api-key|authentication_error|UnrecognizedClientException|ExpiredToken"
    r"|InvalidSignature|permission_error|account.{0,20}(deactivated|suspended)",
    re.I,
)
_CONTEXT = re.compile(
    r"context_length_exceeded|context_window_exceeded|maximum context length|context (length|window|size|limit)"
    r"|prompt is too long|input is too long|too many (input )?tokens|exceeds? the (maximum|max)\b.{0,40}tokens"
    r"|reduce the length|request_too_large|string_above_max_length|token count.{0,40}exceeds",
    re.I,
)
_CONTENT = re.compile(
    r"content_policy|content[_ ]filter|content management policy|ResponsibleAIPolicyViolation|safety system"
    r"|flagged (as|for)|usage (policy|policies|guidelines)|moderation_blocked|SAFETY",
)
_MODEL = re.compile(
    r"model_not_found|model_not_available|model.{0,80}(does not exist|not found|not exist|is not (available|supported)"
    r"|deprecated|retired|decommissioned|no longer)|unknown model|invalid model|no such model|not_found_error"
    r"|not a valid model",
    re.I | re.S,
)
_NO_ACCESS = re.compile(r"model_not_found|not have access to (the )?model", re.I)
_OBJECT = r"\b(file|vector store|batch|assistant|response|container|item)\b"
_OWN_OBJECT = re.compile(rf"{_OBJECT}.{{0,60}}(not found|no such)|(not found|no such).{{0,20}}{_OBJECT}", re.I)

_TRANSIENT_STATUS = frozenset({408, 500, 502, 503, 504, 529})
_CALLER_STATUS = frozenset({400, 404, 405, 406, 409, 411, 414, 415, 417, 422, 431})


def classify(failed: Failed) -> Failure:
    """The row of the table that an upstream's error belongs to; `failed.status` is the HTTP status or its like."""
    status = failed.status
    words = f"{failed.code or ''} {failed.kind or ''} {failed.message}"
    if status == 402 or (_QUOTA.search(words) and not (status == 429 and _PER_MINUTE.search(words))):
        return Failure.QUOTA
    if status == 429 or (status not in (401, 403) and status < 500 and _RATE.search(words)):
        return Failure.RATE_LIMIT
    if status in _TRANSIENT_STATUS or status >= 500:
        return _behind_a_5xx(words)
    if status in (401, 403):
        return _forbidden(words)
    if status == 413 or _CONTEXT.search(words):
        return Failure.CONTEXT
    if _CREDENTIAL.search(words):
        return Failure.CREDENTIAL
    if _CONTENT.search(words):
        return Failure.CONTENT
    if status == 410 or (status in (400, 404, 422) and _MODEL.search(words) and not _OWN_OBJECT.search(words)):
        return Failure.MODEL_GONE
    if status == 404:
        return Failure.CALLER_FAULT if _OWN_OBJECT.search(words) else Failure.MODEL_GONE
    if _OVERLOADED.search(words):
        return Failure.TRANSIENT
    return Failure.CALLER_FAULT if status in _CALLER_STATUS else Failure.TRANSIENT


def _forbidden(words: str) -> Failure:
    """Not every 403 is about the key: resting a good key for a prompt or for one gated model would harm all others."""
    if _CONTENT.search(words):
        return Failure.CONTENT
    return Failure.MODEL_GONE if _NO_ACCESS.search(words) else Failure.CREDENTIAL


def _behind_a_5xx(words: str) -> Failure:
    """Some compatible servers wrap a plain "too long" into a 500; asking them again cannot help."""
    return Failure.CONTEXT if "context_length_exceeded" in words else Failure.TRANSIENT


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, from `retry-after-ms`, `x-ms-retry-after-ms` or `retry-after` (seconds or HTTP date).

    None where absent, unreadable, not in the future or beyond `LONGEST_WAIT`. `now` is Unix seconds. RFC 9110 §10.2.3.
    """
    for name, scale in (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        seconds = _seconds(value.strip(), scale, now)
        if seconds is not None and 0 < seconds <= LONGEST_WAIT:
            return seconds
    return None


def _seconds(value: str, scale: float, now: float) -> float | None:
    try:
        return float(value) * scale
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
        # Only one of the three date forms names its zone; all mean Greenwich (RFC 9110 §5.6.7).
        return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None


def backoff(retry: int, jitter: float) -> float:
    """Seconds before retry number `retry` (0-based): 0.4 s doubling to 8 s, ± 20 % (`jitter` in 0..1)."""
    return min(8.0, 0.4 * float(2**retry)) * (0.8 + 0.4 * jitter)
