"""The message object, both ways.

Source: the Messages API reference (the message object, stop reasons, usage). Read leniently: compatible servers leave
fields out. `input_tokens` counts neither what was read from the prompt cache nor what was written to it; the neutral
`input` counts both.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from chittycan.chat import ChatRequest, ChatResponse, Json, Opaque, Part, Refusal, Text, Thinking, ToolCall, Usage
from chittycan.dialects.anthropic_messages.blocks import CITATION, parse_block, tool_use_block
from chittycan.dialects.anthropic_messages.errors import failed_from
from chittycan.dialects.anthropic_messages.schemas import ANSWER_TOOL
from chittycan.dialects.anthropic_messages.signatures import NAME, thinking_block
from chittycan.dialects.extras import keep, kept
from chittycan.errors import InvalidRequest, ProviderError, UpstreamRefused

STOP = {
    "end_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "content_filter",
}
STOP_BACK = {neutral: word for word, neutral in STOP.items()} | {"length": "max_tokens"}


class CacheCreation(Struct):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class OutputDetails(Struct):
    thinking_tokens: int | None = None


class UsageBody(Struct):
    """Usage of a message, or what one `message_delta` says of it; absent is not zero."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None

    def update(self, later: "UsageBody") -> None:
        """Counts are cumulative: a later one replaces the earlier."""
        for name in self.__struct_fields__:
            value = getattr(later, name)
            if value is not None:
                setattr(self, name, value)

    def neutral(self) -> Usage:
        cached = self.cache_read_input_tokens or 0
        written = self.cache_creation_input_tokens or 0
        split = self.cache_creation or CacheCreation()
        long = split.ephemeral_1h_input_tokens or 0
        written = max(written, long + (split.ephemeral_5m_input_tokens or 0))
        return Usage(
            input=(self.input_tokens or 0) + cached + written,
            output=self.output_tokens or 0,
            cached=cached,
            cache_write=written - long,
            cache_write_1h=long,
            reasoning=(self.output_tokens_details or OutputDetails()).thinking_tokens or 0,
        )


class MessageBody(Struct):
    id: str | None = None
    model: str | None = None
    content: list[Json] = field(default_factory=list)
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: UsageBody | None = None


TAKEN = {*MessageBody.__struct_fields__, "type", "role"}


def parse_response(body: Json) -> ChatResponse:
    """A provider's answer. Raises `UpstreamRefused` for an error in its place, `ProviderError` if unreadable."""
    if body.get("type") == "error":
        failed = failed_from(body.get("error"))
        message = failed.message or "The provider answered with an error."
        raise UpstreamRefused(message, status=failed.status, kind=failed.kind, code=failed.code)
    try:
        read = msgspec.convert(body, MessageBody)
        parts = [parse_block(block, f"content[{i}]") for i, block in enumerate(read.content)]
    except (msgspec.ValidationError, InvalidRequest) as error:
        raise ProviderError(f"The provider's answer is not a message: {error}") from None
    parts = [_answer(part) for part in parts if not (isinstance(part, Text) and part.text == "" and not part.extra)]
    return ChatResponse(
        id=read.id or "",
        model=read.model or "",
        parts=parts,
        stop_reason=stop_reason(read.stop_reason, any(isinstance(part, ToolCall) for part in parts)),
        usage=read.usage.neutral() if read.usage else None,
        stop_sequence=read.stop_sequence,
        extra=keep(NAME, {name: value for name, value in body.items() if name not in TAKEN and value is not None}),
    )


def _answer(part: Part) -> Part:
    """A call of the tool that stands for a structured answer, as the text that it means."""
    return Text(part.arguments) if isinstance(part, ToolCall) and part.name == ANSWER_TOOL else part


def stop_reason(word: str | None, calls: bool) -> str | None:
    """The neutral reason; `calls`: the answer has tool calls (for the caller, not the answer tool)."""
    if word == "end_turn" and calls:
        return "tool_calls"
    if word == "tool_use" and not calls:
        return "stop"
    return None if word is None else STOP.get(word, word)


def stop_word(reason: str | None, calls: bool, refused: bool) -> str | None:
    """This API's word for a neutral reason."""
    if reason == "stop" and calls:
        return "tool_use"
    if reason == "stop" and refused:
        return "refusal"
    return None if reason is None else STOP_BACK.get(reason, reason)


class Quick(Struct, gc=False):
    type: Literal["message"]
    stop_reason: str
    usage: UsageBody
    error: None = None


_QUICK = msgspec.json.Decoder(Quick)


def quick_usage(body: bytes) -> Usage | None:
    """The usage of a plainly good answer that is passed on as it is; None where only `parse_response` can tell."""
    try:
        return _QUICK.decode(body).usage.neutral()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def build_response(response: ChatResponse, request: ChatRequest | None = None) -> Json:
    """The message for our client."""
    calls = any(isinstance(part, ToolCall) for part in response.parts)
    refused = any(isinstance(part, Refusal) for part in response.parts)
    return {
        "id": response.id or "msg_0",
        "type": "message",
        "role": "assistant",
        "model": response.model,
        "content": build_content(response.parts),
        "stop_reason": stop_word(response.stop_reason, calls, refused),
        "stop_sequence": response.stop_sequence,
        "usage": build_usage(response.usage or Usage()),
    } | kept(NAME, response.extra)


def build_content(parts: list[Part]) -> list[Json]:
    """The blocks for our client. Pictures and foreign blocks have no place in an answer of this API."""
    blocks: list[Json] = []
    for part in parts:
        match part:
            case Text(text=""):
                pass
            case Text():
                blocks.append({"type": "text", "text": part.text} | kept(NAME, part.extra))
            case Refusal():
                blocks.append({"type": "text", "text": part.text})
            case Thinking():
                blocks.append(thinking_block(part))
            case ToolCall():
                blocks.append(tool_use_block(part, part.name))
            case Opaque(dialect=dialect, block=block) if dialect == NAME:
                _add_opaque(blocks, block)
            case _:
                pass
    return blocks


def _add_opaque(blocks: list[Json], block: Json) -> None:
    """A citation that came by itself, in a stream, belongs to the text before it."""
    if block.get("type") != CITATION:
        blocks.append(block)
    elif blocks and blocks[-1]["type"] == "text":
        blocks[-1].setdefault("citations", []).append(block.get("citation"))


def build_usage(usage: Usage) -> Json:
    written = usage.cache_write + usage.cache_write_1h
    built: Json = {
        "input_tokens": max(usage.input - usage.cached - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    }
    if written:
        built["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    if usage.reasoning:
        built["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return built


def as_object(value: Any) -> Json:
    """`value` where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}
