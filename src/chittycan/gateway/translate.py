"""Between the client's dialect and the provider's: what passes through, what is translated, how it comes back."""

from collections.abc import Mapping
from typing import Any

import msgspec

from chittycan.chat import ChatRequest, ChatResponse, Json, system
from chittycan.dialects import load
from chittycan.dialects.openai_responses import require_no_stored_state
from chittycan.dialects.wire import REMOVE, splice
from chittycan.gateway.call import Call
from chittycan.routing.decide import Candidate

# These clients replay reasoning blocks; what another vendor sealed into them must not reach this one.
REPLAYING = frozenset({"anthropic", "openai_responses"})


def passes_through(call: Call, candidate: Candidate) -> bool:
    """Whether the body goes to this provider byte for byte (but for `model` and `stream_options`)."""
    if call.operation == "embeddings":
        return True
    if call.surface != candidate.provider.dialect:
        return False
    if call.surface in REPLAYING:
        if load(call.surface).holds_foreign_reasoning(call.body):
            return False
        # Another generation of the same vendor may not take the same thinking parameters.
        return candidate.model.name == call.model or "thinking" not in call.fields
    return True


def request_body(call: Call, candidate: Candidate, ask_usage: bool) -> bytes:
    """The body for this provider. `ask_usage`: it takes `stream_options`.

    Raises InvalidRequest naming the field that its dialect cannot express.
    """
    upstream, provider = candidate.model.upstream, candidate.provider
    if passes_through(call, candidate):
        return _same_body(call, upstream, provider.dialect == "openai" and ask_usage)
    chat = call.chat
    if provider.dialect != "openai_responses":
        require_no_stored_state(chat)
    if not candidate.model.json_schema:
        chat = in_words(chat)
    wanted = msgspec.structs.replace(chat, model=upstream, stream=call.stream, include_usage=call.stream)
    built: Json = load(provider.dialect).build_request(wanted)
    if not ask_usage:
        built.pop("stream_options", None)
    return msgspec.json.encode(built)


def _same_body(call: Call, upstream: str, ask_usage: bool) -> bytes:
    changes: dict[str, Any] = {}
    if call.model != upstream:
        changes["model"] = upstream
    if "chitty" in call.fields:
        changes["chitty"] = REMOVE
    if call.stream and call.surface == "openai":
        wanted = call.fields.get("stream_options")
        if not ask_usage:
            if wanted is not None:
                changes["stream_options"] = REMOVE
        elif not isinstance(wanted, dict) or wanted.get("include_usage") is not True:
            changes["stream_options"] = {**(wanted if isinstance(wanted, dict) else {}), "include_usage": True}
    return splice(call.body, call.fields, changes) if changes else call.body


def own_tool_names(call: Call, candidate: Candidate) -> Mapping[str, str]:
    """Stand-ins of tool names that this provider does not take → the client's own names; usually empty."""
    if call.surface == candidate.provider.dialect or call.operation != "chat":
        return {}
    if call.parsed is None and not call.fields.get("tools"):
        return {}
    names: Mapping[str, str] = load(candidate.provider.dialect).wire_names(call.chat.tools)
    return names


def client_body(call: Call, response: ChatResponse) -> bytes:
    """A whole answer in the client's dialect."""
    if not response.created:
        response.created = int(call.at)
    return msgspec.json.encode(load(call.surface or "openai").build_response(response, call.chat))


def in_words(chat: ChatRequest) -> ChatRequest:
    """For a model that cannot be held to a schema: the schema as an instruction. Whoever asked checks the answer."""
    wanted = chat.response_format
    if wanted is None or wanted.kind != "schema":
        return chat
    schema = msgspec.json.encode(wanted.schema).decode()
    rule = system(f"Answer with one JSON object and nothing else. It must fit this JSON Schema: {schema}")
    return msgspec.structs.replace(chat, messages=[rule, *chat.messages], response_format=None)
