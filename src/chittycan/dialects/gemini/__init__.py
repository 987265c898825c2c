"""The Gemini API (`generateContent`), for providers that speak it.

No client of ours does, so the names are those of `ProviderDialect`. Source: ai.google.dev/api and the published
protocol buffers, v1beta.
"""

from collections.abc import Mapping
from urllib.parse import quote

from chittycan.dialects.gemini.errors import parse_error
from chittycan.dialects.gemini.request import build_request
from chittycan.dialects.gemini.response import parse_response
from chittycan.dialects.gemini.stream import stream_parser
from chittycan.dialects.names import wire_names

name = "gemini"


def path(upstream_model: str, stream: bool) -> str:
    """Tuned models have a path of their own."""
    model = quote(upstream_model, safe="/" if upstream_model.startswith(("models/", "tunedModels/")) else "")
    collection = "" if "/" in model else "models/"
    return f"/v1beta/{collection}{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")


def auth_headers(secret: str) -> Mapping[str, str]:
    return {"x-goog-api-key": secret}


__all__ = [
    "auth_headers",
    "build_request",
    "name",
    "parse_error",
    "parse_response",
    "path",
    "stream_parser",
    "wire_names",
]
