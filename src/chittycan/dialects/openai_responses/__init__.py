"""OpenAI Responses (`POST /v1/responses`), for clients that speak it and for providers that do.

Beyond the names of `Dialect`: `require_no_stored_state` (before building for another dialect),
`holds_foreign_reasoning` (before passing a body through) and `stored_items` (what `previous_response_id` stands for).
"""

from collections.abc import Mapping

from chittycan.dialects.names import wire_names
from chittycan.dialects.openai_responses.errors import build_error, parse_error
from chittycan.dialects.openai_responses.items import stored_items
from chittycan.dialects.openai_responses.request import build_request, parse_request, require_no_stored_state
from chittycan.dialects.openai_responses.response import build_response, parse_response, quick_usage
from chittycan.dialects.openai_responses.signatures import NAME, holds_foreign_reasoning
from chittycan.dialects.openai_responses.stream import stream_parser
from chittycan.dialects.openai_responses.stream_builder import stream_builder

name = NAME


def path(upstream_model: str, stream: bool) -> str:
    return "/responses"


def auth_headers(secret: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {secret}"}


__all__ = [
    "auth_headers",
    "build_error",
    "build_request",
    "build_response",
    "holds_foreign_reasoning",
    "name",
    "parse_error",
    "parse_request",
    "parse_response",
    "path",
    "quick_usage",
    "require_no_stored_state",
    "stored_items",
    "stream_builder",
    "stream_parser",
    "wire_names",
]
