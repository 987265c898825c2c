"""Tool names that a provider does not take, and their way back.

OpenAI, Anthropic and Gemini all accept letters, digits, `_` and `-`, up to 64 of them; clients also use dots, slashes
and longer names (an MCP server's tools, say). On the way out such a name becomes a readable prefix and a hash, always
the same one. A hash cannot be undone, but it can be computed again: `wire_names` gives, for the tools of the request
at hand, the names to put back, and `restore_event` and `restore_response` do so. For nearly every request there is
nothing to do.
"""

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256

from chittycan.chat import ChatEvent, ChatResponse, Tool, ToolCall, ToolStarted

_ACCEPTED = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REFUSED = re.compile(r"[^A-Za-z0-9_-]")


def wire_name(name: str) -> str:
    """`name` itself where every provider takes it, else its stand-in (at most 64 characters)."""
    if _ACCEPTED.fullmatch(name):
        return name
    return f"{_REFUSED.sub('_', name)[:51]}_{sha256(name.encode('utf-8', 'replace')).hexdigest()[:12]}"


def wire_names(tools: Iterable[Tool]) -> dict[str, str]:
    """Stand-in → the client's own name, for every tool of a request that needs one; usually empty."""
    return {wire_name(tool.name): tool.name for tool in tools if not _ACCEPTED.fullmatch(tool.name)}


def restore_event(event: ChatEvent, names: Mapping[str, str]) -> ChatEvent:
    """The event with the client's own tool name (`names` from `wire_names`)."""
    if isinstance(event, ToolStarted) and event.name in names:
        return ToolStarted(event.index, event.id, names[event.name], event.extra)
    return event


def restore_response(response: ChatResponse, names: Mapping[str, str]) -> ChatResponse:
    """The answer, changed in place, with the client's own tool names."""
    for part in response.parts:
        if isinstance(part, ToolCall):
            part.name = names.get(part.name, part.name)
    return response
