"""`POST /v1/responses`: the request, both ways.

Source: the Responses API reference (create a model response). Fields that have no neutral meaning stay in
`ChatRequest.extra` as they came; `tools`, `tool_choice`, `text` and `reasoning` stay there too, whole, because
their neutral form says less than they do.
"""

from hashlib import sha256
from typing import Any

from msgspec import Struct

from chittycan.chat import ChatRequest, Json, Message, Opaque, Reasoning, ResponseFormat, Text, Tool
from chittycan.dialects.extras import keep, kept
from chittycan.dialects.openai_responses.items import build_items, parse_items
from chittycan.dialects.openai_responses.signatures import NAME
from chittycan.dialects.openai_responses.tools import (
    additional_tools,
    allowed_names,
    build_tool_choice,
    build_tools,
    parse_tool_choice,
    parse_tools,
)
from chittycan.dialects.reasoning import effort_of, thinks
from chittycan.dialects.schemas import openai_schema
from chittycan.dialects.wire import convert
from chittycan.errors import InvalidRequest

# The API refuses less; a client that asks for one token (to probe a key, say) gets up to this many.
MIN_OUTPUT_TOKENS = 16
# A longer `user` is refused; Claude Code's is longer.
MAX_USER = 64
# Taken over as they are where the caller spoke this dialect.
SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "metadata")
# What OpenAI keeps for the caller and nobody else can look up.
STORED_STATE = ("previous_response_id", "conversation", "prompt")
# Items whose content only the API that made them can read.
SEALED_ITEMS = ("item_reference", "compaction")


class ReasoningField(Struct):
    effort: str | None = None
    summary: str | None = None


class FormatField(Struct):
    type: str
    name: str | None = None
    schema: Json | None = None
    strict: bool | None = None


class TextField(Struct):
    format: FormatField | None = None


class Body(Struct):
    """The fields with a neutral meaning; all others are kept as they are."""

    model: str
    input: str | list[Any] | None = None
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    top_logprobs: int | None = None
    include: list[str] | None = None
    tools: list[Json] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    text: TextField | None = None
    reasoning: ReasoningField | None = None
    user: str | None = None
    metadata: Json | None = None


# Neutral in part only: their whole value is kept as well.
ALSO_KEPT = {"tools", "tool_choice", "parallel_tool_calls", "text", "reasoning", "include", "top_logprobs"}
TAKEN = set(Body.__struct_fields__) - ALSO_KEPT


def parse_request(body: Json) -> ChatRequest:
    """A client's request. Raises `InvalidRequest` naming the field."""
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.")
    fields = convert(body, Body, "")
    messages = _parse_messages(body, fields)
    tools = _offered(fields, messages)
    callable_tools = any(tool.raw is None for tool in tools)
    stream = bool(fields.stream)
    logprobs = "message.output_text.logprobs" in (fields.include or ())
    return ChatRequest(
        model=fields.model,
        messages=messages,
        stream=stream,
        include_usage=stream,
        max_tokens=fields.max_output_tokens,
        temperature=fields.temperature,
        top_p=fields.top_p,
        presence_penalty=fields.presence_penalty,
        frequency_penalty=fields.frequency_penalty,
        logprobs=logprobs,
        top_logprobs=fields.top_logprobs if logprobs else None,
        tools=tools,
        # Without a function to call, others refuse to hear how it should be chosen.
        tool_choice=parse_tool_choice(fields.tool_choice) if callable_tools else None,
        parallel_tool_calls=fields.parallel_tool_calls if callable_tools else None,
        response_format=_parse_format(fields.text.format if fields.text else None),
        reasoning=_parse_reasoning(fields.reasoning),
        user=fields.user,
        metadata=fields.metadata,
        origin=NAME,
        extra={key: value for key, value in body.items() if key not in TAKEN and value is not None},
    )


def _parse_messages(body: Json, fields: Body) -> list[Message]:
    if fields.input is None and not any(body.get(name) for name in STORED_STATE):
        raise InvalidRequest("input: expected a string or a list of items", param="input")
    messages: list[Message] = []
    if fields.instructions:
        messages.append(Message("system", [Text(fields.instructions)], extra=keep(NAME, {"instructions": True})))
    if isinstance(fields.input, str):
        return [*messages, Message("user", [Text(fields.input)])]
    return messages + parse_items(fields.input or [])


def _offered(fields: Body, messages: list[Message]) -> list[Tool]:
    tools = parse_tools(fields.tools or []) + parse_tools(additional_tools(messages), "input")
    allowed = allowed_names(fields.tool_choice)
    return tools if allowed is None else [tool for tool in tools if tool.raw is not None or tool.name in allowed]


def _parse_format(form: FormatField | None) -> ResponseFormat | None:
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return ResponseFormat("json")
    if form.type == "json_schema":
        if form.schema is None:
            raise InvalidRequest("text.format.schema: expected a JSON schema", param="text.format.schema")
        return ResponseFormat("schema", form.schema, form.name, form.strict)
    raise InvalidRequest('text.format.type: expected "text", "json_object" or "json_schema"', param="text.format.type")


def _parse_reasoning(field: ReasoningField | None) -> Reasoning | None:
    if field is None or (field.effort is None and field.summary is None):
        return None
    return Reasoning(effort=field.effort, off=field.effort == "none", summary=field.summary)


def require_no_stored_state(chat: ChatRequest) -> None:
    """Refuse what only the API that stored it can look up; call it before building for another dialect.

    Whoever resolves such a field puts the stored items into `messages` and removes it from `extra`.
    Raises `InvalidRequest` naming the field.
    """
    if chat.origin != NAME:
        return
    fix = "Send the whole conversation in `input`, or name a model of the API that stored it."
    for name in STORED_STATE:
        if chat.extra.get(name):
            raise InvalidRequest(f"{name}: this model's provider cannot look it up.", param=name, fix=fix)
    for message in chat.messages:
        for part in message.parts:
            if isinstance(part, Opaque) and part.block.get("type") in SEALED_ITEMS:
                problem = f"input: this model's provider cannot read an item of type {part.block['type']}."
                raise InvalidRequest(problem, param="input", fix=fix)


def build_request(chat: ChatRequest) -> Json:
    """The request for a provider of this dialect. Raises `InvalidRequest` for what the API has no field for.

    Of requests that came in another dialect, hints on sampling that it has no field for (`top_k`, `seed`,
    penalties; temperature for models that think), `metadata` and cache marks stay behind.
    """
    own = chat.origin == NAME
    _refuse_unsupported(chat)
    instructions, rest = _split_instructions(chat)
    body: Json = {"model": chat.model}
    if instructions:
        body["instructions"] = instructions
    body["input"] = build_items(rest)
    if chat.stream:
        body["stream"] = True
    if chat.max_tokens is not None:
        body["max_output_tokens"] = max(chat.max_tokens, MIN_OUTPUT_TOKENS)
    for name in SAMPLING if own else () if thinks(chat.model) else ("temperature", "top_p"):
        value = getattr(chat, name)
        if value is not None:
            body[name] = value
    if tools := build_tools(chat):
        body["tools"] = tools
        body |= _build_choice(chat)
    if own:
        return body | ({"user": chat.user} if chat.user else {}) | chat.extra
    if chat.user:
        body["user"] = chat.user if len(chat.user) <= MAX_USER else sha256(chat.user.encode()).hexdigest()
    # Nothing of a call is kept at the provider unless the caller asked for it in this dialect's own words.
    return body | _build_text_and_reasoning(chat) | {"store": False}


def _refuse_unsupported(chat: ChatRequest) -> None:
    unsupported = {
        "stop": bool(chat.stop),
        "n": chat.n > 1,
        "logprobs": chat.origin != NAME and chat.logprobs,
    }
    for name, given in unsupported.items():
        if given:
            fix = f"Leave out `{name}`, or name a model of another kind."
            raise InvalidRequest(f"{name}: the Responses API has no such field.", param=name, fix=fix)


def _split_instructions(chat: ChatRequest) -> tuple[str, list[Message]]:
    """What our caller had in `instructions`; of anyone else, the system messages that lead the conversation."""
    leading = 0
    for message in chat.messages:
        plain = message.role == "system" and all(isinstance(part, Text) for part in message.parts)
        if not plain or (chat.origin == NAME and not kept(NAME, message.extra).get("instructions")):
            break
        leading += 1
    texts = [part.text for message in chat.messages[:leading] for part in message.parts if isinstance(part, Text)]
    return "\n\n".join(text for text in texts if text), chat.messages[leading:]


def _build_choice(chat: ChatRequest) -> Json:
    built: Json = {}
    if chat.tool_choice is not None:
        built["tool_choice"] = build_tool_choice(chat.tool_choice)
    if chat.parallel_tool_calls is not None:
        built["parallel_tool_calls"] = chat.parallel_tool_calls
    return built


def _build_text_and_reasoning(chat: ChatRequest) -> Json:
    built: Json = {}
    form, reasoning = chat.response_format, chat.reasoning
    if form is not None and form.kind == "json":
        built["text"] = {"format": {"type": "json_object"}}
    elif form is not None and form.kind == "schema":
        schema, strict = openai_schema(form.schema, form.strict, chat.origin)
        named = {"type": "json_schema", "name": form.name or "answer", "schema": schema or {}}
        built["text"] = {"format": named | {"strict": bool(strict)}}
    if reasoning is not None and not reasoning.off and thinks(chat.model):
        effort = reasoning.effort or (None if reasoning.budget is None else effort_of(reasoning.budget))
        fields = {"effort": effort, "summary": reasoning.summary}
        built["reasoning"] = {name: value for name, value in fields.items() if value is not None}
        # Without this a stateless caller cannot hand the reasoning back; models that do not reason refuse it.
        built["include"] = ["reasoning.encrypted_content"]
    return built


def request_echo(chat: ChatRequest) -> Json:
    """What a response repeats of the request of our own caller, with the API's defaults filled in."""
    echo = {name: value for name, value in chat.extra.items() if name != "service_tier"}
    echo |= {
        "instructions": _split_instructions(chat)[0] or None,
        "max_output_tokens": chat.max_tokens,
        "user": chat.user,
        "store": chat.extra.get("store", True),
        "tools": [_echo_tool(tool) for tool in chat.extra.get("tools") or []],
        "text": {"format": {"type": "text"}} | chat.extra.get("text", {}),
        "reasoning": {"effort": None, "summary": None} | chat.extra.get("reasoning", {}),
    }
    echo |= {name: getattr(chat, name) for name in SAMPLING if getattr(chat, name) is not None}
    return echo


def _echo_tool(tool: Json) -> Json:
    return {"description": None, "strict": True} | tool if tool.get("type") == "function" else tool
