"""Anthropic Messages, as in docs.anthropic.com/en/api/messages-streaming."""

import json
from typing import Any

from chittycan.testing.faults import Fault
from chittycan.testing.scenarios import Ask, Reply, Scenario, tokens
from chittycan.testing.voices import Event, Json, Script, plain

STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
SIGNATURE = "c2lnbmVkIGJ5IHRoZSBmYWtl"
EMPTY: dict[str, Json] = {
    "thinking": {"thinking": "", "signature": ""},
    "text": {"text": ""},
    "tool_use": {"input": {}},
}


def read(path: str, body: Json, serial: int) -> Ask:
    messages = body.get("messages") or [{}]
    last = messages[-1] if isinstance(messages[-1], dict) else {}
    content = last.get("content")
    results = isinstance(content, list) and any(part.get("type") == "tool_result" for part in content)
    form = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    only = (body.get("tool_choice") or {}).get("name")
    inputs = {tool.get("name"): tool.get("input_schema") for tool in body.get("tools") or []}
    return Ask(
        dialect="anthropic",
        model=str(body.get("model", "")),
        stream=bool(body.get("stream")),
        prefill=plain(content) if last.get("role") == "assistant" else None,
        after_tool=results,
        include_usage=True,
        has_stream_options="stream_options" in body,
        schema=form.get("schema") or inputs.get(only),
        only_tool=only,
        serial=serial,
    )


def _usage(reply: Reply, output: int) -> Json:
    return {
        "input_tokens": reply.input_tokens - reply.cached_tokens - reply.cache_write_tokens,
        "cache_creation_input_tokens": reply.cache_write_tokens,
        "cache_read_input_tokens": reply.cached_tokens,
        "output_tokens": output,
    }


def _blocks(reply: Reply) -> list[Json]:
    blocks: list[Json] = []
    if reply.thinking:
        blocks.append({"type": "thinking", "thinking": reply.thinking, "signature": SIGNATURE})
    if reply.text or reply.refusal:
        blocks.append({"type": "text", "text": reply.text or reply.refusal})
    for tool in reply.tools:
        blocks.append({"type": "tool_use", "id": tool.id, "name": tool.name, "input": _arguments(tool.arguments)})
    return blocks


def _arguments(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return {}


def _message(reply: Reply, ask: Ask, content: list[Json], stop: str | None, output: int) -> Json:
    return {
        "id": f"msg_{ask.serial}",
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": _usage(reply, output),
    }


def unary(reply: Reply, ask: Ask) -> Json:
    return _message(reply, ask, _blocks(reply), STOPS[reply.stop], reply.output_tokens)


def stream(reply: Reply, ask: Ask, scenario: Scenario) -> Script:
    pings = [Event("ping", {"type": "ping"})] * (3 if scenario.noise else 1)
    start = {"type": "message_start", "message": _message(reply, ask, [], None, 1)}
    script = Script(opening=[Event("message_start", start), *pings])
    for index, block in enumerate(_blocks(reply)):
        script.content += _block_events(index, block, _pieces(block, reply))
    ending = {"stop_reason": STOPS[reply.stop], "stop_sequence": None}
    usage = _usage(reply, reply.output_tokens)
    script.closing = [Event("message_delta", {"type": "message_delta", "delta": ending, "usage": usage})]
    script.end = [Event("message_stop", {"type": "message_stop"})]
    return script


def _pieces(block: Json, reply: Reply) -> list[Json]:
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": token} for token in tokens(block["thinking"])]
        return [*deltas, {"type": "signature_delta", "signature": SIGNATURE}]
    if block["type"] == "text":
        return [{"type": "text_delta", "text": token} for token in tokens(block["text"])]
    written = next(tool.arguments for tool in reply.tools if tool.name == block["name"])
    return [{"type": "input_json_delta", "partial_json": token} for token in ["", *tokens(written)]]


def _block_events(index: int, block: Json, deltas: list[Json]) -> list[list[Event]]:
    empty: dict[str, Json] = {
        "thinking": {"thinking": "", "signature": ""},
        "text": {"text": ""},
        "tool_use": {"input": {}},
    }
    begun = block | empty[block["type"]]
    groups = [
        [Event("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta})]
        for delta in deltas
    ]
    groups[0].insert(
        0, Event("content_block_start", {"type": "content_block_start", "index": index, "content_block": begun})
    )
    groups[-1].append(Event("content_block_stop", {"type": "content_block_stop", "index": index}))
    return groups


def error(fault: Fault, key: str) -> tuple[int, Json]:
    body = {"type": fault.anthropic_type, "message": fault.message_for("anthropic", key)}
    return fault.status_for("anthropic"), {"type": "error", "error": body, "request_id": "req_scripted"}


def error_events(fault: Fault, ask: Ask) -> list[Event]:
    return [Event("error", error(fault, "")[1])]
