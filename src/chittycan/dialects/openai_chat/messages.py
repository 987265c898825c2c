"""Messages and their parts, from OpenAI's form to the neutral one and back.

Source: OpenAI API reference, "Create chat completion", request body `messages`; the extensions are DeepSeek's
`reasoning_content`, OpenRouter's `reasoning_details` and `cache_control`, Google's `extra_content`.
"""

from typing import Any

from chittycan.chat import (
    Audio,
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
from chittycan.dialects.extras import extra_content, read_extra_content
from chittycan.dialects.names import wire_name
from chittycan.dialects.wire import field, read_data_url, required, wrong
from chittycan.errors import InvalidRequest

MESSAGE_FIELDS = frozenset(
    {"role", "content", "name", "tool_calls", "tool_call_id", "function_call", "refusal"}
    | {"reasoning_content", "reasoning"}
)
SIGNED_BY = {"anthropic-claude-v1": "anthropic", "google-gemini-v1": "gemini"}  # OpenRouter's names of formats
FORMAT_OF = {signer: name for name, signer in SIGNED_BY.items()}


# From the wire


def parse_messages(items: list[Any]) -> list[Message]:
    """InvalidRequest names the place of what is wrong, as in `messages[2].content[0].image_url`."""
    messages, legacy_calls = [], dict[str, str]()
    for place, item in enumerate(items):
        where = f"messages[{place}]"
        if not isinstance(item, dict):
            raise wrong(where, "an object", item)
        messages.append(_parse_message(item, where + ".", legacy_calls))
    return messages


def _parse_message(item: Json, where: str, legacy_calls: dict[str, str]) -> Message:
    role = required(item, "role", str, where)
    extra = {key: value for key, value in item.items() if key not in MESSAGE_FIELDS}
    name = field(item, "name", str, where)
    match role:
        case "user":
            return Message("user", parse_content(item.get("content"), where), name, extra or None)
        case "system" | "developer":
            if role == "developer":
                extra["role"] = role
            return Message("system", parse_content(item.get("content"), where), name, extra or None)
        case "assistant":
            return _parse_assistant(item, where, extra, legacy_calls)
        case "tool" | "function":
            if role == "tool":
                call_id = required(item, "tool_call_id", str, where)
            else:
                call_id = legacy_calls.get(required(item, "name", str, where), f"call_{name}")
            result = ToolResult(call_id, parse_content(item.get("content"), where))
            return Message("tool", [result], name, extra or None)
    raise InvalidRequest(
        f"{where}role is {role!r}; system, developer, user, assistant or tool is expected", param=where + "role"
    )


def _parse_assistant(item: Json, where: str, extra: Json, legacy_calls: dict[str, str]) -> Message:
    parts: list[Part] = []
    signed = parse_details(extra.get("reasoning_details"))
    if signed:
        parts += signed
        del extra["reasoning_details"]
    for key in ("reasoning_content", "reasoning"):
        if not signed and isinstance(item.get(key), str) and item[key]:
            parts.append(Thinking(item[key], extra={"field": key}))
            break
    parts += parse_content(item.get("content"), where)
    refusal = field(item, "refusal", str, where)
    if refusal:
        parts.append(Refusal(refusal))
    for place, call in enumerate(field(item, "tool_calls", list, where) or []):
        parts.append(parse_call(call, f"{where}tool_calls[{place}]"))
    legacy = field(item, "function_call", dict, where)
    if legacy:
        name = required(legacy, "name", str, where + "function_call.")
        legacy_calls[name] = f"call_{name}_{len(legacy_calls)}"
        parts.append(ToolCall(legacy_calls[name], name, field(legacy, "arguments", str, where) or "{}"))
    return Message("assistant", parts, field(item, "name", str, where), extra or None)


def parse_details(details: Any) -> list[Thinking]:
    """Signed reasoning that another dialect's provider wrote, as OpenRouter's `reasoning_details` carries it.

    Empty where there is none, or where any of it is in a format that no dialect here signs.
    """
    found = []
    for detail in details if isinstance(details, list) else ():
        signer = SIGNED_BY.get(str(detail.get("format"))) if isinstance(detail, dict) else None
        if signer is None:
            return []
        if detail.get("type") == "reasoning.encrypted":
            found.append(Thinking(redacted=str(detail.get("data", "")), signer=signer))
        else:
            text, signature = detail.get("text") or "", detail.get("signature")
            found.append(Thinking(str(text), signature=str(signature) if signature else None, signer=signer))
    return found


def parse_call(call: Any, where: str) -> Part:
    """One entry of `tool_calls`; calls of other types than `function` stay as they are."""
    if not isinstance(call, dict):
        raise wrong(where, "an object", call)
    if call.get("type", "function") not in ("function", None):
        return Opaque("openai", call)
    function = required(call, "function", dict, where + ".")
    arguments = field(function, "arguments", str, where + ".function.")
    return ToolCall(
        required(call, "id", str, where + "."),
        required(function, "name", str, where + ".function."),
        arguments or "{}",
        extra=read_extra_content(call.get("extra_content")),
    )


def parse_content(content: Any, where: str) -> list[Part]:
    """A message's `content`: a string, a list of parts, or null. An empty string has no parts."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [Text(content)]
    if not isinstance(content, list):
        raise wrong(where + "content", "a string or an array of parts", content)
    return [_parse_part(part, f"{where}content[{place}]") for place, part in enumerate(content)]


def _parse_part(part: Any, where: str) -> Part:
    if isinstance(part, str):
        return Text(part)
    if not isinstance(part, dict):
        raise wrong(where, "an object", part)
    cache = field(part, "cache_control", dict, where + ".")
    match required(part, "type", str, where + "."):
        case "text":
            extra = {key: value for key, value in part.items() if key not in ("type", "text", "cache_control")}
            return Text(required(part, "text", str, where + "."), cache, extra or None)
        case "image_url":
            return _parse_image(part.get("image_url"), where + ".image_url", cache)
        case "file":
            return _parse_file(required(part, "file", dict, where + "."), where + ".file.", cache)
        case "input_audio":
            audio = required(part, "input_audio", dict, where + ".")
            inside = where + ".input_audio."
            return Audio(required(audio, "data", str, inside), required(audio, "format", str, inside))
        case "refusal":
            return Refusal(required(part, "refusal", str, where + "."))
    return Opaque("openai", part)


def _parse_image(image: Any, where: str, cache: Json | None) -> Image:
    if isinstance(image, str):
        image = {"url": image}
    if not isinstance(image, dict) or not isinstance(image.get("url"), str) or not image["url"]:
        raise InvalidRequest(f"{where} needs a `url`: an https address or a data URL", param=where)
    media_type, data = read_data_url(image["url"])
    detail = field(image, "detail", str, where + ".")
    if data is None:
        return Image(url=image["url"], detail=detail, cache=cache)
    return Image(data=data, media_type=media_type, detail=detail, cache=cache)


def _parse_file(file: Json, where: str, cache: Json | None) -> File:
    name, file_id = field(file, "filename", str, where), field(file, "file_id", str, where)
    given = field(file, "file_data", str, where)
    if given is None:
        if file_id is None:
            raise InvalidRequest(f"{where[:-1]} needs `file_data` or `file_id`", param=where[:-1])
        return File(name, file_id=file_id, cache=cache)
    media_type, data = read_data_url(given)
    if data is None:
        return File(name, "application/pdf", given, file_id=file_id, cache=cache)
    return File(name, media_type or "text/plain", data, file_id=file_id, cache=cache)


# To the wire


class MessageWriter:
    """Writes neutral messages in OpenAI's form. `own` says that they came in that form, so extensions are kept.

    `replay_thinking` sends unsigned reasoning of earlier turns back; signed reasoning of others never goes out.
    """

    def __init__(self, own: bool, replay_thinking: bool) -> None:
        self.own = own
        self.replay_thinking = own or replay_thinking
        self.written: list[Json] = []
        self._moved: list[Json] = []  # what tool messages cannot hold, until the run of tool messages ends

    def write(self, messages: list[Message]) -> list[Json]:
        for place, message in enumerate(messages):
            self._write(message, f"messages[{place}]")
        self._flush()
        return self.written

    def _write(self, message: Message, where: str) -> None:
        rest: list[Part] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                self._write_result(part, where)
            else:
                rest.append(part)
        if not rest and len(message.parts) > 0:
            return
        if message.role == "assistant":
            self._flush()
            item = self._assistant(rest, where)
        elif message.role == "system":
            self._flush()
            if not rest and not self.own:
                return
            item = {"role": "system", "content": self._content(rest, where)}
        else:
            content = self._content(rest, where)
            if self._moved:
                own_parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
                content, self._moved = self._moved + own_parts, []
            item = {"role": "user", "content": content}
        if message.name:
            item["name"] = message.name
        if self.own and message.extra:
            item.update(message.extra)
        self.written.append(item)

    def _flush(self) -> None:
        if self._moved:
            self.written.append({"role": "user", "content": self._moved})
            self._moved = []

    def _write_result(self, result: ToolResult, where: str) -> None:
        texts = [part for part in result.parts if _as_text(part) is not None]
        media = [part for part in result.parts if _as_text(part) is None and not isinstance(part, Opaque | Thinking)]
        content = self._text(texts, "\n")
        if result.is_error and isinstance(content, str) and not content.lower().startswith("error"):
            content = f"Error: {content}"
        if media:
            self._moved.append({"type": "text", "text": f"Result of tool call {result.call_id}:"})
            self._moved += [self._part(part, where) for part in media]
            content = content or "(in the next user message)"
        self.written.append({"role": "tool", "tool_call_id": result.call_id, "content": content})

    def _assistant(self, parts: list[Part], where: str) -> Json:
        item: Json = {"role": "assistant", "content": None}
        texts = [part for part in parts if _as_text(part) is not None]
        calls = [self._call(part) for part in parts if isinstance(part, ToolCall)]
        calls += [part.block for part in parts if isinstance(part, Opaque) and self._keeps(part) and "id" in part.block]
        refusals = [part.text for part in parts if isinstance(part, Refusal)]
        if texts or not (calls or refusals):
            item["content"] = self._text(texts, "")
        if refusals:
            item["refusal"] = "".join(refusals)
        if calls:
            item["tool_calls"] = calls
        thoughts = [part for part in parts if isinstance(part, Thinking) and part.signer is None and part.text]
        if thoughts and self.replay_thinking:
            key = (thoughts[0].extra or {}).get("field", "reasoning_content")
            item[key] = "".join(part.text for part in thoughts)
        return item

    def _keeps(self, part: Opaque) -> bool:
        return self.own and part.dialect == "openai"

    def _call(self, call: ToolCall) -> Json:
        return build_call(call, call.name if self.own else wire_name(call.name))

    def _content(self, parts: list[Part], where: str) -> str | list[Json]:
        parts = [part for part in parts if not isinstance(part, Opaque) or self._keeps(part)]
        if all(_as_text(part) is not None for part in parts):
            return self._text(parts, "\n\n")
        return [self._part(part, where) for part in parts]

    def _text(self, parts: list[Part], between: str) -> str | list[Json]:
        """A plain string wherever that loses nothing: many providers of this dialect take nothing else."""
        if self.own and (len(parts) > 1 or any(isinstance(p, Text) and (p.cache or p.extra) for p in parts)):
            return [self._part(part, "") for part in parts]
        return between.join(_as_text(part) or "" for part in parts)

    def _part(self, part: Part, where: str) -> Json:
        built: Json
        match part:
            case Text():
                built = {"type": "text", "text": part.text}
                if self.own:
                    built.update(part.extra or {})
            case Image():
                built = {"type": "image_url", "image_url": _image(part)}
            case File():
                built = self._file(part, where)
            case Audio():
                built = {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
            case Opaque():
                return part.block
            case Refusal():
                return {"type": "refusal", "refusal": part.text}
            case _:
                raise InvalidRequest(f"{where} holds a part that OpenAI chat cannot carry there", param=where)
        cache = getattr(part, "cache", None)
        if self.own and cache:
            built["cache_control"] = cache
        return built

    def _file(self, file: File, where: str) -> Json:
        if file.text is not None:
            return {"type": "text", "text": _as_text(file)}
        if file.data is not None:
            media_type = file.media_type or "application/pdf"
            data = f"data:{media_type};base64,{file.data}"
            if media_type.startswith("image/"):
                return {"type": "image_url", "image_url": {"url": data}}
            return {"type": "file", "file": {"filename": file.name or "document.pdf", "file_data": data}}
        if file.file_id is not None:
            return {"type": "file", "file": {"file_id": file.file_id}}
        raise InvalidRequest(
            f"{where} holds a document by URL, which this model's API does not take",
            param=where,
            fix="Send the document inline.",
        )


def build_call(call: ToolCall, name: str) -> Json:
    """One entry of `tool_calls`."""
    built: Json = {"id": call.id, "type": "function", "function": {"name": name, "arguments": call.arguments or "{}"}}
    return built | extra_content(call.extra)


def _as_text(part: Part) -> str | None:
    if isinstance(part, Text):
        return part.text
    if isinstance(part, File) and part.text is not None:
        return f"{part.name}:\n{part.text}" if part.name else part.text
    return None


def _image(image: Image) -> Json:
    url = image.url or f"data:{image.media_type or 'image/png'};base64,{image.data or ''}"
    return {"url": url, "detail": image.detail} if image.detail else {"url": url}
