"""`POST /v1/messages`: the request, both ways.

Source: the Messages API reference (create a message). Fields without a neutral meaning stay in `ChatRequest.extra` as
they came; `thinking`, `output_config` and `tools` stay there too, because their neutral form says less than they do.

What this API cannot express: n > 1, logprobs and audio are refused; seed and the two penalties, and from Claude 4.7 on
temperature, top_p and top_k, are left out, since most clients send them by habit and the answer differs in degree.
"""

from typing import Any

from msgspec import Struct

from chittycan.chat import (
    ChatRequest,
    Json,
    Message,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from chittycan.dialects.anthropic_messages.messages import (
    build_messages,
    build_system,
    is_prefill,
    lacks_thinking,
    parse_message,
    split_system,
)
from chittycan.dialects.anthropic_messages.models import Traits, traits
from chittycan.dialects.anthropic_messages.schemas import ANSWER_TOOL, answer_tool, output_format
from chittycan.dialects.anthropic_messages.signatures import NAME
from chittycan.dialects.anthropic_messages.thinking import Plan, ThinkingField, parse_thinking, plan
from chittycan.dialects.names import wire_name
from chittycan.dialects.wire import convert
from chittycan.errors import InvalidRequest

MODES = {"auto": "auto", "any": "required", "none": "none", "tool": "tool"}
KINDS = {mode: kind for kind, mode in MODES.items()}
# Kept in `extra` but rebuilt, not copied.
REBUILT = ("thinking", "output_config", "output_format", "tools")


class FormatField(Struct):
    type: str
    schema: Json | None = None


class OutputConfig(Struct):
    effort: str | None = None
    format: FormatField | None = None


class MetadataField(Struct):
    user_id: str | None = None


class ChoiceField(Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ToolField(Struct):
    name: str
    description: str | None = None
    input_schema: Json | None = None
    strict: bool | None = None
    cache_control: Json | None = None
    type: str | None = None


class Body(Struct):
    """The fields with a neutral meaning; all others are kept as they are."""

    model: str
    messages: list[Json]
    max_tokens: int | None = None
    system: str | list[Json] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[Json] | None = None
    tool_choice: ChoiceField | None = None
    thinking: ThinkingField | None = None
    output_config: OutputConfig | None = None
    output_format: FormatField | None = None
    metadata: MetadataField | None = None


TAKEN = frozenset(Body.__struct_fields__) - set(REBUILT)


def parse_request(body: Json) -> ChatRequest:
    """Raises `InvalidRequest` naming the field. `max_tokens` may be missing, for callers that only count tokens."""
    fields = convert(body, Body)
    messages = _parse_system(fields.system)
    for i, message in enumerate(fields.messages):
        messages += parse_message(message, f"messages[{i}]")
    choice = fields.tool_choice
    parallel = choice.disable_parallel_tool_use if choice else None
    config = fields.output_config or OutputConfig()
    return ChatRequest(
        model=fields.model,
        messages=messages,
        stream=bool(fields.stream),
        include_usage=True,
        max_tokens=fields.max_tokens,
        temperature=fields.temperature,
        top_p=fields.top_p,
        top_k=fields.top_k,
        stop=fields.stop_sequences or [],
        tools=[_parse_tool(tool, f"tools[{i}]") for i, tool in enumerate(fields.tools or [])],
        tool_choice=_parse_choice(choice),
        parallel_tool_calls=None if parallel is None else not parallel,
        response_format=_parse_format(config.format or fields.output_format),
        reasoning=parse_thinking(fields.thinking, config.effort),
        user=fields.metadata.user_id if fields.metadata else None,
        origin=NAME,
        extra={key: value for key, value in body.items() if key not in TAKEN and value is not None},
    )


def _parse_system(system: str | list[Json] | None) -> list[Message]:
    if not system:
        return []
    if isinstance(system, str):
        return [Message("system", [Text(system)])]
    parts: list[Any] = []
    for i, block in enumerate(system):
        text, cache = block.get("text"), block.get("cache_control")
        if not isinstance(text, str) or not isinstance(cache, dict | None):
            raise InvalidRequest(f"system[{i}]: expected a text block", param=f"system[{i}]")
        parts.append(Text(text, cache))
    return [Message("system", parts)]


def _parse_tool(tool: Json, where: str) -> Tool:
    if tool.get("type") not in (None, "custom"):
        name = tool.get("name") or tool["type"]
        if not isinstance(name, str):
            raise InvalidRequest(f"{where}.type: expected the type of a tool", param=f"{where}.type")
        return Tool(name, raw=tool)
    read = convert(tool, ToolField, where)
    return Tool(read.name, read.description, read.input_schema, read.strict, read.cache_control)


def _parse_choice(choice: ChoiceField | None) -> ToolChoice | None:
    if choice is None:
        return None
    mode = MODES.get(choice.type)
    if mode is None:
        raise InvalidRequest('tool_choice.type: expected "auto", "any", "tool" or "none"', param="tool_choice.type")
    if mode == "tool" and choice.name is None:
        raise InvalidRequest("tool_choice.name: expected the name of a tool", param="tool_choice.name")
    return ToolChoice(mode, choice.name if mode == "tool" else None)  # type: ignore[arg-type]


def _parse_format(field: FormatField | None) -> ResponseFormat | None:
    if field is None:
        return None
    if field.type != "json_schema" or field.schema is None:
        raise InvalidRequest(
            'output_config.format: expected {"type": "json_schema", "schema": …}', param="output_config.format"
        )
    return ResponseFormat("schema", field.schema, "answer", True)


def build_request(chat: ChatRequest) -> Json:
    """The body for Anthropic (or whoever serves its API). `chat.model` is the provider's own name of the model.

    Raises `InvalidRequest` for what the API cannot express. Tool names that it does not take are replaced:
    `wire_names(chat.tools)` says by what.
    """
    _refuse(chat)
    model = traits(chat.model)
    texts, count = split_system(chat)
    turns = build_messages(chat, count, model.late_system)
    tools, choice = _build_tools(chat, model)
    forced = is_prefill(turns) or (choice is not None and choice["type"] in ("any", "tool"))
    how = plan(chat, model, forced, lacks_thinking(turns))
    body: Json = {"model": chat.model, "max_tokens": how.max_tokens, "messages": turns}
    system = build_system(texts)
    optional = {
        "system": system,
        "tools": tools or None,
        "tool_choice": choice,
        "thinking": how.thinking,
        "output_config": _output_config(chat, model, how) or None,
        "stop_sequences": [each for each in chat.stop if each.strip()] or None,
        "metadata": {"user_id": chat.user} if chat.user else None,
        "stream": chat.stream or None,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    body |= _sampling(chat, model, how)
    if chat.origin == NAME:
        return {key: value for key, value in chat.extra.items() if key not in REBUILT} | body
    return body


def _refuse(chat: ChatRequest) -> None:
    if chat.n != 1:
        raise InvalidRequest("n: Anthropic gives one answer per request", param="n", fix="Send n requests.")
    if chat.logprobs or chat.top_logprobs:
        raise InvalidRequest("logprobs: Anthropic gives none", param="logprobs", fix="Leave it out.")


def _sampling(chat: ChatRequest, model: Traits, how: Plan) -> Json:
    if not model.sampling:
        return {}
    fields: Json = {}
    if how.thinks:  # only top_p, and only close to 1, goes with thinking
        return {"top_p": chat.top_p} if chat.top_p is not None and chat.top_p >= 0.95 else {}
    if chat.temperature is not None:
        fields["temperature"] = min(chat.temperature, 1.0)
    if chat.top_p is not None and not (fields and model.one_sampling):
        fields["top_p"] = chat.top_p
    if chat.top_k is not None:
        fields["top_k"] = chat.top_k
    return fields


def _output_config(chat: ChatRequest, model: Traits, how: Plan) -> Json:
    config: Json = {}
    if chat.origin == NAME and isinstance(given := chat.extra.get("output_config"), dict):
        config = {name: value for name, value in given.items() if name != "format"}
        if model.known and not model.adaptive:
            config.pop("effort", None)
    if how.effort is not None:
        config["effort"] = how.effort
    if _native_format(chat, model):
        assert chat.response_format is not None
        config["format"] = output_format(chat.response_format)
    return config


def _native_format(chat: ChatRequest, model: Traits) -> bool:
    wanted = chat.response_format
    return (
        wanted is not None and wanted.kind == "schema" and (model.schemas or not (model.known or chat.origin != NAME))
    )


def _build_tools(chat: ChatRequest, model: Traits) -> tuple[list[Json], Json | None]:
    """The tools and the choice among them; stand-ins where only the history has tools.

    Another vendor's `strict` is not passed on: the schemas that may be strict differ between the two.
    """
    own = chat.origin == NAME
    tools = [_build_tool(tool) if tool.raw is None else tool.raw for tool in chat.tools if own or tool.raw is None]
    if own:
        _restore_fields(tools, chat.extra.get("tools"))
    choice = _build_choice(chat) if tools else None
    if not tools and (names := _names_in_history(chat)):
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in names]
        choice = {"type": "none"}
    wanted = chat.response_format
    if wanted is None or wanted.kind == "text" or _native_format(chat, model):
        return tools, choice
    if choice is not None and choice["type"] == "tool":
        return tools, choice
    offered = bool(tools) and (choice is None or choice["type"] != "none")
    tools.append(answer_tool(wanted))
    return tools, (choice or {}) | {"type": "any"} if offered else {"type": "tool", "name": ANSWER_TOOL}


def _build_tool(tool: Tool) -> Json:
    built: Json = {"name": wire_name(tool.name)}
    if tool.description:
        built["description"] = tool.description
    built["input_schema"] = {"type": "object"} | (tool.schema or {})
    if tool.cache is not None:
        built["cache_control"] = tool.cache
    return built


def _restore_fields(tools: list[Json], given: Any) -> None:
    """What a tool of our own caller says beyond the neutral form (`defer_loading`, `input_examples`…)."""
    for tool, before in zip(tools, given or [], strict=False):
        for name, value in before.items():
            if value is not None:
                tool.setdefault(name, value)


def _build_choice(chat: ChatRequest) -> Json | None:
    choice = chat.tool_choice
    single = chat.parallel_tool_calls is False
    if choice is None:
        return {"type": "auto", "disable_parallel_tool_use": True} if single else None
    built: Json = {"type": KINDS[choice.mode]}
    if choice.name is not None:
        built["name"] = wire_name(choice.name)
    if single and choice.mode != "none":
        built["disable_parallel_tool_use"] = True
    return built


def _names_in_history(chat: ChatRequest) -> list[str]:
    calls = (part for message in chat.messages for part in message.parts if isinstance(part, ToolCall))
    return list(dict.fromkeys(wire_name(call.name) for call in calls))
