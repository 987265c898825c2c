"""Tools and tool choice, both ways, and the names under which other vendors' models see our callers' tools.

Functions pass as functions. A custom (free text) tool becomes a function with one string argument `input`, and the
tools of a namespace become functions called `namespace__name`: so a client such as Codex works through any model.
Tools that OpenAI runs itself, or whose calls have items of their own (web search, shell, computer…), are kept in
`Tool.raw`, which only this dialect sends on: another vendor's model simply does not have them.
"""

from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from chittycan.chat import ChatRequest, Json, Message, Opaque, Tool, ToolCall, ToolChoice
from chittycan.dialects.extras import extra_content, keep, kept, read_extra_content
from chittycan.dialects.names import wire_name
from chittycan.dialects.openai_responses.signatures import NAME
from chittycan.dialects.schemas import openai_schema
from chittycan.dialects.wire import convert
from chittycan.errors import InvalidRequest


class FunctionTool(Struct):
    name: str
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class CustomTool(Struct):
    name: str
    description: str | None = None
    format: Json | None = None


class NamespaceTool(Struct):
    name: str
    tools: list[Json]


class Origin(NamedTuple):
    """What a neutral tool name is on our client's wire."""

    custom: bool
    name: str
    namespace: str | None


def qualified(namespace: str | None, name: str) -> str:
    """One flat name for a tool in a namespace; Codex's namespaces already end in the separator."""
    if not namespace:
        return name
    return namespace + name if namespace.endswith("__") else f"{namespace}__{name}"


def parse_tools(tools: list[Json], where: str = "tools") -> list[Tool]:
    return [tool for i, raw in enumerate(tools) for tool in _parse_tool(raw, None, f"{where}[{i}]")]


def _parse_tool(raw: Json, namespace: str | None, where: str) -> list[Tool]:
    kind = raw.get("type")
    if kind == "function":
        function = convert(raw, FunctionTool, where)
        name = qualified(namespace, function.name)
        return [Tool(name, function.description, function.parameters, function.strict)]
    if kind == "custom":
        return [_parse_custom(convert(raw, CustomTool, where), namespace)]
    if kind == "namespace":
        space = convert(raw, NamespaceTool, where)
        inner = enumerate(space.tools)
        return [tool for i, each in inner for tool in _parse_tool(each, space.name, f"{where}.tools[{i}]")]
    if not isinstance(kind, str):
        raise InvalidRequest(f"{where}.type: expected the type of the tool", param=f"{where}.type")
    return [Tool(kind, raw=raw)]


def _parse_custom(tool: CustomTool, namespace: str | None) -> Tool:
    form = tool.format or {}
    says = "The whole input, as plain text."
    if form.get("type") == "grammar":
        says += f" It must match this {form.get('syntax', '')} grammar:\n{form.get('definition', '')}"
    schema = {
        "type": "object",
        "properties": {"input": {"type": "string", "description": says}},
        "required": ["input"],
        "additionalProperties": False,
    }
    return Tool(qualified(namespace, tool.name), tool.description, schema)


def origins(request: ChatRequest | None) -> dict[str, Origin]:
    """The tools of this request that are not plain functions, by their neutral names."""
    if request is None or request.origin != NAME:
        return {}
    found: dict[str, Origin] = {}
    for raw in [*request.extra.get("tools", []), *additional_tools(request.messages)]:
        _note_origin(raw, None, found)
    return found


def additional_tools(messages: list[Message]) -> list[Json]:
    """The tools that a caller declares inside the conversation, in items of type `additional_tools`."""
    blocks = [part.block for message in messages for part in message.parts if isinstance(part, Opaque)]
    lists = [block.get("tools") for block in blocks if block.get("type") == "additional_tools"]
    return [tool for tools in lists if isinstance(tools, list) for tool in tools if isinstance(tool, dict)]


def _note_origin(raw: Json, namespace: str | None, found: dict[str, Origin]) -> None:
    if raw.get("type") == "namespace":
        for inner in raw["tools"]:
            _note_origin(inner, raw["name"], found)
    elif raw.get("type") == "custom" or (namespace and raw.get("type") == "function"):
        name = raw["name"]
        found[qualified(namespace, name)] = Origin(raw["type"] == "custom", name, namespace)


def build_tools(chat: ChatRequest) -> list[Json]:
    """Our caller's own list as it came; else functions. `strict` is spelled out, as leaving it out means true here."""
    if chat.origin == NAME:
        tools: list[Json] = chat.extra.get("tools", [])
        return tools
    return [_build_function(tool, chat.origin) for tool in chat.tools if tool.raw is None]


def _build_function(tool: Tool, origin: str | None) -> Json:
    schema, strict = openai_schema(tool.schema, tool.strict, origin)
    built: Json = {"type": "function", "name": wire_name(tool.name)}
    if tool.description is not None:
        built["description"] = tool.description
    built["parameters"] = schema or {"type": "object", "properties": {}}
    built["strict"] = bool(strict)
    return built


def parse_tool_choice(choice: Any, where: str = "tool_choice") -> ToolChoice | None:
    """None for what other vendors cannot be asked for: a tool that OpenAI runs itself."""
    if choice is None:
        return None
    if choice in ("auto", "none", "required"):
        return ToolChoice(choice)
    if not isinstance(choice, dict):
        raise InvalidRequest(f'{where}: expected "auto", "none", "required" or an object', param=where)
    kind, name = choice.get("type"), choice.get("name")
    if kind in ("function", "custom"):
        if not isinstance(name, str):
            raise InvalidRequest(f"{where}.name: expected the name of a tool", param=f"{where}.name")
        return ToolChoice("tool", qualified(choice.get("namespace"), name))
    if kind == "allowed_tools" and choice.get("mode") in ("auto", "required"):
        return ToolChoice(choice["mode"])
    return None


def allowed_names(choice: Any) -> set[str] | None:
    """The functions that an `allowed_tools` choice leaves to the model; None where it leaves all."""
    if not isinstance(choice, dict) or choice.get("type") != "allowed_tools":
        return None
    tools = choice.get("tools")
    listed = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return {qualified(tool.get("namespace"), str(tool.get("name"))) for tool in listed}


def build_tool_choice(choice: ToolChoice) -> str | Json:
    return {"type": "function", "name": wire_name(choice.name or "")} if choice.mode == "tool" else choice.mode


def call_from_item(item: Json, where: str) -> ToolCall:
    """A `function_call` or `custom_tool_call` item as a neutral call; the item is kept for our own wire."""
    if item["type"] == "custom_tool_call":
        custom = convert(item, CustomCall, where)
        arguments = msgspec.json.encode({"input": custom.input}).decode()
        return ToolCall(
            custom.call_id, qualified(custom.namespace, custom.name), arguments, extra=keep(NAME, {"item": item})
        )
    call = convert(item, FunctionCall, where)
    name = qualified(call.namespace, call.name)
    return ToolCall(call.call_id, name, call.arguments or "{}", extra=_call_extra(item))


class FunctionCall(Struct):
    call_id: str
    name: str
    arguments: str = ""
    namespace: str | None = None


class CustomCall(Struct):
    call_id: str
    name: str
    input: str = ""
    namespace: str | None = None


def _call_extra(item: Json) -> Json:
    """Our item, and a Gemini thought signature that `call_item` had put beside the call."""
    return {NAME: {"item": item}} | (read_extra_content(item.get("extra_content")) or {})


def call_item(call: ToolCall, origin: Origin | None, item_id: str, status: str = "completed") -> Json:
    """The output item of a finished call."""
    own = own_item(call)
    if own is not None:
        return own
    if origin is not None and origin.custom:
        item: Json = {
            "id": item_id,
            "type": "custom_tool_call",
            "status": status,
            "call_id": call.id,
            "name": origin.name,
            "input": custom_input(call.arguments),
        }
    else:
        item = {
            "id": item_id,
            "type": "function_call",
            "status": status,
            "arguments": call.arguments or "{}",
            "call_id": call.id,
            "name": origin.name if origin else call.name,
        }
    if origin is not None and origin.namespace:
        item["namespace"] = origin.namespace
    return item | extra_content(call.extra)


def own_item(call: ToolCall) -> Json | None:
    """The item that this call was read from, where it came from our own wire, with what has been written since."""
    item = kept(NAME, call.extra).get("item")
    if not isinstance(item, dict):
        return None
    if item["type"] == "custom_tool_call":
        return item | {"input": custom_input(call.arguments)}
    return item | {"arguments": call.arguments}


def custom_input(arguments: str) -> str:
    """The free text inside `{"input": …}`; a model that wrote something else wrote the text itself."""
    try:
        value = msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return arguments
    if isinstance(value, dict) and isinstance(value.get("input"), str):
        return str(value["input"])
    return arguments
