"""Reasoning of other vendors on our clients' wire.

It is sealed into `encrypted_content`, so that a client that returns our items (as the API asks of it) returns the
signature of the vendor that made it too.
"""

from typing import NamedTuple

from chittycan.chat import Thinking

NAME = "openai_responses"
SEAL = "chitty-sealed:"


class Sealed(NamedTuple):
    """What `encrypted_content` says: the vendor that signed, and its signature or redacted block."""

    signer: str | None
    signature: str | None
    redacted: str | None


def seal(thinking: Thinking) -> str | None:
    """`encrypted_content` for a reasoning item: our own vendor's as it is, anyone else's marked as theirs.

    Reasoning without a signature is sealed too: OpenAI would look up an item that it never made, so whoever sends
    the conversation there must be able to tell (see `holds_foreign_reasoning`).
    """
    if thinking.signer == NAME:
        return thinking.signature
    kind, data = ("r", thinking.redacted) if thinking.redacted is not None else ("s", thinking.signature or "")
    return f"{SEAL}{thinking.signer or ''}:{kind}:{data}"


def unseal(encrypted: str | None) -> Sealed:
    if encrypted is None:
        return Sealed(NAME, None, None)
    if not encrypted.startswith(SEAL):
        return Sealed(NAME, encrypted, None)
    signer, _, rest = encrypted[len(SEAL) :].partition(":")
    kind, _, data = rest.partition(":")
    if kind == "r":
        return Sealed(signer or None, None, data)
    return Sealed(signer or None, data or None, None)


def holds_foreign_reasoning(body: bytes) -> bool:
    """Whether this request carries reasoning that another vendor made.

    Such a body must not be passed through to OpenAI byte for byte: it has to be translated, which drops those
    items. False positives only cost the translation.
    """
    return f'"{SEAL}'.encode() in body
