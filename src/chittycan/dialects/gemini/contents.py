"""`contents`: the conversation in turns of user and model.

System text that comes first becomes `systemInstruction`; later system messages stay in place, between <system> tags.
Messages of the same role in a row become one turn; the results of several calls lead their turn, in the order of the
calls. A picture in a tool's result follows it in the same turn.
"""

import mimetypes
from typing import Any

import msgspec

from chittycan.chat import (
    Audio,
    ChatRequest,
    File,
    Image,
    Json,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from chittycan.dialects.extras import SIGNATURE, signature_of
from chittycan.dialects.gemini.models import Traits
from chittycan.dialects.gemini.signatures import CALL, MADE_UP, NAME, UNSIGNED, signed
from chittycan.dialects.names import wire_name
from chittycan.errors import InvalidRequest

UNREADABLE = "unreadable_arguments"
OPENING = "(The conversation begins.)"
_FILES = "https://generativelanguage.googleapis.com/v1beta/"


def leading_system(chat: ChatRequest) -> tuple[list[str], int]:
    """The texts of the system messages that come first, and how many messages they were."""
    texts: list[str] = []
    count = 0
    for message in chat.messages:
        if message.role != "system":
            break
        texts += [part.text for part in message.parts if isinstance(part, Text) and part.text.strip()]
        count += 1
    return texts, count


def build_contents(chat: ChatRequest, start: int, model: Traits) -> list[Json]:
    """The turns from message `start` on."""
    turns: list[Json] = []
    names: dict[str, str] = {}
    for i, message in enumerate(chat.messages[start:], start):
        where = f"messages[{i}]"
        if message.role == "assistant":
            role, parts = "model", _model_parts(message, where, names, model)
        else:
            role, parts = "user", _user_parts(message, where, names)
        if not parts:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"] += parts
        else:
            turns.append({"role": role, "parts": parts})
    if not turns or turns[0]["role"] != "user":
        turns.insert(0, {"role": "user", "parts": [{"text": OPENING}]})
    order = {call_id: place for place, call_id in enumerate(names)}
    for turn in turns:
        if turn["role"] == "user":
            turn["parts"] = _results_first(turn["parts"], order)
    return turns


def _results_first(parts: list[Json], order: dict[str, int]) -> list[Json]:
    """Function responses in the order of their calls, then everything else; the marks of `_result` come off."""
    last = len(order)
    ranked = sorted(parts, key=lambda part: order.get(part.get("call", ""), last))
    return [{name: value for name, value in part.items() if name != "call"} for part in ranked]


def _user_parts(message: Message, where: str, names: dict[str, str]) -> list[Json]:
    if message.role == "system":
        text = "\n".join(part.text for part in message.parts if isinstance(part, Text)).strip()
        return [{"text": f"<system>\n{text}\n</system>"}] if text else []
    parts: list[Json] = []
    for i, part in enumerate(message.parts):
        place = f"{where}.content[{i}]"
        if isinstance(part, ToolResult):
            parts += _result(part, place, names)
        elif (built := _part(part, place)) is not None:
            parts.append(built)
    return parts


def _model_parts(message: Message, where: str, names: dict[str, str], model: Traits) -> list[Json]:
    parts: list[Json] = []
    waiting: str | None = None  # the signature of the call that comes next
    calls = 0
    for i, part in enumerate(message.parts):
        if isinstance(part, Thinking):
            found = signed(part)
            if found is not None and found[0] == CALL:
                waiting = found[1]
            elif found is not None:
                parts.append({"text": "", SIGNATURE: found[1]})
        elif isinstance(part, ToolCall):
            names[part.id] = part.name
            signature = signature_of(part.extra) or waiting
            if signature is None and calls == 0 and model.wants_signatures:
                signature = UNSIGNED
            parts.append(_call(part, signature))
            waiting, calls = None, calls + 1
        elif (built := _part(part, f"{where}.content[{i}]")) is not None:
            parts.append(built)
    return parts


def _call(part: ToolCall, signature: str | None) -> Json:
    call: Json = {"name": wire_name(part.name), "args": _object(part.arguments, UNREADABLE)}
    if _known_id(part.id):
        call["id"] = part.id
    return {"functionCall": call} | ({SIGNATURE: signature} if signature else {})


def _known_id(call_id: str) -> bool:
    return bool(call_id) and not call_id.startswith(MADE_UP)


def _object(text: str, otherwise: str) -> Json:
    """JSON text as an object; anything else is wrapped under the key `otherwise`."""
    try:
        value: Any = msgspec.json.decode(text) if text.strip() else {}
    except (msgspec.DecodeError, ValueError, RecursionError):
        return {otherwise: text}
    return value if isinstance(value, dict) else {otherwise: value}


def _result(part: ToolResult, where: str, names: dict[str, str]) -> list[Json]:
    """The function response, and the pictures and files that it holds as parts behind it."""
    name = names.get(part.call_id)
    if name is None:
        raise InvalidRequest(
            f"{where}: no tool call with the id {part.call_id[:80]!r} comes before this result",
            param=where,
            fix="Send the assistant message with the call along.",
        )
    text = "".join(each.text for each in part.parts if isinstance(each, Text))
    response = {"error": text} if part.is_error else _object(text or '""', "result")
    answer: Json = {"name": wire_name(name), "response": response}
    if _known_id(part.call_id):
        answer["id"] = part.call_id
    others = (_part(each, where) for each in part.parts if not isinstance(each, Text))
    return [{"functionResponse": answer, "call": part.call_id}, *(each for each in others if each is not None)]


def _part(part: Part, where: str) -> Json | None:
    """One part; None for what is empty or not for Gemini (other vendors' blocks and thoughts)."""
    match part:
        case Text() | Refusal():
            return {"text": part.text} if part.text else None
        case Image(data=str(data)):
            return {"inlineData": {"mimeType": part.media_type or "image/png", "data": data}}
        case Image(url=str(url)):
            return _linked(url, mimetypes.guess_type(url.partition("?")[0])[0] or "image/jpeg")
        case Audio():
            return {"inlineData": {"mimeType": f"audio/{part.format}", "data": part.data}}
        case File(text=str(text)):
            return {"text": f"{part.name}:\n{text}" if part.name else text}
        case File(data=str(data)):
            return {"inlineData": {"mimeType": part.media_type or "application/pdf", "data": data}}
        case File(url=str(url)):
            return _linked(url, part.media_type or mimetypes.guess_type(url.partition("?")[0])[0] or "application/pdf")
        case File(file_id=str(file_id)) if file_id.startswith(("files/", "https://")):
            uri = file_id if file_id.startswith("https://") else _FILES + file_id
            return {"fileData": {"fileUri": uri} | ({"mimeType": part.media_type} if part.media_type else {})}
        case Image() | File():
            raise InvalidRequest(f"{where}: Gemini cannot get at this file", param=where, fix="Send its content.")
        case Opaque(dialect=dialect, block=block) if dialect == NAME:
            return block
        case _:
            return None


def _linked(url: str, media_type: str) -> Json:
    return {"fileData": {"fileUri": url, "mimeType": media_type}}
