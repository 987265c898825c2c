"""Thought signatures: how they travel inside neutral values, and back into the part that they belong to.

Gemini signs the part that it wrote after thinking, most often a function call, and from version 3 on refuses a call
that comes back without. A neutral call carries its signature in `extra`, for clients that return what they do not
know. For all others the same signature goes ahead as a thinking block of ours without text, which clients of the
Anthropic and Responses APIs replay as they must; its first letter says what was signed.
Source: ai.google.dev, thought signatures.
"""

from chittycan.chat import Thinking

NAME = "gemini"
CALL, TEXT = "c:", "t:"
# The documented stand-in for a call that no Gemini of this conversation made (it came from another vendor's model).
UNSIGNED = "skip_thought_signature_validator"
# Ids that we made up, because Gemini gave none; it has never seen them and is not told.
MADE_UP = "call_gm_"


def signed(thinking: Thinking) -> tuple[str, str] | None:
    """(what was signed, signature) of a thinking block that carries a signature of Gemini's."""
    if thinking.signer != NAME or not thinking.signature:
        return None
    return thinking.signature[:2], thinking.signature[2:]
