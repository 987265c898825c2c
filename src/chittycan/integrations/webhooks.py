"""Webhooks as Standard Webhooks has them: what is sent, how it is signed and checked, when it is tried again. Pure.

Specification: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md. The body
is also an event of OpenAI's webhooks, so that both kinds of client library read it.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from chittycan.errors import InvalidRequest, Unauthenticated

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
SECRET_PREFIX = "whsec_"  # noqa: S105 (no secret, but how every one of them begins)
TOLERANCE = 300.0  # seconds between the sender's clock and the receiver's

# Seconds to wait after each delivery that failed: the schedule that the specification proposes, three days in all.
RETRIES = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)

# "gone": the receiver wants no more of these (410). Other refusals are retried too, as the specification asks: an
# address that answers 404 or 401 today may be mended tomorrow.
Verdict = Literal["delivered", "retry", "gone"]
GONE = 410


def verdict(status: int) -> Verdict:
    """What an answer's HTTP status says about a delivery; a redirect counts as a failure."""
    if 200 <= status < 300:
        return "delivered"
    return "gone" if status == GONE else "retry"


def retry_after(failures: int) -> float | None:
    """Seconds until the next try after `failures` failed ones (1 or more); None: that was the last."""
    return float(RETRIES[failures - 1]) if failures <= len(RETRIES) else None


def payload(event: str, data: Mapping[str, Any], *, id: str, at: float) -> bytes:
    """The body of a delivery; `at` is when the event happened, Unix seconds. The same input gives the same bytes."""
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return msgspec.json.encode(
        {"id": id, "object": "event", "type": event, "created_at": int(at), "timestamp": moment, "data": dict(data)}
    )


def new_secret() -> str:
    """A signing secret of 32 random bytes (the specification asks for 24 to 64)."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The bytes behind `whsec_…`. Raises InvalidRequest (`param`: secret) where there are none, or too few."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < 16:
        raise InvalidRequest(
            "the webhook secret is not base64 of at least 16 bytes",
            param="secret",
            fix="Write whsec_ and then the base64 of 24 to 64 random bytes.",
        )
    return key


def signature(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """`v1,…`: HMAC-SHA256 over id, Unix seconds and body, joined by full stops."""
    signed = b".".join((id.encode("utf-8", "surrogatepass"), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()


def signed_headers(with_secrets: Sequence[str], id: str, now: float, body: bytes) -> dict[str, str]:
    """The headers of one delivery. `id` stays the same over all tries of it, the time does not.

    Several secrets are for the time in which one takes the other's place: a receiver needs to know either.
    """
    if not with_secrets:
        raise InvalidRequest(
            "there is no secret to sign the webhook with",
            param="secret",
            fix="Set outbound.webhookSecret in config.json (env:NAME or file:PATH).",
        )
    timestamp = int(now)
    return {
        "content-type": "application/json",
        ID: id,
        TIMESTAMP: str(timestamp),
        SIGNATURE: " ".join(signature(secret, id, timestamp, body) for secret in with_secrets),
    }


def verify(
    with_secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    tolerance: float = TOLERANCE,
) -> str:
    """The id of a delivery that one of the secrets signed, not long ago. Raises Unauthenticated for any other.

    Whoever processes it must remember the id: within the tolerance the same delivery can be sent again.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        id, timestamp, signatures = given[ID], given[TIMESTAMP], given[SIGNATURE].split(" ")
    except KeyError as missing:
        raise Unauthenticated(f"the webhook has no {missing.args[0]}") from None
    # Some digits of other scripts count as digits; the signature would not match, but int() would read them.
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 15):
        raise Unauthenticated(f"{TIMESTAMP} is no number of seconds")
    if abs(now - int(timestamp)) > tolerance:
        raise Unauthenticated("the webhook was signed too long ago, or in the future", fix="Check both clocks.")
    expected = [signature(secret, id, int(timestamp), body).encode() for secret in with_secrets]
    # Every pair is compared, so that the time taken says nothing about which one matched.
    matches = [
        hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other) for one in signatures for other in expected
    ]
    if not any(matches):
        raise Unauthenticated("the webhook's signature does not match", fix="Check the secret on both sides.")
    return id
