"""The texts in a request or an answer: where they stand, in every dialect and in neutral form, and how to change them.

What a dialect itself writes there (types, ids, names of models) is no text; what a caller or a model wrote is, the keys
of a tool's arguments included, and a file of text that goes as Base64. Other images and files are left alone.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from chittycan.chat import File
from chittycan.dialects.wire import read_data_url

# Fields that hold no text of a person or a document, or one that only its maker can read.
_NO_TEXT = frozenset({
    "model", "role", "type", "id", "object", "tool_call_id", "call_id", "media_type", "mime_type", "signature",
    "encrypted_content", "thought_signature", "thoughtSignature", "redacted",
})  # fmt: skip
# Fields whose text is looked at, and cannot be another one without breaking the request.
_FIXED = frozenset({"name", "url", "image_url", "file_url", "file_id", "server_url"})
# objects of the caller's or the model's
_OWN_JSON = frozenset({
    "input", "arguments", "args", "response", "metadata", "parameters", "input_schema", "schema", "variables",
})  # fmt: skip
_UNREADABLE = frozenset({"image_url", "file_url", "file_id", "file_data", "input_audio"})
_TEXT_FILES = ("text/", "application/json", "application/xml", "application/x-ndjson", "application/yaml")
_LONGEST_TEXT = 2_000  # characters without a space of which nobody asks whether they are an encoded image
_ENCODED = re.compile(
    r"data:[\w.+/;=-]*;base64,[A-Za-z0-9+/=_\s-]*+|(?:[A-Za-z0-9+/_-]{60,}+\s{1,2}+)*+[A-Za-z0-9+/_=-]*+"
)

Change = Callable[[str, bool], str]  # (text, whether it is JSON) → text


def texts(value: Any, own: bool = False) -> Iterator[str]:
    """Every text in a JSON value or a neutral form. `own`: it is JSON that no dialect gave its keys."""
    if isinstance(value, str):
        if not is_encoded(value):
            yield value
        if value[:5].lower() == "data:":
            yield _in_url(value)
    elif isinstance(value, dict):
        if not own and isinstance(value.get("data"), str):
            yield _decoded(value.get("media_type") or value.get("mime_type"), value["data"])
        for key, each in value.items():
            if own:
                yield key
                yield from texts(each, True)
            elif key not in _NO_TEXT:
                yield from texts(each, isinstance(each, dict) and key in _OWN_JSON)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each, own)
    elif isinstance(value, Struct):
        if isinstance(value, File) and value.data is not None:
            yield _decoded(value.media_type, value.data)
        for key in value.__struct_fields__:
            if key not in _NO_TEXT:
                each = getattr(value, key)
                yield from texts(each, isinstance(each, dict) and key in _OWN_JSON)


def _in_url(url: str) -> str:
    """What a file of text says that is a data URL (RFC 2397): without a type it is `text/plain`."""
    kind, data = read_data_url(url)
    if data is None:
        head, _, rest = url[5:].partition(",")
        kind, data = head.partition(";")[0], b64encode(unquote_to_bytes(rest)).decode()
    return _decoded(kind or "text/plain", data)


def _decoded(kind: Any, data: str) -> str:
    """What a file of text says that goes as Base64; nothing where it is another file, or broken."""
    if not (isinstance(kind, str) and kind.lower().startswith(_TEXT_FILES)):
        return ""
    try:
        return b64decode(f"{data}==", "-_" if "-" in data or "_" in data else None).decode("utf-8", "replace")
    except ValueError:
        return ""


def changed(value: Any, change: Change, own: bool = False, key: str = "") -> Any:
    """The value with every text of it changed; keys and what cannot be another text stay."""
    if isinstance(value, str):
        return value if is_encoded(value) else change(value, key == "arguments")
    if isinstance(value, dict):
        return {name: _field(name, each, change, own) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(changed(each, change, own, key) for each in value)
    if isinstance(value, Struct):
        return replace(value, **{name: _field(name, getattr(value, name), change) for name in value.__struct_fields__})
    return value


def _field(name: str, value: Any, change: Change, own: bool = False) -> Any:
    if not own and (name in _NO_TEXT or name in _FIXED):
        return value
    return changed(value, change, own or (isinstance(value, dict) and name in _OWN_JSON), name)


def is_encoded(text: str) -> bool:
    """Whether this is an image or a file and no text."""
    return len(text) >= _LONGEST_TEXT and _ENCODED.fullmatch(text) is not None


def unreadable(value: Any) -> bool:
    """Whether there is an image, a sound or a file in it, given as such or by reference, or numbers for words."""
    if isinstance(value, dict):
        if _are_tokens(value.get("input")):
            return True
        source = value.get("source")
        if isinstance(source, dict) and source.get("type") not in ("text", "content"):
            return True
        return any((key in _UNREADABLE and each is not None) or unreadable(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return any(map(unreadable, value))
    if isinstance(value, Struct):
        kind = value.__struct_config__.tag
        if kind in ("image", "audio") or (kind == "file" and getattr(value, "text", None) is None):
            return True
        return any(unreadable(getattr(value, name)) for name in value.__struct_fields__)
    return False


def _are_tokens(value: Any) -> bool:
    """Whether it is what embeddings are made of too: lists of a tokenizer's numbers."""
    return isinstance(value, list) and bool(value) and (isinstance(value[0], int) or _are_tokens(value[0]))


def as_json(text: str) -> Any:
    """The object or list that a text is as JSON; None where it is none."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None
