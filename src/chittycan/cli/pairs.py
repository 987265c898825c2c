"""Names and values as a person gives them: `name=text`, or `name:=JSON`."""

from collections.abc import Sequence
from typing import Any

import msgspec

from chittycan.errors import UsageError


def pairs(texts: Sequence[str], option: str) -> dict[str, Any]:
    """`name=text`, or `name:=JSON`. Raises UsageError."""
    found: dict[str, Any] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark or not name.removesuffix(":"):
            raise UsageError(f"'{text[:80]}' is not NAME=VALUE.", fix=f"{option} name=text, or name:=JSON.")
        if not name.endswith(":"):
            found[name] = value
            continue
        try:
            found[name.removesuffix(":")] = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            raise UsageError(f"The value of '{name[:-1]}' is not JSON: {error}.") from None
    return found
