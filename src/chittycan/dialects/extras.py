"""What rides along in the `extra` of neutral values.

A dialect's own fields sit there under the dialect's name, so that no other sends them on by accident. Gemini's thought
signatures are the exception: a call must come back with the one it came with, whichever client carried it. They sit
there under Gemini's own word, and on the wire of OpenAI's APIs where Google's compatible endpoint puts them.
"""

from typing import Any

from chittycan.chat import Json

SIGNATURE = "thoughtSignature"


def keep(dialect: str, fields: Json) -> Json | None:
    """An `extra` that holds `fields` for this dialect alone; None where there is nothing to keep."""
    return {dialect: fields} if fields else None


def kept(dialect: str, extra: Json | None) -> Json:
    """What `keep` put there; empty where there is nothing of this dialect's."""
    fields = extra.get(dialect) if extra else None
    return fields if isinstance(fields, dict) else {}


def signature_extra(signature: Any) -> Json | None:
    """An `extra` that holds this thought signature; None where it is none."""
    return {SIGNATURE: signature} if isinstance(signature, str) and signature else None


def signature_of(extra: Json | None) -> str | None:
    """What `signature_extra` put there."""
    signature = extra.get(SIGNATURE) if extra else None
    return signature if isinstance(signature, str) else None


def read_extra_content(content: Any) -> Json | None:
    """As `signature_extra`, from the `extra_content` of a call on the wire of OpenAI's APIs."""
    google = content.get("google") if isinstance(content, dict) else None
    return signature_extra(google.get("thought_signature") if isinstance(google, dict) else None)


def extra_content(extra: Json | None) -> Json:
    """The field that carries a call's thought signature there; empty where it has none."""
    signature = signature_of(extra)
    return {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}
