"""Content blocks, both ways.

Source: the Messages API reference (content blocks). A block that has no neutral form (server tools, search results,
container uploads…) is kept whole as `Opaque` and goes back to this dialect only.
"""

import re
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from chittycan.chat import Audio, File, Image, Json, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from chittycan.dialects.anthropic_messages.signatures import NAME, unseal
from chittycan.dialects.extras import keep, kept
from chittycan.dialects.names import wire_name
from chittycan.dialects.wire import convert
from chittycan.errors import InvalidRequest

# Where a model wrote no JSON object (cut short, say), its text goes here: `tool_use.input` must be an object.
UNREADABLE = "unreadable_arguments"
CITATION = "citations_delta"

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAGIC = (("iVBOR", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp"))


class Block(Struct):
    cache_control: Json | None = None


class TextBlock(Block, kw_only=True):
    text: str


class Source(Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None


class ImageBlock(Block, kw_only=True):
    source: Source


class DocumentBlock(Block, kw_only=True):
    source: Source
    title: str | None = None


class ThinkingBlock(Struct):
    thinking: str = ""
    signature: str | None = None


class RedactedBlock(Struct):
    data: str


class ToolUseBlock(Block, kw_only=True):
    id: str
    name: str
    input: Any = None


class ToolResultBlock(Block, kw_only=True):
    tool_use_id: str
    content: str | list[Json] | None = None
    is_error: bool | None = None


def parse_content(content: str | list[Json], where: str) -> list[Part]:
    """A message's `content`, a string or a list of blocks."""
    if isinstance(content, str):
        return [Text(content)]
    return [parse_block(block, f"{where}[{i}]") for i, block in enumerate(content)]


def parse_block(block: Json, where: str) -> Part:
    """One block. Raises `InvalidRequest` naming the field that is not what the block's type says."""
    match block.get("type"):
        case "text":
            text = convert(block, TextBlock, where)
            return Text(text.text, text.cache_control, keep(NAME, _rest(block, "text")))
        case "image":
            return _parse_image(block, where)
        case "document":
            return _parse_document(block, where)
        case "thinking":
            thinking = convert(block, ThinkingBlock, where)
            signature, signer = unseal(thinking.signature or "")
            return Thinking(thinking.thinking, signature, signer=signer)
        case "redacted_thinking":
            redacted, signer = unseal(convert(block, RedactedBlock, where).data)
            return Thinking(redacted=redacted or "", signer=signer)
        case "tool_use":
            use = convert(block, ToolUseBlock, where)
            rest = _rest(block, "id", "name", "input")
            return ToolCall(use.id, use.name, arguments_text(use.input), use.cache_control, keep(NAME, rest))
        case "tool_result":
            result = convert(block, ToolResultBlock, where)
            parts = parse_content(result.content, f"{where}.content") if result.content else []
            return ToolResult(result.tool_use_id, parts, bool(result.is_error), result.cache_control)
        case str():
            return Opaque(NAME, block)
        case _:
            raise InvalidRequest(f"{where}.type: expected the type of the block", param=f"{where}.type")


def _rest(block: Json, *known: str) -> Json:
    taken = ("type", "cache_control", *known)
    return {name: value for name, value in block.items() if name not in taken and value is not None}


def _parse_image(block: Json, where: str) -> Part:
    image = convert(block, ImageBlock, where)
    match image.source:
        case Source(type="base64", data=str(data)):
            return Image(data=data, media_type=image.source.media_type, cache=image.cache_control)
        case Source(type="url", url=str(url)):
            return Image(url=url, cache=image.cache_control)
        case Source(type="base64" | "url"):
            raise InvalidRequest(f"{where}.source: the image has no data and no url", param=f"{where}.source")
        case _:
            return Opaque(NAME, block)


def _parse_document(block: Json, where: str) -> Part:
    document = convert(block, DocumentBlock, where)
    source, title, cache = document.source, document.title, document.cache_control
    match source:
        case Source(type="base64", data=str(data)):
            return File(title, source.media_type, data=data, cache=cache)
        case Source(type="text", data=str(data)):
            return File(title, source.media_type, text=data, cache=cache)
        case Source(type="url", url=str(url)):
            return File(title, url=url, cache=cache)
        case Source(type="file", file_id=str(file_id)):
            return File(title, file_id=file_id, cache=cache)
        case Source(type="base64" | "text" | "url" | "file"):
            raise InvalidRequest(f"{where}.source: the document has no content", param=f"{where}.source")
        case _:
            return Opaque(NAME, block)


def arguments_text(value: Any) -> str:
    """`tool_use.input` as the JSON text of a neutral call."""
    return "{}" if value is None else msgspec.json.encode(value).decode()


def arguments_object(text: str) -> Json:
    """A neutral call's arguments as the object that this API wants; text that is no JSON object is wrapped."""
    if not text.strip():
        return {}
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return {UNREADABLE: text}
    return value if isinstance(value, dict) else {UNREADABLE: text}


def tool_use_block(call: ToolCall, name: str) -> Json:
    block = {"type": "tool_use", "id": wire_id(call.id), "name": name, "input": arguments_object(call.arguments)}
    return _with_cache(block | kept(NAME, call.extra), call.cache)


def wire_id(call_id: str) -> str:
    """A call id in the letters that this API takes; the same for the call and its result."""
    if _ID.fullmatch(call_id):
        return call_id
    return f"toolu_{sha256(call_id.encode('utf-8', 'replace')).hexdigest()[:24]}"


def build_block(part: Part, where: str) -> Json | None:
    """The block for Anthropic; None for what it would refuse or must not see (empty text, foreign reasoning)."""
    match part:
        case Text():
            if not part.text.strip():
                return None
            return _with_cache({"type": "text", "text": part.text} | kept(NAME, part.extra), part.cache)
        case Refusal():
            return {"type": "text", "text": part.text} if part.text.strip() else None
        case Image():
            return _with_cache({"type": "image", "source": _image_source(part, where)}, part.cache)
        case File():
            return _with_cache(_document(part, where), part.cache)
        case Thinking():
            return _signed(part)
        case ToolCall():
            return tool_use_block(part, wire_name(part.name))
        case ToolResult():
            return _tool_result(part, where)
        case Opaque():
            return part.block if part.dialect == NAME and part.block.get("type") != CITATION else None
        case Audio():
            raise InvalidRequest(
                f"{where}: Anthropic takes no audio", param=where, fix="Name a model that takes audio, or send text."
            )


def _with_cache(block: Json, cache: Json | None) -> Json:
    if cache is not None:
        block["cache_control"] = cache
    return block


def _signed(part: Thinking) -> Json | None:
    if part.signer != NAME:
        return None
    if part.redacted is not None:
        return {"type": "redacted_thinking", "data": part.redacted}
    if part.signature is None:
        return None
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _image_source(part: Image, where: str) -> Json:
    if part.data is not None:
        found = (kind for magic, kind in _MAGIC if part.data.startswith(magic))
        media_type = part.media_type or next(found, "image/png")
        return {"type": "base64", "media_type": media_type, "data": part.data}
    if part.url:
        return {"type": "url", "url": part.url}
    raise InvalidRequest(f"{where}: the image has no data and no url", param=where)


def _document(part: File, where: str) -> Json:
    if part.text is not None:
        source = {"type": "text", "media_type": "text/plain", "data": part.text}
    elif part.data is not None:
        source = {"type": "base64", "media_type": part.media_type or "application/pdf", "data": part.data}
    elif part.url:
        source = {"type": "url", "url": part.url}
    elif part.file_id:
        source = {"type": "file", "file_id": part.file_id}
    else:
        raise InvalidRequest(f"{where}: the file has no content", param=where)
    return {"type": "document", "source": source} | ({"title": part.name} if part.name else {})


def _tool_result(part: ToolResult, where: str) -> Json:
    block: Json = {"type": "tool_result", "tool_use_id": wire_id(part.call_id)}
    built = (build_block(each, f"{where}.content[{i}]") for i, each in enumerate(part.parts))
    content = [each for each in built if each is not None]
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        block["content"] = content[0]["text"]
    elif content:
        block["content"] = content
    if part.is_error:
        block["is_error"] = True
    return _with_cache(block, part.cache)
