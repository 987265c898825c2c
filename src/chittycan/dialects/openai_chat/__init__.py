"""OpenAI Chat Completions (`/v1/chat/completions`) and everything that speaks it, with the vendors' own habits."""

from collections.abc import Mapping

from chittycan.dialects.names import wire_names
from chittycan.dialects.openai_chat.errors import build_error, parse_error
from chittycan.dialects.openai_chat.request import build_request, parse_request
from chittycan.dialects.openai_chat.response import build_response, parse_response, quick_usage
from chittycan.dialects.openai_chat.stream import stream_parser
from chittycan.dialects.openai_chat.stream_builder import stream_builder

name = "openai"


def path(upstream_model: str, stream: bool) -> str:
    return "/chat/completions"


def auth_headers(secret: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {secret}"}


__all__ = [
    "auth_headers",
    "build_error",
    "build_request",
    "build_response",
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
