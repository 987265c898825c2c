"""Content parts of messages and of tool results, both ways.

Source: the Responses API reference, input_text, input_image, input_file, input_audio, output_text, refusal.
"""

from typing import Any

from msgspec import Struct

from chittycan.chat import Audio, File, Image, Json, Opaque, Part, Refusal, Text
from chittycan.dialects.extras import keep, kept
from chittycan.dialects.openai_responses.signatures import NAME
from chittycan.dialects.wire import convert, read_data_url
from chittycan.errors import InvalidRequest


class TextContent(Struct):
    text: str


class RefusalContent(Struct):
    refusal: str


class ImageContent(Struct):
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None


class FileContent(Struct):
    filename: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None


class AudioData(Struct):
    data: str
    format: str


class AudioContent(Struct):
    input_audio: AudioData


TEXT_TYPES = ("input_text", "output_text", "text")


def parse_content(content: Any, where: str) -> list[Part]:
    """The parts of a message's `content` or of a tool's `output`: a string, a list of parts, or null."""
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)]
    if not isinstance(content, list):
        raise InvalidRequest(f"{where}: expected a string or a list of parts", param=where)
    return [_parse_part(part, f"{where}[{i}]") for i, part in enumerate(content)]


def _parse_part(part: Any, where: str) -> Part:
    if not isinstance(part, dict):
        raise InvalidRequest(f"{where}: expected an object", param=where)
    kind = part.get("type")
    if kind in TEXT_TYPES:
        rest = {k: v for k, v in part.items() if k not in ("type", "text") and v not in (None, [])}
        return Text(convert(part, TextContent, where).text, extra=keep(NAME, rest))
    if kind == "refusal":
        return Refusal(convert(part, RefusalContent, where).refusal)
    if kind in ("input_image", "computer_screenshot"):
        return _parse_image(convert(part, ImageContent, where), where)
    if kind == "input_file":
        return _parse_file(convert(part, FileContent, where), where)
    if kind == "input_audio":
        audio = convert(part, AudioContent, where).input_audio
        return Audio(audio.data, audio.format)
    if not isinstance(kind, str):
        raise InvalidRequest(f"{where}.type: expected the type of the part", param=f"{where}.type")
    return Opaque(NAME, part)


def _parse_image(image: ImageContent, where: str) -> Part:
    if image.file_id:
        return File(file_id=image.file_id, media_type="image/*")
    if not image.image_url:
        raise InvalidRequest(f"{where}.image_url: an image needs this or file_id", param=f"{where}.image_url")
    media_type, data = read_data_url(image.image_url)
    if data is not None:
        return Image(data=data, media_type=media_type, detail=image.detail)
    return Image(url=image.image_url, detail=image.detail)


def _parse_file(file: FileContent, where: str) -> File:
    if file.file_data is None and not file.file_id and not file.file_url:
        raise InvalidRequest(f"{where}.file_data: a file needs this, file_url or file_id", param=f"{where}.file_data")
    media_type, data = read_data_url(file.file_data) if file.file_data else (None, None)
    return File(
        name=file.filename,
        media_type=media_type,
        data=data if data is not None else file.file_data,
        url=file.file_url,
        file_id=file.file_id,
    )


def build_content(parts: list[Part], role: str, where: str) -> str | list[Json]:
    """The `content` of one message: a plain string where that says it all (every provider reads that)."""
    match parts:
        case [Text() as only] if not kept(NAME, only.extra):
            return only.text
    return [build_part(part, role, where) for part in parts]


def build_output(parts: list[Part], is_error: bool, where: str) -> str | list[Json]:
    """The `output` of a tool call. The API has no field for an error, so an error says so in words."""
    parts = [part for part in parts if not isinstance(part, Opaque) or part.dialect == NAME]
    if is_error:
        parts = _say_error(parts)
    if all(isinstance(part, Text) for part in parts):
        return "\n".join(part.text for part in parts if isinstance(part, Text))
    return [build_part(part, "user", where) for part in parts]


def _say_error(parts: list[Part]) -> list[Part]:
    for i, part in enumerate(parts):
        if isinstance(part, Text):
            said = part.text.lower().startswith("error")
            return parts if said else [*parts[:i], Text(f"Error: {part.text}"), *parts[i + 1 :]]
    return [Text("Error"), *parts]


def build_part(part: Part, role: str, where: str) -> Json:
    match part:
        case Text():
            return _build_text(part, role)
        case Refusal() if role == "assistant":
            return {"type": "refusal", "refusal": part.text}
        case Refusal():
            return {"type": "input_text", "text": part.text}
        case Opaque() if part.dialect == NAME:
            return part.block
        case Image() if role != "assistant":
            url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data or ''}"
            return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
        case File() if role != "assistant":
            return _build_file(part)
        case Audio() if role != "assistant":
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
    kind = type(part).__name__.lower()
    raise InvalidRequest(f"{where}: the Responses API takes no {kind} in a message of {role}", param=where)


def _build_text(part: Text, role: str) -> Json:
    own = kept(NAME, part.extra)
    if role == "assistant":
        return {"type": "output_text", "text": part.text, "annotations": own.get("annotations", [])}
    built = {"type": "input_text", "text": part.text}
    if "prompt_cache_breakpoint" in own:
        built["prompt_cache_breakpoint"] = own["prompt_cache_breakpoint"]
    return built


def _build_file(part: File) -> Json:
    if part.file_id:
        kind = "input_image" if (part.media_type or "").startswith("image/") else "input_file"
        return {"type": kind, "file_id": part.file_id} | ({"detail": "auto"} if kind == "input_image" else {})
    if part.url:
        return {"type": "input_file", "file_url": part.url}
    if part.text is not None:
        return {"type": "input_text", "text": part.text}
    data = part.data or ""
    return {
        "type": "input_file",
        "filename": part.name or "file",
        "file_data": f"data:{part.media_type or 'application/octet-stream'};base64,{data}",
    }
