"""What a call carries, looked at before anyone is asked: identifiers, secrets and the owner's words make it private.

Under `enforce` such a call goes to private models only, whatever model was named; under `warn` the decision, the ledger
and a header say so, and nothing else changes. Images and files are not looked into.
"""

import asyncio
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from chittycan.gateway.call import Call
from chittycan.gateway.facts import PLAIN, SMALL_BODY
from chittycan.routing.privacy.detect import NO_TERMS, Terms, is_private

Mode = Literal["off", "warn", "enforce"]

REMEMBERED = 4096  # texts that were looked at: a conversation sends its earlier messages again and again
WORTH_REMEMBERING = 200  # characters
_NO_TEXT = frozenset({"model", "role", "type", "id", "object", "tool_call_id", "call_id", "media_type", "mime_type"})
_USUAL = PLAIN - {"stop", "user", "metadata"}  # fields beside the messages that hold no text
_LONGEST_DATA = 2_000  # characters of what may be an encoded image


class PrivacyGate:
    """Labels calls. `mode` and `terms` may be changed at any time."""

    def __init__(self, mode: Mode = "off", terms: Terms = NO_TERMS) -> None:
        self.mode: Mode = mode
        self._terms = terms
        self._seen: dict[bytes, bool] = {}

    @property
    def terms(self) -> Terms:
        return self._terms

    @terms.setter
    def terms(self, terms: Terms) -> None:
        self._terms = terms
        self._seen.clear()

    async def look(self, call: Call) -> None:
        """What `private` will ask, beforehand and beside the loop where the text is long."""
        if self.mode != "off" and call.detected is None and _long(call):
            call.detected = await asyncio.to_thread(self._detect, call)

    def private(self, call: Call) -> bool:
        """Whether something private was found in the call; under `enforce` it is held to private models from now on."""
        if self.mode == "off":
            return False
        if call.detected is None:
            call.detected = self._detect(call)
        if call.detected and self.mode == "enforce" and not call.options.private:
            call.options = replace(call.options, private=True)
        return call.detected

    def _detect(self, call: Call) -> bool:
        if call.surface == "openai" and call.fields.keys() <= _USUAL:
            plain = _plain(call.fields.get("messages"))
            if plain is not None:
                return any(map(self._text, plain))
        fields: Any = call.fields if call.surface is not None else msgspec.to_builtins(call.parsed)
        return any(map(self._text, _texts(fields)))

    def _text(self, text: str) -> bool:
        if len(text) < WORTH_REMEMBERING:
            return is_private(text, self._terms)
        key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        found = self._seen.get(key)
        if found is None:
            found = is_private(text, self._terms)
            if len(self._seen) >= REMEMBERED:
                self._seen.clear()
            self._seen[key] = found
        return found


def _long(call: Call) -> bool:
    if call.surface is not None:
        return len(call.body) > SMALL_BODY
    return call.parsed is not None and sum(len(part) for part in _texts(msgspec.to_builtins(call.parsed))) > SMALL_BODY


def _plain(messages: Any) -> list[str] | None:
    """The texts of the usual chat: messages of nothing but a role and a text. None where it is another one."""
    try:
        texts = [each["content"] for each in messages if len(each) == 2]
    except (TypeError, KeyError):
        return None
    usual = len(texts) == len(messages) and all(type(text) is str for text in texts)
    return texts if usual else None


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value that may come from a person or a document."""
    if isinstance(value, str):
        if len(value) < _LONGEST_DATA or not (value.startswith("data:") or " " not in value[:_LONGEST_DATA]):
            yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            if key not in _NO_TEXT:
                yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
