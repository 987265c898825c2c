"""The Anthropic Messages API, for clients that speak it (Claude Code, Anthropic's SDKs) and providers that do.

Beyond the names of `Dialect`: `holds_foreign_reasoning` (before passing a body through). Source: the API reference at
platform.claude.com (Messages, streaming, errors), as of November 2026.
"""

from collections.abc import Mapping

from chittycan.dialects.anthropic_messages.errors import build_error, parse_error
from chittycan.dialects.anthropic_messages.request import build_request, parse_request
from chittycan.dialects.anthropic_messages.response import build_response, parse_response, quick_usage
from chittycan.dialects.anthropic_messages.signatures import holds_foreign_reasoning
from chittycan.dialects.anthropic_messages.stream import stream_parser
from chittycan.dialects.anthropic_messages.stream_builder import stream_builder
from chittycan.dialects.names import wire_names

VERSION = "2023-06-01"
name = "anthropic"


def path(upstream_model: str, stream: bool) -> str:
    return "/v1/messages"


def auth_headers(secret: str) -> Mapping[str, str]:
    return {"x-api-key": secret, "anthropic-version": VERSION}


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
    "stream_builder",
    "stream_parser",
    "wire_names",
]
