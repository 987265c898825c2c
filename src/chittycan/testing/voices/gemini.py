"""Gemini generateContent, as in ai.google.dev/api/generate-content."""

import json
from typing import Any

from chittycan.testing.faults import Fault
from chittycan.testing.scenarios import Ask, Reply, Scenario, tokens
from chittycan.testing.voices import Event, Json, Script, plain

STOPS = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}
SIGNATURE = "Z2VtaW5pIHRob3VnaHQ="


def read(path: str, body: Json, serial: int) -> Ask:
    model, _, method = path.rpartition("/")[2].rpartition(":")
    contents = body.get("contents") or [{}]
    last = contents[-1] if isinstance(contents[-1], dict) else {}
    parts = last.get("parts") or []
    config = body.get("generationConfig") or {}
    return Ask(
        dialect="gemini",
        model=model,
        stream=method == "streamGenerateContent",
        prefill=plain(parts) if last.get("role") == "model" else None,
        after_tool=any("functionResponse" in part for part in parts),
        include_usage=True,
        schema=config.get("responseSchema") or config.get("responseJsonSchema"),
        serial=serial,
    )


def _usage(reply: Reply, output: int) -> Json:
    thoughts = len(tokens(reply.thinking))
    usage = {
        "promptTokenCount": reply.input_tokens,
        "candidatesTokenCount": output - thoughts,
        "totalTokenCount": reply.input_tokens + output,
    }
    if reply.cached_tokens:
        usage["cachedContentTokenCount"] = reply.cached_tokens
    if thoughts:
        usage["thoughtsTokenCount"] = thoughts
    return usage


def _answer(reply: Reply, ask: Ask, parts: list[Json], finish: str | None, output: int) -> Json:
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(reply, output),
        "modelVersion": ask.model,
        "responseId": f"gem-{ask.serial}",
    }


def _calls(reply: Reply) -> list[Json]:
    return [{"functionCall": {"name": tool.name, "args": _arguments(tool.arguments)}} for tool in reply.tools]


def _arguments(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return {}


def _texts(reply: Reply, split: bool) -> list[Json]:
    parts: list[Json] = []
    for token in tokens(reply.thinking) if split else [reply.thinking]:
        parts.append({"text": token, "thought": True})
    for token in tokens(reply.text) if split else [reply.text]:
        parts.append({"text": token})
    parts = [part for part in parts if part["text"]]
    if reply.thinking and reply.text:
        next(part for part in parts if "thought" not in part)["thoughtSignature"] = SIGNATURE
    return parts


def unary(reply: Reply, ask: Ask) -> Json:
    parts = _texts(reply, split=False) + _calls(reply)
    return _answer(reply, ask, parts, STOPS[reply.stop], reply.output_tokens)


def stream(reply: Reply, ask: Ask, scenario: Scenario) -> Script:
    """Gemini has no opening and no end marker: the last chunk carries the finish, every chunk the usage so far."""
    script = Script()
    for count, part in enumerate(_texts(reply, split=True) + _calls(reply), 1):
        script.content.append([Event("", _answer(reply, ask, [part], None, count))])
    script.closing = [Event("", _answer(reply, ask, [{"text": ""}], STOPS[reply.stop], reply.output_tokens))]
    return script


def blocked(ask: Ask) -> Json:
    """A prompt that the safety filter stopped: 200, and no candidate."""
    usage = {"promptTokenCount": 17, "totalTokenCount": 17}
    feedback = {"blockReason": "SAFETY", "safetyRatings": []}
    return {"promptFeedback": feedback, "usageMetadata": usage, "modelVersion": ask.model}


def error(fault: Fault, key: str) -> tuple[int, Json]:
    status = fault.status_for("gemini")
    return status, {"error": {"code": status, "message": fault.message_for("gemini", key), "status": fault.gemini}}


def error_events(fault: Fault, ask: Ask) -> list[Event]:
    return [Event("", error(fault, "")[1])]
