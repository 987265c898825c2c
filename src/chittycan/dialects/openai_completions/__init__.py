"""OpenAI's legacy completions (`/v1/completions`), for clients only, served through chat.

There is no provider side: every provider in the catalogue that completes text also chats, and a chat model's
answer to a prompt is what such clients want today. Beyond the names of `ClientDialect`: `split` and `join`, for a body
with several prompts.
"""

from chittycan.dialects.openai_completions.errors import build_error
from chittycan.dialects.openai_completions.request import parse_request, split
from chittycan.dialects.openai_completions.response import build_response, join
from chittycan.dialects.openai_completions.stream_builder import stream_builder

name = "openai_completions"

__all__ = [
    "build_error",
    "build_response",
    "join",
    "name",
    "parse_request",
    "split",
    "stream_builder",
]
