"""Reasoning of other vendors on our clients' wire.

It is sealed into the `signature` (or `data`) of a thinking block, which clients of this API replay unchanged, so that
the vendor that signed it gets it back and nobody else does.
"""

from chittycan.chat import Json, Thinking

NAME = "anthropic"
SEAL = "chitty:"


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
