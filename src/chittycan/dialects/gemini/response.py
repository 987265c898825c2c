"""The answer of `generateContent`, which is also the form of every event of its stream.

Source: the Gemini API reference, v1beta (GenerateContentResponse, FinishReason, UsageMetadata). `promptTokenCount`
includes what came from the cache; `candidatesTokenCount` does not include thinking. `totalTokenCount` is not used: it
is known to disagree with its parts.
"""

from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct, field

from chittycan.chat import (
    ChatResponse,
    Image,
    Json,
    Opaque,
    Part,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from chittycan.dialects.extras import signature_extra
from chittycan.dialects.gemini.errors import failed_from
from chittycan.dialects.gemini.signatures import CALL, MADE_UP, NAME, TEXT
from chittycan.errors import ProviderError, UpstreamRefused

# Every other word (MALFORMED_FUNCTION_CALL, OTHER, LANGUAGE…) is passed on as it is.
STOP = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
UNSPECIFIED = "FINISH_REASON_UNSPECIFIED"


class FunctionCall(Struct):
    name: str
    args: Any = None
    id: str | None = None


class Blob(Struct, rename="camel"):
    data: str
    mime_type: str | None = None


class WirePart(Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Blob | None = None


class Content(Struct):
    parts: list[msgspec.Raw] | None = None


class Candidate(Struct, rename="camel"):
    content: Content | None = None
    finish_reason: str | None = None
    index: int | None = None


class Feedback(Struct, rename="camel"):
    block_reason: str | None = None


class Counts(Struct, rename="camel"):
    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    cached_content_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None

    def neutral(self) -> Usage:
        thoughts = self.thoughts_token_count or 0
        return Usage(
            input=(self.prompt_token_count or 0) + (self.tool_use_prompt_token_count or 0),
            output=(self.candidates_token_count or 0) + thoughts,
            cached=self.cached_content_token_count or 0,
            reasoning=thoughts,
        )


class Answer(Struct, rename="camel"):
    candidates: list[Candidate] = field(default_factory=list)
    prompt_feedback: Feedback | None = None
    usage_metadata: Counts | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None


PART = msgspec.json.Decoder(WirePart)
ANSWER = msgspec.json.Decoder(Answer)


def parse_response(body: Json) -> ChatResponse:
    """A provider's answer. Raises `UpstreamRefused` for an error in its place, `ProviderError` if unreadable."""
    try:
        answer = ANSWER.decode(msgspec.json.encode(body))
        candidate = first(answer.candidates)
        parts = _parts(candidate, answer.response_id) if candidate else []
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError) as error:
        raise ProviderError(f"The provider's answer is not a GenerateContentResponse: {error}") from None
    if answer.error is not None:
        failed = failed_from(answer.error)
        message = failed.message or "The provider answered with an error."
        raise UpstreamRefused(message, status=failed.status, kind=failed.kind, code=failed.code)
    if candidate is None and answer.prompt_feedback is None and answer.usage_metadata is None:
        raise ProviderError("The provider's answer has no candidates and does not say why.")
    calls = any(isinstance(part, ToolCall) for part in parts)
    return ChatResponse(
        id=answer.response_id or "",
        model=answer.model_version or "",
        parts=parts,
        stop_reason=stop_reason(candidate.finish_reason, calls) if candidate else "content_filter",
        usage=answer.usage_metadata.neutral() if answer.usage_metadata else None,
    )


def first(candidates: list[Candidate]) -> Candidate | None:
    """The candidate with index 0; more than one is never asked for."""
    return next((each for each in candidates if not each.index), None)


def stop_reason(word: str | None, calls: bool) -> str | None:
    if word is None or word == UNSPECIFIED:
        return None
    return "tool_calls" if calls and word == "STOP" else STOP.get(word, word)


def _parts(candidate: Candidate, response_id: str | None) -> list[Part]:
    parts: list[Part] = []
    calls = 0
    for raw in (candidate.content.parts if candidate.content else None) or []:
        read = PART.decode(raw)
        if read.function_call is not None:
            parts += _call(read, read.function_call, call_id(read.function_call, response_id, calls))
            calls += 1
        elif read.inline_data is not None:
            parts.append(Image(data=read.inline_data.data, media_type=read.inline_data.mime_type))
        elif read.text is not None:
            _add_text(parts, read)
        else:
            parts.append(Opaque(NAME, msgspec.json.decode(raw)))
    return parts


def _call(read: WirePart, call: FunctionCall, made_id: str) -> list[Part]:
    signature = read.thought_signature
    ahead: list[Part] = [Thinking(signature=CALL + signature, signer=NAME)] if signature else []
    return [*ahead, ToolCall(made_id, call.name, arguments(call), extra=signature_extra(signature))]


def _add_text(parts: list[Part], read: WirePart) -> None:
    text = read.text or ""
    if read.thought:
        if text:
            parts.append(Thinking(text, signer=NAME))
        return
    if text and parts and isinstance(parts[-1], Text):
        parts[-1].text += text
    elif text:
        parts.append(Text(text))
    if read.thought_signature:
        parts.append(Thinking(signature=TEXT + read.thought_signature, signer=NAME))


def arguments(call: FunctionCall) -> str:
    return msgspec.json.encode(call.args).decode() if call.args else "{}"


def call_id(call: FunctionCall, response_id: str | None, number: int) -> str:
    """Gemini's own id, else one that is the same whenever the same answer is read, and no other answer's."""
    if call.id:
        return call.id
    if response_id:
        return f"{MADE_UP}{response_id}_{number}"
    digest = sha256(f"{number} {call.name} {arguments(call)}".encode("utf-8", "replace")).hexdigest()
    return f"{MADE_UP}{digest[:24]}"
