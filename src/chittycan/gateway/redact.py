"""Keys never leave in an error: upstreams like to echo them."""

import re

_KEY = re.compile(
    r"\b(sk|pk|rk|gsk|xai|hf|key|ghp|r8|nvapi|tgp)[-_][A-Za-z0-9_\-*.]{8,}|\bAIza[A-Za-z0-9_\-]{10,}"
    r"|\bBearer\s+[A-Za-z0-9._\-~+/=]{8,}",
    re.I,
)


def redact(text: str, limit: int = 600) -> str:
    """`text` without anything that looks like a credential, and not longer than `limit` characters."""
    return _KEY.sub("[redacted]", text)[:limit]
