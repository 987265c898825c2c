"""Answers. Source: OpenAI API reference, "The completion object" (legacy)."""

from typing import Any

from chittycan.chat import ChatRequest, ChatResponse, Json
from chittycan.dialects.openai_chat.response import build_usage, finish_reason
from chittycan.dialects.openai_completions.request import echo_of


def build_response(response: ChatResponse, request: ChatRequest | None = None) -> Json:
    """A text completion with one choice for each of the chat's; each begins with the prompt where that was asked."""
    echo = echo_of(request) if request is not None else ""
    own: Json = (response.extra or {}).get("openai", {})
    choices = [_choice(0, echo + response.text, finish_reason(response.stop_reason, False))]
    for place, other in enumerate(own.get("choices", []), start=1):
        message = other.get("message") or {}
        choices.append(_choice(place, echo + (message.get("content") or ""), other.get("finish_reason")))
    built: Json = {
        "id": response.id,
        "object": "text_completion",
        "created": response.created or 0,
        "model": response.model,
        "choices": choices,
    }
    if response.usage is not None:
        built["usage"] = build_usage(response.usage)
    return built


def _choice(index: int, text: str, reason: str | None) -> Json:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": reason}


def join(answers: list[Json]) -> Json:
    """One completion of the answers to the prompts that `request.split` took apart, usage summed."""
    choices = [choice for answer in answers for choice in answer["choices"]]
    joined: Json = {**answers[0], "choices": [{**choice, "index": place} for place, choice in enumerate(choices)]}
    usages = [answer["usage"] for answer in answers if "usage" in answer]
    if usages:
        joined["usage"] = _sum(usages)
    return joined


def _sum(usages: list[Json]) -> Json:
    total: dict[str, Any] = {}
    for usage in usages:
        for key, value in usage.items():
            total[key] = _sum([total.get(key, {}), value]) if isinstance(value, dict) else total.get(key, 0) + value
    return total
