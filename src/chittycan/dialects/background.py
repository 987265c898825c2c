"""Something for the model to know, put into a client's request beside what the client itself tells the model.

Where the client has instructions, it stands behind them: they keep their weight, and caches of them stay good.
"""

from typing import Any

import msgspec

from chittycan.chat import ChatRequest, Json, Text, system

SYSTEM = ("system", "developer")  # OpenAI's roles for instructions


def with_background(surface: str, fields: Json, text: str) -> Json:
    """The top-level fields of a client's body that change; {} where this surface's body cannot take it."""
    match surface, fields:
        case "openai", {"messages": list(messages)}:
            return {"messages": _among(messages, text)}
        case "anthropic", _:
            return {"system": _behind(fields.get("system"), text)}
        case "openai_responses", {"input": str() | list() as given}:
            # Not into `instructions`, which the answer repeats to the client.
            items = [{"role": "user", "content": given}] if isinstance(given, str) else given
            return {"input": [{"role": "developer", "content": text}, *items]}
    return {}


def add_background(chat: ChatRequest, text: str) -> ChatRequest:
    """The same for a request in neutral form, which stays as it is."""
    first, *rest = chat.messages or [system("")]
    if first.role != "system" or not chat.messages:
        return msgspec.structs.replace(chat, messages=[system(text), *chat.messages])
    *parts, last = first.parts or [Text("")]
    if isinstance(last, Text) and last.cache is None:
        parts = [*parts, msgspec.structs.replace(last, text=_joined(last.text, text))]
    else:
        parts = [*parts, last, Text(text)]
    return msgspec.structs.replace(chat, messages=[msgspec.structs.replace(first, parts=parts), *rest])


def _among(messages: list[Any], text: str) -> list[Any]:
    """One system message: models whose template knows a single one, at the beginning, refuse a second."""
    first = messages[0] if messages else None
    if not isinstance(first, dict) or first.get("role") not in SYSTEM:
        return [{"role": "system", "content": text}, *messages]
    return [{**first, "content": _behind(first.get("content"), text)}, *messages[1:]]


def _behind(content: Any, text: str) -> Any:
    """OpenAI's and Anthropic's contents are alike: a text, or a list of parts."""
    if isinstance(content, list):
        return [*content, {"type": "text", "text": text}]
    return _joined(content, text) if isinstance(content, str) else text


def _joined(before: str, text: str) -> str:
    return f"{before}\n\n{text}" if before else text
