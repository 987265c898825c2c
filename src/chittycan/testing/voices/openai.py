"""OpenAI Chat Completions, as in platform.openai.com/docs/api-reference/chat."""

from typing import Any

from chittycan.testing.faults import Fault
from chittycan.testing.scenarios import Ask, Reply, Scenario, tokens
from chittycan.testing.voices import Event, Json, Script, plain

CREATED = 1_800_000_000


def read(path: str, body: Json, serial: int) -> Ask:
    messages = body.get("messages") or [{}]
    last = messages[-1] if isinstance(messages[-1], dict) else {}
    options = body.get("stream_options")
    form = body.get("response_format") or {}
    return Ask(
        dialect="openai",
        model=str(body.get("model", "")),
        stream=bool(body.get("stream")),
        prefill=plain(last.get("content")) if last.get("role") == "assistant" else None,
        after_tool=last.get("role") == "tool",
        include_usage=bool((options or {}).get("include_usage")),
        has_stream_options=options is not None,
        schema=(form.get("json_schema") or {}).get("schema"),
        serial=serial,
    )


def usage(reply: Reply, output: int | None = None) -> Json:
    written = reply.output_tokens if output is None else output
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": written,
        "total_tokens": reply.input_tokens + written,
        "prompt_tokens_details": {"cached_tokens": reply.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": len(tokens(reply.thinking)), "audio_tokens": 0},
    }


def unary(reply: Reply, ask: Ask) -> Json:
    message: Json = {"role": "assistant", "content": reply.text or None, "refusal": reply.refusal or None}
    if reply.thinking:
        message["reasoning_content"] = reply.thinking
    if reply.tools:
        message["tool_calls"] = [
            {"id": each.id, "type": "function", "function": {"name": each.name, "arguments": each.arguments}}
            for each in reply.tools
        ]
    return {
        "id": f"chatcmpl-{ask.serial}",
        "object": "chat.completion",
        "created": CREATED,
        "model": ask.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reply.stop}],
        "usage": usage(reply),
        "system_fingerprint": f"fp_{ask.serial}",
    }


def stream(reply: Reply, ask: Ask, scenario: Scenario) -> Script:
    def chunk(choices: list[Any], **more: Any) -> Event:
        body = {
            "id": f"chatcmpl-{ask.serial}",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": ask.model,
            "system_fingerprint": f"fp_{ask.serial}",
            "choices": choices,
        }
        return Event("", body | more)

    def delta(body: Json | None, finish: str | None = None) -> Event:
        return chunk([{"index": 0, "delta": body, "logprobs": None, "finish_reason": finish}])

    script = Script(opening=[delta({"role": "assistant", "content": "", "refusal": None})])
    for name, text in (("reasoning_content", reply.thinking), ("content", reply.text), ("refusal", reply.refusal)):
        script.content += [[delta({name: token})] for token in tokens(text)]
    for index, tool in enumerate(reply.tools):
        at = 0 if scenario.index_zero else index
        first = {"index": at, "id": tool.id, "type": "function", "function": {"name": tool.name, "arguments": ""}}
        script.content.append([delta({"tool_calls": [first]})])
        script.content += [
            [delta({"tool_calls": [{"index": at, "function": {"arguments": token}}]})]
            for token in tokens(tool.arguments)
        ]
    if scenario.noise:
        script.opening.insert(0, chunk([], prompt_filter_results=[{"prompt_index": 0}]))
        script.opening.append(delta({}))
        script.content.insert(1, [delta(None), delta({"content": None}), chunk([{"delta": {}}])])
    if scenario.usage_everywhere:
        for count, group in enumerate(script.content, 1):
            for event in group:
                assert isinstance(event.data, dict)
                event.data["usage"] = usage(reply, count)
    script.closing = [delta({}, reply.stop)]
    if ask.include_usage or scenario.usage_everywhere:
        script.closing.append(chunk([], usage=usage(reply)))
    script.end = [Event("", "[DONE]")]
    return script


def error(fault: Fault, key: str, dialect: str = "openai") -> tuple[int, Json]:
    body = {
        "message": fault.message_for(dialect, key),
        "type": fault.openai_type,
        "param": fault.param,
        "code": fault.openai_code,
    }
    return fault.status_for(dialect), {"error": body}


def error_events(fault: Fault, ask: Ask) -> list[Event]:
    return [Event("", error(fault, "")[1])]
