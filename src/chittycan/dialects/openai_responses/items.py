"""The `input` list and the neutral messages, both ways.

On this wire every message, reasoning block, call and result is an item of its own; neutrally, what the model said
in one turn is one assistant message with several parts. Items that only OpenAI understands (web search, shell,
item references…) become `Opaque` parts in their place.
"""

from typing import Any, Literal

from msgspec import Struct

from chittycan.chat import Json, Message, Opaque, Part, Refusal, Role, Text, Thinking, ToolCall, ToolResult
from chittycan.dialects.extras import keep, kept
from chittycan.dialects.names import wire_name
from chittycan.dialects.openai_responses.content import build_content, build_output, parse_content
from chittycan.dialects.openai_responses.signatures import NAME, Sealed, seal, unseal
from chittycan.dialects.openai_responses.tools import call_from_item, own_item
from chittycan.dialects.wire import convert
from chittycan.errors import InvalidRequest

ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}


class MessageItem(Struct):
    role: Literal["user", "assistant", "system", "developer"]
    content: Any = None
    id: str | None = None
    phase: str | None = None


class OutputItem(Struct):
    """`function_call_output` and `custom_tool_call_output`."""

    call_id: str
    output: Any = None


class Words(Struct):
    text: str = ""


class ReasoningItem(Struct):
    summary: list[Words] | None = None
    content: list[Words] | None = None
    encrypted_content: str | None = None


def parse_items(items: list[Any], where: str = "input") -> list[Message]:
    messages: list[Message] = []
    for i, item in enumerate(items):
        at = f"{where}[{i}]"
        if not isinstance(item, dict):
            raise InvalidRequest(f"{at}: expected an object", param=at)
        message = _parse_item(item, at)
        last = messages[-1] if messages else None
        if last is not None and last.role == message.role == "assistant":
            last.parts += message.parts
        else:
            messages.append(message)
    return _results_after_calls(messages)


def _results_after_calls(messages: list[Message]) -> list[Message]:
    """Here a result may come long after its call, with words between; all others want it right behind the call."""
    groups: list[list[Message]] = []
    group_of: dict[str, list[Message]] = {}
    for message in messages:
        result = message.parts[0] if message.role == "tool" else None
        group = group_of.get(result.call_id) if isinstance(result, ToolResult) else None
        if group is not None:
            group.append(message)
            continue
        groups.append([message])
        group_of |= {part.id: groups[-1] for part in message.parts if isinstance(part, ToolCall)}
    return [message for group in groups for message in group]


def _parse_item(item: Json, where: str) -> Message:
    kind = item.get("type") or ("message" if "role" in item else None)
    if kind == "message":
        return _parse_message(convert(item, MessageItem, where), where)
    if kind == "reasoning":
        return Message("assistant", [parse_reasoning(item, where)])
    if kind in ("function_call", "custom_tool_call"):
        return Message("assistant", [call_from_item(item, where)])
    if kind in ("function_call_output", "custom_tool_call_output"):
        result = convert(item, OutputItem, where)
        return Message("tool", [ToolResult(result.call_id, parse_content(result.output, f"{where}.output"))])
    if not isinstance(kind, str):
        raise InvalidRequest(f"{where}.type: expected the type of the item", param=f"{where}.type")
    role: Role = "tool" if kind.endswith(("_output", "_response")) else "assistant"
    return Message(role, [Opaque(NAME, item)])


def _parse_message(item: MessageItem, where: str) -> Message:
    parts = parse_content(item.content, f"{where}.content")
    if item.role == "assistant":
        return Message("assistant", mark_message(parts, item.id, item.phase))
    return Message(ROLES[item.role], parts, extra=keep(NAME, {"role": item.role}) if item.role == "developer" else None)


def mark_message(parts: list[Part], item_id: str | None, phase: str | None) -> list[Part]:
    """Notes on each text which item it belongs to, so that items of one turn are not melted into one."""
    note = {k: v for k, v in (("id", item_id), ("phase", phase)) if v is not None}
    for part in parts:
        if note and isinstance(part, Text):
            part.extra = keep(NAME, kept(NAME, part.extra) | note)
    return parts


def parse_reasoning(item: Json, where: str) -> Thinking:
    reasoning = convert(item, ReasoningItem, where)
    words = reasoning.content or reasoning.summary or []
    sealed: Sealed = unseal(reasoning.encrypted_content)
    return Thinking(
        "\n\n".join(each.text for each in words),
        signature=sealed.signature,
        redacted=sealed.redacted,
        signer=sealed.signer,
        extra=keep(NAME, {"item": item}) if sealed.signer == NAME else None,
    )


def reasoning_item(thinking: Thinking, item_id: str) -> Json:
    """The output item of a finished reasoning block; anyone's thinking is shown as a summary."""
    own = kept(NAME, thinking.extra).get("item")
    if thinking.signer == NAME and isinstance(own, dict):
        return own
    summary = [{"type": "summary_text", "text": thinking.text}] if thinking.text else []
    item: Json = {"id": item_id} if item_id else {}
    return item | {"type": "reasoning", "summary": summary, "encrypted_content": seal(thinking)}


def stored_items(request: Json, response: Json) -> list[Json]:
    """What a later `previous_response_id` stands for: the items of the request's `input`, then those of the answer.

    `request` holds everything before it too where its own `previous_response_id` was resolved. Instructions are
    not carried over (as in the API).
    """
    given = request.get("input") or []
    asked = [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else given
    return [*asked, *(response.get("output") or [])]


def build_items(messages: list[Message]) -> list[Json]:
    """The `input` list. Raises `InvalidRequest` for a part that the API has no place for."""
    items: list[Json] = []
    custom: set[str] = set()
    for i, message in enumerate(messages):
        where = f"messages[{i}].content"
        run: list[Part] = []
        for part in message.parts:
            if isinstance(part, Opaque) and part.dialect != NAME:
                continue
            content = _is_content(message, part)
            if run and (not content or _other_item(run[-1], part)):
                items.append(_message_item(message, run, where))
                run = []
            if content:
                run.append(part)
            else:
                items += _build_item(part, custom, where)
        if run:
            items.append(_message_item(message, run, where))
    return items


def _is_content(message: Message, part: Part) -> bool:
    if isinstance(part, Opaque):
        # An opaque block of a user is a content part; of the model or a tool, an item of its own.
        return message.role in ("user", "system")
    return not isinstance(part, Thinking | ToolCall | ToolResult)


def _other_item(before: Part, part: Part) -> bool:
    """Whether two texts of one turn came from two message items."""
    if isinstance(before, Text) and isinstance(part, Text):
        return kept(NAME, before.extra).get("id") != kept(NAME, part.extra).get("id")
    return False


def _build_item(part: Part, custom: set[str], where: str) -> list[Json]:
    match part:
        case Thinking(signer=signer):
            # Only OpenAI's own reasoning may be shown to it: it would look up or decrypt anything else, and fail.
            own = kept(NAME, part.extra).get("item")
            if signer != NAME or (own is None and part.signature is None):
                return []
            return [own or reasoning_item(part, "")]
        case ToolCall():
            item = own_item(part)
            if item is None:
                item = {"type": "function_call", "call_id": part.id, "name": wire_name(part.name)}
                item["arguments"] = part.arguments or "{}"
            elif item["type"] == "custom_tool_call":
                custom.add(part.id)
            return [item]
        case ToolResult():
            kind = "custom_tool_call_output" if part.call_id in custom else "function_call_output"
            output = build_output(part.parts, part.is_error, where)
            return [{"type": kind, "call_id": part.call_id, "output": output}]
        case Opaque():
            return [part.block]
    return []


def _message_item(message: Message, parts: list[Part], where: str) -> Json:
    role = kept(NAME, message.extra).get("role") or {"tool": "user"}.get(message.role, message.role)
    item: Json = {"type": "message", "role": role}
    if role == "assistant":
        own = next((kept(NAME, part.extra) for part in parts if isinstance(part, Text)), {})
        item |= {key: own[key] for key in ("id", "phase") if key in own}
        if "id" in own or any(isinstance(part, Refusal) for part in parts):
            item["status"] = "completed"
    return item | {"content": build_content(parts, role, where)}
