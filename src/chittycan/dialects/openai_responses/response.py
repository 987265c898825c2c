"""The response object, both ways.

Source: the Responses API reference (the response object, its output items and usage). Read leniently: older replies
and other vendors lack fields. Written in full: clients with generated types want every field.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from chittycan.chat import (
    ChatRequest,
    ChatResponse,
    Json,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from chittycan.dialects.extras import keep, kept
from chittycan.dialects.openai_responses.content import parse_content
from chittycan.dialects.openai_responses.errors import failed_from
from chittycan.dialects.openai_responses.items import mark_message, parse_reasoning, reasoning_item
from chittycan.dialects.openai_responses.request import request_echo
from chittycan.dialects.openai_responses.signatures import NAME
from chittycan.dialects.openai_responses.tools import Origin, call_from_item, call_item, origins
from chittycan.errors import InvalidRequest, ProviderError, UpstreamRefused

# Stop reasons that end a response as asked; any other word is the reason why it is incomplete.
COMPLETE = ("stop", "tool_calls", "stop_sequence")
INCOMPLETE = {"length": "max_output_tokens"}
STOP = {"max_output_tokens": "length"}


class TokenDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class UsageBody(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: TokenDetails | None = None
    output_tokens_details: TokenDetails | None = None
    cache_write_tokens: int | None = None


class Incomplete(Struct):
    reason: str | None = None


class ResponseBody(Struct):
    """What is read of a response; `output` items are read one by one."""

    id: str | None = None
    model: str | None = None
    created_at: float | None = None
    status: str | None = None
    error: Any = None
    incomplete_details: Incomplete | None = None
    output: list[Any] = field(default_factory=list)
    usage: UsageBody | None = None


def parse_response(body: Json) -> ChatResponse:
    """A provider's answer. Raises `UpstreamRefused` for a failed response, `ProviderError` for an unreadable one."""
    try:
        read = msgspec.convert(body, ResponseBody)
        parts = parse_output(read.output)
    except (msgspec.ValidationError, InvalidRequest) as error:
        raise ProviderError(f"The provider's answer is not a response: {error}") from None
    if read.status == "failed" or (read.error and not read.output):
        failed = failed_from(read.error)
        message = failed.message or "The provider's response failed."
        raise UpstreamRefused(message, status=failed.status, kind=failed.kind, code=failed.code)
    own = {name: body[name] for name in ("service_tier", "completed_at") if body.get(name) is not None}
    return ChatResponse(
        id=read.id or "",
        model=read.model or "",
        parts=parts,
        stop_reason=stop_reason(read.status, read.incomplete_details, parts),
        usage=parse_usage(read.usage),
        created=None if read.created_at is None else int(read.created_at),
        extra=keep(NAME, own),
    )


class _Quick(Struct, gc=False):
    status: Literal["completed", "incomplete"]
    usage: UsageBody
    error: None = None


_QUICK = msgspec.json.Decoder(_Quick)


def quick_usage(body: bytes) -> Usage | None:
    """The usage of a plainly good answer that is passed on as it is; None where only `parse_response` can tell."""
    try:
        return parse_usage(_QUICK.decode(body).usage)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def parse_output(output: list[Any]) -> list[Part]:
    """The parts of the answer, in order. Raises `InvalidRequest` for an item that is not what its type says."""
    parts: list[Part] = []
    for i, item in enumerate(output):
        if isinstance(item, dict):
            parts += parse_output_item(item, f"output[{i}]")
    return parts


def parse_output_item(item: Json, where: str) -> list[Part]:
    kind = item.get("type")
    if kind == "message":
        content = [part for part in parse_content(item.get("content"), f"{where}.content") if _says_something(part)]
        return mark_message(content, item.get("id"), item.get("phase"))
    if kind == "reasoning":
        thinking = parse_reasoning(item, where)
        return [thinking] if thinking.text or thinking.signature or thinking.redacted else []
    if kind in ("function_call", "custom_tool_call"):
        return [call_from_item(item, where)]
    return [Opaque(NAME, item)]


def _says_something(part: Part) -> bool:
    return not isinstance(part, Text | Refusal) or part.text != ""


def stop_reason(status: str | None, incomplete: Incomplete | None, parts: list[Part]) -> str | None:
    """The neutral reason; None while the response is not finished."""
    if status == "incomplete":
        reason = incomplete.reason if incomplete else None
        return STOP.get(reason or "", reason or "incomplete")
    if status in ("in_progress", "queued"):
        return None
    if status not in ("completed", None):
        return status
    if any(isinstance(part, ToolCall) for part in parts):
        return "tool_calls"
    return "content_filter" if any(isinstance(part, Refusal) for part in parts) else "stop"


def parse_usage(usage: UsageBody | None) -> Usage | None:
    if usage is None:
        return None
    inputs = usage.input_tokens_details or TokenDetails()
    outputs = usage.output_tokens_details or TokenDetails()
    return Usage(
        input=usage.input_tokens or 0,
        output=usage.output_tokens or 0,
        cached=inputs.cached_tokens or 0,
        cache_write=inputs.cache_write_tokens or usage.cache_write_tokens or 0,
        reasoning=outputs.reasoning_tokens or 0,
    )


def build_usage(usage: Usage | None) -> Json | None:
    if usage is None:
        return None
    written = usage.cache_write + usage.cache_write_1h
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": written},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }


def response_id(given: str) -> str:
    return given if given.startswith("resp_") else f"resp_{given}"


def item_id(kind: str, response: str, index: int) -> str:
    """The id of the output item at `index`: the same whether the answer was streamed or not."""
    return f"{kind}_{response.removeprefix('resp_')}_{index}"


def skeleton(given: str, model: str, created: int, request: ChatRequest | None) -> Json:
    """A response in progress, every field of it; what the request said is repeated where it is known."""
    body: Json = {
        "id": response_id(given),
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
    }
    if request is not None:
        body |= {name: value for name, value in request_echo(request).items() if name in body}
    return body


def conclude(body: Json, output: list[Json], reason: str | None, usage: Usage | None) -> Json:
    """The finished response: completed, or incomplete with the reason."""
    refused = reason == "content_filter" and any(
        part.get("type") == "refusal" for item in output for part in item.get("content") or ()
    )
    ended = {"output": output, "usage": build_usage(usage)}
    if reason in COMPLETE or refused:
        return body | ended | {"status": "completed", "completed_at": body["created_at"]}
    details = None if reason is None else {"reason": INCOMPLETE.get(reason, reason)}
    return body | ended | {"status": "incomplete", "incomplete_details": details}


def build_response(response: ChatResponse, request: ChatRequest | None = None) -> Json:
    """The answer for a client of this dialect.

    `request` is optional: with it the answer repeats the request's fields, as OpenAI's does, and calls of custom
    and namespaced tools get back their own item types and names.
    """
    body = skeleton(response.id or "unknown", response.model, response.created or 0, request)
    output = build_output_items(response.parts, body["id"], origins(request))
    return conclude(body, output, response.stop_reason, response.usage) | kept(NAME, response.extra)


def build_output_items(parts: list[Part], response: str, names: dict[str, Origin]) -> list[Json]:
    items: list[Json] = []
    for part in parts:
        index = len(items)
        match part:
            case Text(text="") | Refusal(text=""):
                continue
            case Text() | Refusal():
                _add_content(items, part, response)
            case Thinking():
                items.append(reasoning_item(part, item_id("rs", response, index)))
            case ToolCall():
                kind = "ctc" if part.name in names and names[part.name].custom else "fc"
                items.append(call_item(part, names.get(part.name), item_id(kind, response, index)))
            case Opaque(dialect=dialect) if dialect == NAME:
                items.append(part.block)
            case _:
                pass
    return items


def _add_content(items: list[Json], part: Text | Refusal, response: str) -> None:
    """Adds to the message being written, or begins one where the text came from an item of its own."""
    own = kept(NAME, part.extra) if isinstance(part, Text) else {}
    last = items[-1] if items else {}
    if last.get("type") != "message" or ("id" in own and own["id"] != last["id"]):
        last = message_item(own.get("id") or item_id("msg", response, len(items)), "completed", [])
        if "phase" in own:
            last["phase"] = own["phase"]
        items.append(last)
    last["content"].append(content_part(part, own))


def message_item(given: str, status: str, content: list[Json]) -> Json:
    return {"id": given, "type": "message", "status": status, "role": "assistant", "content": content}


def content_part(part: Text | Refusal, own: Json) -> Json:
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    return {
        "type": "output_text",
        "text": part.text,
        "annotations": own.get("annotations", []),
        "logprobs": own.get("logprobs", []),
    }
