"""Requests, both ways. Source: OpenAI API reference, "Create chat completion", request body."""

import re
from typing import Any

from chittycan.chat import ChatRequest, Json, Reasoning, ResponseFormat, Tool, ToolChoice
from chittycan.dialects.names import wire_name
from chittycan.dialects.openai_chat.messages import MessageWriter, parse_messages
from chittycan.dialects.reasoning import effort_of, thinks
from chittycan.dialects.schemas import openai_schema
from chittycan.dialects.wire import field, number, required, wrong
from chittycan.errors import InvalidRequest

OWN = ("openai", "openai_completions")  # origins whose extra fields this dialect understands
FIELDS = frozenset(
    {"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "stop", "seed", "n"}
    | {"temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"}
    | {"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format"}
    | {"reasoning_effort", "user", "metadata", "chitty"}
)
_SPELLING = ("max_completion_tokens", "stream_options", "echo")  # kept in `extra`, but never sent as they are
# Vendors whose thinking models want their own reasoning back with the tool calls it led to.
_REPLAYS_THINKING = re.compile(r"deepseek|kimi|glm|minimax", re.IGNORECASE)


# From the wire


def parse_request(body: Json) -> ChatRequest:
    """InvalidRequest names the field (`param`) that is missing, of the wrong type or out of range."""
    model = required(body, "model", str)
    if not model:
        raise InvalidRequest("model is empty; name a model", param="model")
    items = required(body, "messages", list)
    if not items:
        raise InvalidRequest("messages is empty; at least one message is expected", param="messages")
    options = field(body, "stream_options", dict) or {}
    chat = ChatRequest(
        model=model,
        messages=parse_messages(items),
        stream=field(body, "stream", bool) or False,
        include_usage=options.get("include_usage") is True,
        max_tokens=_max_tokens(body),
        temperature=number(body, "temperature", 0, 2),
        top_p=number(body, "top_p", 0, 1),
        top_k=field(body, "top_k", int),
        stop=_stop(body),
        seed=field(body, "seed", int),
        presence_penalty=number(body, "presence_penalty", -2, 2),
        frequency_penalty=number(body, "frequency_penalty", -2, 2),
        n=_count(body),
        logprobs=field(body, "logprobs", bool) or False,
        top_logprobs=field(body, "top_logprobs", int),
        parallel_tool_calls=field(body, "parallel_tool_calls", bool),
        response_format=_response_format(body),
        reasoning=_reasoning(body),
        user=field(body, "user", str),
        metadata=field(body, "metadata", dict),
        origin="openai",
        extra={key: value for key, value in body.items() if key not in FIELDS},
    )
    _parse_tools(body, chat)
    _keep_spelling(body, chat, options)
    return chat


def _keep_spelling(body: Json, chat: ChatRequest, options: Json) -> None:
    """What the neutral form cannot say stays in `extra`, under the name of the field it replaces when built."""
    if body.get("max_completion_tokens") is not None:
        chat.extra["max_completion_tokens"] = True
    if set(options) - {"include_usage"}:
        chat.extra["stream_options"] = options
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") not in ("function", None):
        chat.extra["tool_choice"] = choice
    schema = (body.get("response_format") or {}).get("json_schema")
    if isinstance(schema, dict) and set(schema) - {"name", "schema", "strict"}:
        chat.extra["response_format"] = body["response_format"]


def _max_tokens(body: Json) -> int | None:
    for key in ("max_completion_tokens", "max_tokens"):
        value = field(body, key, int)
        if value is not None and value != -1:  # LM Studio's way to say "no limit"
            if value < 1:
                raise InvalidRequest(f"{key} is {value}; it must be at least 1", param=key)
            return value
    return None


def _count(body: Json) -> int:
    value = field(body, "n", int)
    if value is None:
        return 1
    if not 1 <= value <= 128:
        raise InvalidRequest(f"n is {value}; it must be between 1 and 128", param="n")
    return value


def _stop(body: Json) -> list[str]:
    stop = body.get("stop")
    if stop is None:
        return []
    if isinstance(stop, str):
        return [stop]
    if not isinstance(stop, list):
        raise wrong("stop", "a string or an array of strings", stop)
    for place, item in enumerate(stop):
        if not isinstance(item, str):
            raise wrong(f"stop[{place}]", "a string", item)
    return stop


def _reasoning(body: Json) -> Reasoning | None:
    effort = field(body, "reasoning_effort", str)
    nested = body.get("reasoning")  # OpenRouter's form; as an unknown field it also stays in `extra`
    if effort is None and isinstance(nested, dict):
        budget, word = nested.get("max_tokens"), nested.get("effort")
        if nested.get("enabled") is False or word == "none":
            return Reasoning(off=True)
        return Reasoning(word if isinstance(word, str) else None, budget if isinstance(budget, int) else None)
    if effort is None:
        return None
    return Reasoning(off=True) if effort == "none" else Reasoning(effort=effort)


def _response_format(body: Json) -> ResponseFormat | None:
    given = field(body, "response_format", dict)
    if given is None:
        return None
    match required(given, "type", str, "response_format."):
        case "text":
            return ResponseFormat("text")
        case "json_object":
            return ResponseFormat("json")
        case "json_schema":
            inside = "response_format.json_schema."
            schema = required(given, "json_schema", dict, "response_format.")
            return ResponseFormat(
                "schema",
                field(schema, "schema", dict, inside),
                field(schema, "name", str, inside),
                field(schema, "strict", bool, inside),
            )
        case kind:
            raise InvalidRequest(
                f"response_format.type is {kind!r}; text, json_object or json_schema is expected",
                param="response_format.type",
            )


def _parse_tools(body: Json, chat: ChatRequest) -> None:
    for place, tool in enumerate(field(body, "tools", list) or []):
        chat.tools.append(_parse_tool(tool, f"tools[{place}]"))
    for place, function in enumerate(field(body, "functions", list) or []):
        chat.tools.append(_parse_tool({"type": "function", "function": function}, f"functions[{place}]"))
    chat.tool_choice = _parse_choice(body.get("tool_choice"))
    legacy = body.get("function_call")
    if isinstance(legacy, dict):
        chat.tool_choice = ToolChoice("tool", required(legacy, "name", str, "function_call."))
    elif legacy is not None:
        chat.tool_choice = _parse_choice(legacy)


def _parse_tool(tool: Any, where: str) -> Tool:
    if not isinstance(tool, dict):
        raise wrong(where, "an object", tool)
    kind = field(tool, "type", str, where + ".") or "function"
    if kind != "function":
        named = tool.get(kind)
        name = named.get("name") if isinstance(named, dict) else None
        return Tool(name if isinstance(name, str) else kind, raw=tool)
    function, inside = required(tool, "function", dict, where + "."), where + ".function."
    return Tool(
        required(function, "name", str, inside),
        field(function, "description", str, inside),
        field(function, "parameters", dict, inside),
        field(function, "strict", bool, inside),
        field(tool, "cache_control", dict, where + "."),
    )


def _parse_choice(choice: Any) -> ToolChoice | None:
    match choice:
        case None:
            return None
        case "auto" | "none" | "required":
            return ToolChoice(choice)
        case "any":  # Mistral's word
            return ToolChoice("required")
        case {"function": {"name": str(name)}} | {"custom": {"name": str(name)}}:
            return ToolChoice("tool", name)
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required" as mode}}:
            return ToolChoice(mode)
    raise InvalidRequest(
        "tool_choice is none of auto, none, required or an object that names a function", param="tool_choice"
    )


# To the wire


def build_request(chat: ChatRequest) -> Json:
    """The body for a provider that speaks this dialect.

    A stream always asks for usage, so that every call can be billed. Of requests that came in another dialect,
    `top_k`, `metadata`, cache marks and other vendors' signed reasoning have no place here and stay behind; what no
    other dialect could hand back to its client is refused: InvalidRequest names it.
    """
    own = chat.origin in OWN
    if not own:
        _refuse(chat)
    extra = chat.extra if own else {}
    writer = MessageWriter(own, _REPLAYS_THINKING.search(chat.model) is not None)
    body: Json = {"model": chat.model, "messages": writer.write(chat.messages)}
    if chat.stream:
        body["stream"] = True
        body["stream_options"] = {**extra.get("stream_options", {}), "include_usage": True}
    if chat.max_tokens is not None:
        body[_limit_name(chat, own)] = chat.max_tokens
    for key in ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "user", "top_logprobs"):
        value = getattr(chat, key)
        if value is not None:
            body[key] = value
    if chat.stop:
        body["stop"] = chat.stop
    if chat.n != 1:
        body["n"] = chat.n
    if chat.logprobs:
        body["logprobs"] = True
    if own and chat.top_k is not None:
        body["top_k"] = chat.top_k
    if own and chat.metadata is not None:
        body["metadata"] = chat.metadata
    _build_tools(chat, own, body)
    _build_format(chat, own, body)
    _build_reasoning(chat, own, body)
    body.update({key: value for key, value in extra.items() if key not in _SPELLING})
    return body


def _refuse(chat: ChatRequest) -> None:
    if chat.n != 1:
        raise InvalidRequest("n: one answer per request reaches this client", param="n", fix="Send n requests.")
    if chat.logprobs or chat.top_logprobs:
        raise InvalidRequest(
            "logprobs: they do not reach a client of another API", param="logprobs", fix="Leave it out."
        )


def _limit_name(chat: ChatRequest, own: bool) -> str:
    if own:
        return "max_completion_tokens" if "max_completion_tokens" in chat.extra else "max_tokens"
    return "max_completion_tokens" if thinks(chat.model) else "max_tokens"


def _build_tools(chat: ChatRequest, own: bool, body: Json) -> None:
    tools = [_build_tool(tool, chat.origin) for tool in chat.tools if tool.raw is None or own]
    if not tools:
        return
    body["tools"] = tools
    choice = chat.tool_choice
    if choice is not None:
        named = {"type": "function", "function": {"name": wire_name(choice.name or "")}}
        body["tool_choice"] = named if choice.mode == "tool" else choice.mode
    if chat.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = chat.parallel_tool_calls


def _build_tool(tool: Tool, origin: str | None) -> Json:
    own = origin in OWN
    if tool.raw is not None:
        return tool.raw
    function: Json = {"name": tool.name if own else wire_name(tool.name)}
    if tool.description is not None:
        function["description"] = tool.description
    schema, strict = openai_schema(tool.schema, tool.strict, origin)
    if not own:
        # OpenAI refuses a schema without a type or, for objects, without properties.
        schema = {"type": "object", **(schema or {})}
        if schema["type"] == "object":
            schema.setdefault("properties", {})
    if schema is not None:
        function["parameters"] = schema
    if strict is not None:
        function["strict"] = strict
    built: Json = {"type": "function", "function": function}
    if own and tool.cache is not None:
        built["cache_control"] = tool.cache
    return built


def _build_format(chat: ChatRequest, own: bool, body: Json) -> None:
    wanted = chat.response_format
    if wanted is None:
        return
    if wanted.kind == "text":
        if own:
            body["response_format"] = {"type": "text"}
    elif wanted.kind == "json" or (wanted.schema is None and not own):
        body["response_format"] = {"type": "json_object"}
    else:
        schema, strict = openai_schema(wanted.schema, wanted.strict, chat.origin)
        form: Json = {"name": wanted.name or "response"}
        if schema is not None:
            form["schema"] = schema
        if strict is not None:
            form["strict"] = strict
        body["response_format"] = {"type": "json_schema", "json_schema": form}


def _build_reasoning(chat: ChatRequest, own: bool, body: Json) -> None:
    wanted = chat.reasoning
    if wanted is None or (own and "reasoning" in chat.extra) or not (own or thinks(chat.model)):
        return
    if wanted.off:
        if own:
            body["reasoning_effort"] = "none"
    elif wanted.effort is not None:
        body["reasoning_effort"] = wanted.effort
    elif wanted.budget is not None:
        body["reasoning_effort"] = effort_of(wanted.budget)
