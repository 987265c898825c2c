"""OpenAI's legacy completions (`/v1/completions`), for clients only, served through chat.

There is no provider side: every provider in the catalogue that completes text also chats, and a chat model's
answer to a prompt is what such clients want today. `build_request` and the parsers therefore refuse.
"""

from collections.abc import Mapping
from typing import NoReturn

from chittycan.chat import ChatRequest, Json
from chittycan.dialects.openai_completions.errors import build_error, parse_error
from chittycan.dialects.openai_completions.request import parse_request, split
from chittycan.dialects.openai_completions.response import build_response, join
from chittycan.dialects.openai_completions.stream_builder import stream_builder
from chittycan.errors import InvalidRequest

name = "openai_completions"


def _refuse() -> NoReturn:
    raise InvalidRequest("legacy completions are served through chat; set the provider's dialect to `openai`")


def build_request(chat: ChatRequest) -> Json:
    _refuse()


def parse_response(body: Json) -> NoReturn:
    _refuse()


def stream_parser() -> NoReturn:
    _refuse()


def path(upstream_model: str, stream: bool) -> str:
    return "/completions"


def auth_headers(secret: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {secret}"}


__all__ = [
    "auth_headers",
    "build_error",
    "build_request",
    "build_response",
    "join",
    "name",
    "parse_error",
    "parse_request",
    "parse_response",
    "path",
    "split",
    "stream_builder",
    "stream_parser",
]
