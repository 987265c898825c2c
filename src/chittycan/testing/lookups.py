"""What a scripted upstream answers besides chats: models, embeddings, token counts, and what fits a schema."""

import base64
import hashlib
import struct
from typing import Any

from chittycan.testing.faults import FAULTS
from chittycan.testing.scenarios import SCENARIOS
from chittycan.testing.voices import Json, anthropic, gemini, openai
from chittycan.testing.wire import Recorded

DIMENSIONS = 8


def answer(request: Recorded, problem: str | None) -> tuple[int, Json]:
    """Status and body for any path that is not a chat."""
    if problem:
        return _error(request, problem)
    match request.method, request.path:
        case "GET", "/v1/models":
            return 200, _anthropic_models() if "anthropic-version" in request.headers else _openai_models()
        case "GET", "/v1beta/models":
            return 200, {"models": [{"name": f"models/{name}", "displayName": name} for name in SCENARIOS]}
        case "POST", "/v1/embeddings":
            return 200, _embeddings(request.json)
        case "POST", "/v1/messages/count_tokens":
            return 200, {"input_tokens": 17}
        case _:
            return _error(request, "no_route")


def _error(request: Recorded, fault: str) -> tuple[int, Json]:
    if request.path.startswith("/v1beta"):
        return gemini.error(FAULTS[fault], request.key)
    if request.path.startswith("/v1/messages"):
        return anthropic.error(FAULTS[fault], request.key)
    return openai.error(FAULTS[fault], request.key)


def _openai_models() -> Json:
    rows = [{"id": name, "object": "model", "created": openai.CREATED, "owned_by": "scripted"} for name in SCENARIOS]
    return {"object": "list", "data": rows}


def _anthropic_models() -> Json:
    rows = [
        {"type": "model", "id": name, "display_name": name, "created_at": "2027-01-15T08:00:00Z"} for name in SCENARIOS
    ]
    return {"data": rows, "has_more": False, "first_id": rows[0]["id"], "last_id": rows[-1]["id"]}


def _embeddings(body: Json) -> Json:
    given = body.get("input", "")
    inputs = given if isinstance(given, list) and not all(isinstance(each, int) for each in given) else [given]
    size = int(body.get("dimensions") or DIMENSIONS)
    rows = []
    for index, text in enumerate(inputs):
        vector: Any = vector_of(str(text), size)
        if body.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode()
        rows.append({"object": "embedding", "index": index, "embedding": vector})
    usage = {"prompt_tokens": 3 * len(rows), "total_tokens": 3 * len(rows)}
    return {"object": "list", "data": rows, "model": body.get("model"), "usage": usage}


def vector_of(text: str, size: int = DIMENSIONS) -> list[float]:
    """The same text always gives the same numbers, all exact as 32-bit floats."""
    digest = hashlib.shake_128(text.encode()).digest(size)
    return [byte / 256 - 0.5 for byte in digest]


def smallest(schema: Any) -> object:
    """The smallest value that satisfies a JSON schema without references."""
    if not isinstance(schema, dict):
        return None
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for union in ("anyOf", "oneOf"):
        if schema.get(union):
            return smallest(schema[union][0])
    kind = schema.get("type")
    kind = str(kind[0] if isinstance(kind, list) else kind or "object").lower()  # Gemini writes "STRING"
    if kind == "object":
        fields = schema.get("properties", {})
        return {name: smallest(fields.get(name, {})) for name in schema.get("required", list(fields))}
    if kind == "array":
        return [smallest(schema.get("items", {})) for _ in range(schema.get("minItems", 0))]
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    if kind == "string":
        return "x" * max(1, schema.get("minLength", 1))
    return False if kind == "boolean" else None
