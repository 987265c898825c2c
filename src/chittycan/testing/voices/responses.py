"""OpenAI Responses, as in platform.openai.com/docs/api-reference/responses-streaming."""

from collections.abc import Iterator
from typing import Any

from chittycan.testing.faults import Fault
from chittycan.testing.scenarios import Ask, Reply, Scenario, ToolUse, tokens
from chittycan.testing.voices import Event, Json, Script, openai, plain

CREATED = 1_800_000_000


def read(path: str, body: Json, serial: int) -> Ask:
    given = body.get("input")
    last: Json = given[-1] if isinstance(given, list) and given else {}
    form = (body.get("text") or {}).get("format") or {}
    return Ask(
        dialect="openai_responses",
        model=str(body.get("model", "")),
        stream=bool(body.get("stream")),
        prefill=plain(last.get("content")) if last.get("role") == "assistant" else None,
        after_tool=last.get("type") == "function_call_output",
        include_usage=True,
        has_stream_options="stream_options" in body,
        schema=form.get("schema"),
        serial=serial,
    )


def _usage(reply: Reply) -> Json:
    return {
        "input_tokens": reply.input_tokens,
        "input_tokens_details": {"cached_tokens": reply.cached_tokens},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": len(tokens(reply.thinking))},
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }


def _response(ask: Ask, status: str, output: list[Json], **more: Any) -> Json:
    return {
        "id": f"resp_{ask.serial}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": ask.model,
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None,
        **more,
    }


def _items(reply: Reply, ask: Ask) -> list[Json]:
    items: list[Json] = []
    if reply.thinking:
        summary = [{"type": "summary_text", "text": reply.thinking}]
        items.append({"id": f"rs_{ask.serial}", "type": "reasoning", "summary": summary})
    if reply.text or reply.refusal:
        items.append(_message(reply, ask, "completed", [_part(reply)]))
    items += [_call(tool, index, ask) for index, tool in enumerate(reply.tools)]
    return items


def _part(reply: Reply, text: str | None = None) -> Json:
    if reply.refusal:
        return {"type": "refusal", "refusal": reply.refusal if text is None else text}
    return {"type": "output_text", "text": reply.text if text is None else text, "annotations": [], "logprobs": []}


def _message(reply: Reply, ask: Ask, status: str, parts: list[Json]) -> Json:
    return {"id": f"msg_{ask.serial}", "type": "message", "status": status, "role": "assistant", "content": parts}


def _call(tool: ToolUse, index: int, ask: Ask) -> Json:
    return {
        "id": f"fc_{ask.serial}_{index}",
        "type": "function_call",
        "status": "completed",
        "call_id": tool.id,
        "name": tool.name,
        "arguments": tool.arguments,
    }


def _ending(reply: Reply) -> tuple[str, Json]:
    if reply.stop == "length":
        return "incomplete", {"incomplete_details": {"reason": "max_output_tokens"}}
    if reply.stop == "content_filter" and not reply.refusal:
        return "incomplete", {"incomplete_details": {"reason": "content_filter"}}
    return "completed", {}


def unary(reply: Reply, ask: Ask) -> Json:
    status, details = _ending(reply)
    return _response(ask, status, _items(reply, ask), **details, usage=_usage(reply))


def stream(reply: Reply, ask: Ask, scenario: Scenario) -> Script:
    status, details = _ending(reply)
    final = _response(ask, status, _items(reply, ask), **details, usage=_usage(reply))
    script = Script(
        opening=[
            _event("response.created", response=_response(ask, "in_progress", [])),
            _event("response.in_progress", response=_response(ask, "in_progress", [])),
        ],
        closing=[_event(f"response.{status}", response=final)],
    )
    for index, item in enumerate(final["output"]):
        script.content += _item_events(reply, ask, item, index)
    for number, event in enumerate(_every(script)):
        assert isinstance(event.data, dict)
        event.data["sequence_number"] = number
    return script


def _every(script: Script) -> Iterator[Event]:
    yield from script.opening
    for group in script.content:
        yield from group
    yield from script.closing


def _event(name: str, **body: Any) -> Event:
    return Event(name, {"type": name, "sequence_number": 0, **body})


def _item_events(reply: Reply, ask: Ask, item: Json, index: int) -> list[list[Event]]:
    """The groups of one output item: its first token carries what opens it, its last what closes it."""
    if item["type"] == "function_call":
        empty = item | {"status": "in_progress", "arguments": ""}
        name, text, at = "response.function_call_arguments", item["arguments"], {"item_id": item["id"]}
        before, after = [], [_event(f"{name}.done", **at, output_index=index, arguments=text)]
    elif item["type"] == "reasoning":
        empty = item | {"summary": []}
        name, text = "response.reasoning_summary_text", reply.thinking
        at = {"item_id": item["id"], "summary_index": 0}
        part = "response.reasoning_summary_part"
        before = [_event(f"{part}.added", **at, output_index=index, part={"type": "summary_text", "text": ""})]
        after = [
            _event(f"{name}.done", **at, output_index=index, text=text),
            _event(f"{part}.done", **at, output_index=index, part={"type": "summary_text", "text": text}),
        ]
    else:
        empty = _message(reply, ask, "in_progress", [])
        kind, text = ("refusal", reply.refusal) if reply.refusal else ("output_text", reply.text)
        name, at = f"response.{kind}", {"item_id": item["id"], "content_index": 0}
        field = "refusal" if reply.refusal else "text"
        before = [_event("response.content_part.added", **at, output_index=index, part=_part(reply, ""))]
        after = [
            _event(f"{name}.done", **at, output_index=index, **{field: text}),
            _event("response.content_part.done", **at, output_index=index, part=_part(reply)),
        ]
    groups = [[_event(f"{name}.delta", **at, output_index=index, delta=token)] for token in tokens(text)] or [[]]
    groups[0] = [_event("response.output_item.added", output_index=index, item=empty), *before, *groups[0]]
    groups[-1] += [*after, _event("response.output_item.done", output_index=index, item=item)]
    return groups


def error(fault: Fault, key: str) -> tuple[int, Json]:
    return openai.error(fault, key, "openai_responses")


def error_events(fault: Fault, ask: Ask) -> list[Event]:
    """Real traffic nests `error` and adds `response.failed`; the published shape is flat."""
    inner = error(fault, "")[1]["error"]
    failed = _response(ask, "failed", [], error={"code": fault.openai_code or "server_error", "message": fault.message})
    return [_event("error", error=inner), _event("response.failed", response=failed)]
