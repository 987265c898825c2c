"""What routing needs to know of a call, read from it without a full translation where that is not needed."""

from typing import Any

from msgspec.structs import replace

from chittycan.chat import ChatRequest, Image, Message, ToolResult
from chittycan.dialects.tokens import estimate_tokens
from chittycan.gateway.call import NO_OPTIONS, Call
from chittycan.routing.facts import Facts

# Below this size no window is too small, and four characters to a token is good enough for a reservation.
SMALL_BODY = 32_768


# Fields that no model's ability depends on.
PLAIN = frozenset(
    {"model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens",
     "stop", "seed", "user", "metadata", "presence_penalty", "frequency_penalty", "store", "service_tier"}
)  # fmt: skip


def plain_facts(call: Call) -> tuple[str, str | None, frozenset[str] | None] | None:
    """What decides of the usual small OpenAI request; None where `facts_of` has to look closer."""
    if call.surface != "openai" or call.options is not NO_OPTIONS or call.operation != "chat" or call.keep_answering:
        return None
    if len(call.body) > SMALL_BODY or not PLAIN.issuperset(call.fields) or b"image" in call.body:
        return None
    return call.model, call.surface, call.key.models if call.key is not None else None


def facts_of(call: Call) -> Facts:
    """Raises InvalidRequest where the request has to be read and cannot be."""
    options = call.options
    chat = call.parsed if call.surface is None else None
    if chat is None and (len(call.body) > SMALL_BODY or b"image" in call.body) and call.operation == "chat":
        chat = call.chat
    facts = Facts(
        model=call.model,
        surface=call.surface,
        kind=options.kind,
        region=options.region,
        private=options.private,
        models=options.models,
        allowed=call.key.models if call.key is not None else None,
        keep_answering=call.keep_answering,
        rule=call.ruled,
        tokens=_surely(estimate_tokens(chat)) if chat is not None else 0,
        vision=chat is not None and any(map(_has_image, chat.messages)),
        tools=bool(chat.tools if chat is not None else call.fields.get("tools")),
        schema=call.surface is not None and _wants_schema(call, chat),
        prefill=_starts_answer(call, chat),
        same_dialect=_untranslatable(call, chat),
    )  # a sixteenth name would make it a microsecond slower
    if call.kept_by is not None:
        facts = replace(facts, kept_by=call.kept_by)
    return replace(facts, embeddings=True) if call.operation == "embeddings" else facts


# What limits an answer's length, by dialect; the first that is a good number counts.
OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_LIMITING = frozenset(OUTPUT_LIMITS)


def input_tokens(call: Call) -> int:
    """About how many tokens go in, for reservations and for answers without usage."""
    if call.parsed is not None:
        return estimate_tokens(call.parsed)
    return len(call.body) // 4 if len(call.body) <= SMALL_BODY else estimate_tokens(call.chat)


def max_tokens(call: Call) -> int | None:
    """The most tokens that the caller wants written; None where it does not say."""
    if call.parsed is not None:
        return call.parsed.max_tokens
    if _LIMITING.isdisjoint(call.fields):
        return None
    for name in OUTPUT_LIMITS:
        value = call.fields.get(name)
        if isinstance(value, int) and value > 0:
            return value
    return None


def _surely(estimate: int) -> int:
    """A window only counts as too small where even a generous error of the estimate would not make it fit.

    Coarse steps let one remembered decision serve many sizes.
    """
    certain = estimate * 2 // 3
    return 0 if certain < 4096 else certain // 4096 * 4096


def _has_image(message: Message) -> bool:
    return any(
        isinstance(part, Image) or (isinstance(part, ToolResult) and any(isinstance(p, Image) for p in part.parts))
        for part in message.parts
    )


def _wants_schema(call: Call, chat: ChatRequest | None) -> bool:
    if chat is not None:
        return chat.response_format is not None and chat.response_format.kind == "schema"
    fields = call.fields
    wanted: Any = fields.get("response_format")
    if wanted is None and isinstance(fields.get("text"), dict):
        wanted = fields["text"].get("format")
    if wanted is None:
        wanted = fields.get("output_format")
    return isinstance(wanted, dict) and wanted.get("type") == "json_schema"


def _starts_answer(call: Call, chat: ChatRequest | None) -> bool:
    """A trailing assistant message is a prefill in Anthropic's dialect; elsewhere it is just history."""
    if chat is not None and call.surface is None:
        return bool(chat.messages) and chat.messages[-1].role == "assistant"
    messages = call.fields.get("messages") if call.surface == "anthropic" else None
    if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
        return False
    return messages[-1].get("role") == "assistant"


def _untranslatable(call: Call, chat: ChatRequest | None) -> str | None:
    if chat is not None and call.surface is None:
        return "n" if chat.n > 1 else "logprobs" if chat.logprobs else None
    if call.surface != "openai":
        return None
    n = call.fields.get("n")
    if isinstance(n, int) and n > 1:
        return "n"
    return "logprobs" if call.fields.get("logprobs") else None
