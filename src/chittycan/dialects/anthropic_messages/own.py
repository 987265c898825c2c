"""What only this dialect understands, and how it travels inside neutral values and on our clients' wire.

Neutral values have one `extra`; ours sits there under our own name, so that no other dialect sends it on by accident.
Reasoning of other vendors travels the other way: sealed into the `signature` (or `data`) of a thinking block, which
clients of this API replay unchanged, so that the vendor that signed it gets it back and nobody else does.
"""

from typing import Any, TypeVar

import msgspec

from chittycan.chat import Json, Thinking
from chittycan.errors import InvalidRequest

NAME = "anthropic"
SEAL = "chitty:"

T = TypeVar("T")


def keep(fields: Json) -> Json | None:
    """An `extra` that holds `fields` for this dialect alone; None where there is nothing to keep."""
    return {NAME: fields} if fields else None


def kept(extra: Json | None) -> Json:
    """What `keep` put there; empty where there is nothing of ours."""
    fields = extra.get(NAME) if extra else None
    return fields if isinstance(fields, dict) else {}


def convert(value: Any, kind: type[T], where: str = "") -> T:
    """`value` as `kind`, or `InvalidRequest` that names the field below `where` ("" is the body itself)."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        param = (where + path.rstrip("`")).lstrip(".") or None
        raise InvalidRequest(f"{param or 'body'}: {problem}", param=param) from None


def seal(value: str | None, signer: str | None) -> str:
    """A signature for our client's wire: Anthropic's as it is, anyone else's (or none) marked as theirs."""
    return value or "" if signer == NAME else f"{SEAL}{signer or ''}:{value or ''}"


def unseal(value: str) -> tuple[str | None, str | None]:
    """(signature, signer) of what `seal` wrote; unmarked ones are Anthropic's."""
    if not value.startswith(SEAL):
        return value or None, NAME if value else None
    signer, _, rest = value[len(SEAL) :].partition(":")
    return rest or None, signer or None


def thinking_block(thinking: Thinking) -> Json:
    """The block for our client, whoever thought."""
    if thinking.redacted is not None:
        return {"type": "redacted_thinking", "data": seal(thinking.redacted, thinking.signer)}
    return {"type": "thinking", "thinking": thinking.text, "signature": seal(thinking.signature, thinking.signer)}


def holds_foreign_reasoning(body: bytes) -> bool:
    """Whether this request carries reasoning that another vendor made.

    Such a body must not be passed through to Anthropic byte for byte: it has to be translated, which drops those
    blocks. False positives only cost the translation.
    """
    return f'"{SEAL}'.encode() in body
