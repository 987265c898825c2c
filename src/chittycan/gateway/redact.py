"""A provider's keys never leave in its words: providers like to echo them."""

from collections.abc import Iterable

from chittycan.catalogue import Secret
from chittycan.dialects.wire import redact as without_key_shapes

SHORTEST = 8  # characters; what is shorter could be any word ("none", "local")


def redact(text: str, keys: Iterable[Secret]) -> str:
    """`text` without these keys and without anything else that has the shape of a credential."""
    for key in keys:
        if len(key.value) >= SHORTEST:
            text = text.replace(key.value, "[redacted]")
    return without_key_shapes(text)
