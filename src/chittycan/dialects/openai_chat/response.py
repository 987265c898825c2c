"""Answers, both ways. Source: OpenAI API reference, "The chat completion object"."""

import hashlib
from typing import Any

import msgspec
from msgspec import Struct

from chittycan.chat import ChatRequest, ChatResponse, Json, Opaque, Part, Refusal, Text, Thinking, ToolCall, Usage
from chittycan.dialects.extras import read_extra_content
from chittycan.dialects.openai_chat.messages import FORMAT_OF, MESSAGE_FIELDS, build_call, parse_details

_TOP = frozenset({"id", "object", "created", "model", "choices", "usage"})


# From the wire: lenient, because every vendor's answers differ in some detail


def parse_response(body: Json) -> ChatResponse:
    """The first choice of a completion; what only this dialect knows stays in `extra["openai"]`.

    Never raises: an odd shape gives an answer without parts or without a stop reason.
    """
    choices = [choice for choice in _list(body.get("choices")) if isinstance(choice, dict)]
    first: Json = choices[0] if choices else {}
    message = first.get("message")
    message = message if isinstance(message, dict) else {}
    identity = _text(body.get("id")) or ""
    parts = _parse_message(message, identity)
    own: Json = {"body": {key: value for key, value in body.items() if key not in _TOP}}
    own["message"] = {key: value for key, value in message.items() if key not in MESSAGE_FIELDS and value is not None}
    own["choices"] = choices[1:]
    own["logprobs"] = first.get("logprobs")
    own = {key: value for key, value in own.items() if value}
    created, usage = body.get("created"), body.get("usage")
    return ChatResponse(
        id=identity,
        model=_text(body.get("model")) or "",
        parts=parts,
        stop_reason=stop_reason(_text(first.get("finish_reason")), parts),
        usage=parse_usage(usage) if isinstance(usage, dict) else None,
        created=int(created) if isinstance(created, int | float) and abs(created) < 1e15 else None,
        extra={"openai": own} if own else None,
    )


class _QuickChoice(Struct, gc=False):
    finish_reason: str


class _QuickDetails(Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class _QuickUsage(Struct, gc=False):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int | None = None
    prompt_tokens_details: _QuickDetails | None = None
    completion_tokens_details: _QuickDetails | None = None
    # Other vendors' names for the same: whoever uses them is read at leisure.
    prompt_cache_hit_tokens: None = None
    cached_tokens: None = None
    cache_creation_input_tokens: None = None


class _Quick(Struct, gc=False):
    choices: tuple[_QuickChoice]
    usage: _QuickUsage
    error: None = None


_QUICK = msgspec.json.Decoder(_Quick)


def quick_usage(body: bytes) -> Usage | None:
    """The usage of a plainly good answer that is passed on as it is; None where only `parse_response` can tell."""
    try:
        usage = _QUICK.decode(body).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    prompt, answer = usage.prompt_tokens_details, usage.completion_tokens_details
    if prompt is None and answer is None:
        return Usage(usage.prompt_tokens, usage.completion_tokens)
    return parse_usage(msgspec.to_builtins(usage))


def _parse_message(message: Json, identity: str) -> list[Part]:
    text, thinking = plain_content(message.get("content"))
    for key in ("reasoning_content", "reasoning"):
        thinking = thinking or _text(message.get(key)) or ""
    parts: list[Part] = list(parse_details(message.get("reasoning_details")))
    if thinking and not parts:
        parts.append(Thinking(thinking))
    if text:
        parts.append(Text(text))
    refusal = _text(message.get("refusal"))
    if refusal:
        parts.append(Refusal(refusal))
    ids = CallIds(identity)
    for call in _list(message.get("tool_calls")):
        if isinstance(call, dict):
            parts.append(_parse_call(call, ids))
    legacy = message.get("function_call")
    if isinstance(legacy, dict):
        parts.append(_parse_call({"function": legacy}, ids))
    return parts


def _parse_call(call: Json, ids: "CallIds") -> Part:
    if call.get("type") not in ("function", None, ""):
        return Opaque("openai", call)
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    name = _text(function.get("name")) or ""
    return ToolCall(
        ids.give(_text(call.get("id")), name),
        name,
        arguments_text(function.get("arguments")) or "{}",
        extra=read_extra_content(call.get("extra_content")),
    )


class CallIds:
    """Gives every tool call of one answer an id of its own: the provider's where it is unique, else a made one.

    Made ids depend only on the answer's id, the position and the name, so that they stay the same when repeated.
    """

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self._used: set[str] = set()
        self._count = 0

    def give(self, given: str | None, name: str) -> str:
        place, self._count = self._count, self._count + 1
        if not given:
            seed = f"{self.answer}/{place}/{name}".encode()
            given = "call_" + hashlib.blake2b(seed, digest_size=9).hexdigest()
        while given in self._used:
            given = f"{given}_{place}"
        self._used.add(given)
        return given


def stop_reason(finish: str | None, parts: list[Part]) -> str | None:
    """The neutral word for a finish reason, given what the answer holds. None where there was none."""
    calls = any(isinstance(part, ToolCall) for part in parts)
    return neutral_reason(finish, calls, any(isinstance(part, Refusal) for part in parts))


def neutral_reason(finish: str | None, calls: bool, refused: bool) -> str | None:
    """As `stop_reason`. A refusal ends with `stop` at OpenAI and counts as `content_filter` here."""
    if not finish:
        return None
    if finish == "function_call" or (finish == "stop" and calls):
        return "tool_calls"
    return "content_filter" if finish == "stop" and refused else finish


def plain_content(content: Any) -> tuple[str, str]:
    """(text, reasoning) of a content that is a string or, at Mistral, a list of text and thinking chunks."""
    if isinstance(content, str):
        return content, ""
    text, thinking = "", ""
    for chunk in _list(content):
        if not isinstance(chunk, dict):
            continue
        if chunk.get("type") == "thinking":
            thinking += plain_content(chunk.get("thinking"))[0]
        else:
            text += _text(chunk.get("text")) or ""
    return text, thinking


def arguments_text(arguments: Any) -> str:
    """Arguments as JSON text; some local servers send the object itself."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else msgspec.json.encode(arguments).decode()


def parse_usage(usage: Json) -> Usage:
    """Token counts, whichever of the vendors' names they have; zero where none is given."""
    prompt, answer = _details(usage, "prompt_tokens_details"), _details(usage, "completion_tokens_details")
    read, output = _int(usage, "prompt_tokens"), _int(usage, "completion_tokens")
    reasoning = _int(answer, "reasoning_tokens")
    # xAI counts reasoning beside completion_tokens, not in it; only the total gives that away.
    if reasoning and _int(usage, "total_tokens") == read + output + reasoning:
        output += reasoning
    return Usage(
        input=read,
        output=output,
        cached=_int(prompt, "cached_tokens") or _int(usage, "prompt_cache_hit_tokens") or _int(usage, "cached_tokens"),
        cache_write=_int(prompt, "cache_write_tokens") or _int(usage, "cache_creation_input_tokens"),
        reasoning=reasoning,
    )


def _details(usage: Json, key: str) -> Json:
    value = usage.get(key)
    return value if isinstance(value, dict) else {}


def _int(fields: Json, key: str) -> int:
    value = fields.get(key)
    return int(value) if isinstance(value, int | float) and 0 <= value < 1e15 else 0


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


# To the wire


def build_response(response: ChatResponse, request: ChatRequest | None = None) -> Json:
    """A chat completion. `created` is 0 where the provider told no time."""
    own: Json = (response.extra or {}).get("openai", {})
    choice: Json = {
        "index": 0,
        "message": build_message(response.parts),
        "finish_reason": finish_reason(response.stop_reason, any(isinstance(p, Refusal) for p in response.parts)),
        "logprobs": own.get("logprobs"),
    }
    choice["message"].update(own.get("message", {}))
    built: Json = {
        "id": response.id,
        "object": "chat.completion",
        "created": response.created or 0,
        "model": response.model,
        "choices": [choice, *own.get("choices", [])],
    }
    if response.usage is not None:
        built["usage"] = build_usage(response.usage)
    return {**own.get("body", {}), **built}


def build_message(parts: list[Part]) -> Json:
    """The assistant's message: text joined, reasoning as `reasoning_content`, signatures as `reasoning_details`."""
    texts = [part.text for part in parts if isinstance(part, Text)]
    refusals = [part.text for part in parts if isinstance(part, Refusal)]
    message: Json = {
        "role": "assistant",
        "content": "".join(texts) if texts else None,
        "refusal": "".join(refusals) if refusals else None,
    }
    thoughts = [part for part in parts if isinstance(part, Thinking)]
    if any(thought.text for thought in thoughts):
        message["reasoning_content"] = "".join(thought.text for thought in thoughts)
    sealed = [thought for thought in thoughts if thought.signature is not None or thought.redacted is not None]
    details = [build_detail(thought) for thought in sealed if thought.signer in FORMAT_OF]
    if details:
        message["reasoning_details"] = details
    calls = [build_call(part, part.name) for part in parts if isinstance(part, ToolCall)]
    calls += [part.block for part in parts if isinstance(part, Opaque) and part.dialect == "openai"]
    if calls:
        message["tool_calls"] = calls
    return message


def build_detail(thought: Thinking) -> Json:
    """A signed or redacted thought in OpenRouter's form, so that a client can hand it back."""
    form = FORMAT_OF.get(thought.signer or "")
    if thought.redacted is not None:
        return {"type": "reasoning.encrypted", "data": thought.redacted, "format": form}
    return {"type": "reasoning.text", "text": thought.text, "signature": thought.signature, "format": form}


def finish_reason(reason: str | None, refused: bool) -> str | None:
    """OpenAI's word for a neutral stop reason; words it does not have are passed on as they are."""
    if reason == "stop_sequence" or (reason == "content_filter" and refused):
        return "stop"
    return reason


def build_usage(usage: Usage) -> Json:
    """OpenAI's usage object; `prompt_tokens` includes what was read from and written to a cache."""
    prompt: Json = {"cached_tokens": usage.cached}
    if usage.cache_write or usage.cache_write_1h:
        prompt["cache_write_tokens"] = usage.cache_write + usage.cache_write_1h
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
