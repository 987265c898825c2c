"""The answer to a request that failed, in the dialect of the surface. Its status: `dialects.status`."""

import math
from typing import Any

import msgspec

from chittycan import errors
from chittycan.dialects import load
from chittycan.dialects.status import status_of


def headers_of(error: errors.ChittyError) -> list[tuple[bytes, bytes]]:
    retry_after = getattr(error, "retry_after", None)
    if retry_after is None:
        return []
    return [(b"retry-after", str(max(1, math.ceil(retry_after))).encode())]


def body_of(error: errors.ChittyError, surface: str) -> bytes:
    """The error as the surface's own clients read it."""
    built: dict[str, Any] = load(surface).build_error(error, status_of(error))
    return msgspec.json.encode(built)
