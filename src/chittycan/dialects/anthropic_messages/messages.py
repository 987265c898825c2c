"""The order of a conversation, as this API wants it.

System text that comes first becomes the `system` field, in order; later system messages stay in their place, as role
"system" where the caller spoke this dialect and the model takes it, else as text in a user turn between <system>
tags (hoisting them would change what the model knew when, and void its prompt cache). Messages of the same role in a
row become one; tool results lead their turn; what is empty is left out, since the API refuses empty text; a turn is
added where the first would be the assistant's or none would be left. A trailing assistant message is a prefill.
"""

from chittycan.chat import ChatRequest, Json, Message, Part, Text, ToolResult
from chittycan.dialects.anthropic_messages.blocks import build_block, parse_content
from chittycan.dialects.anthropic_messages.signatures import NAME
from chittycan.errors import InvalidRequest

OPENING = "(The conversation begins.)"
NOTHING = "(No text.)"
ROLES = {"user": "user", "tool": "user", "assistant": "assistant", "system": "user"}


def parse_message(message: Json, where: str) -> list[Message]:
    """One message; tool results come out as messages of their own, as neutral `tool` messages do."""
    role, content = message.get("role"), message.get("content")
    if not (
        isinstance(content, str) or (isinstance(content, list) and all(isinstance(each, dict) for each in content))
    ):
        raise InvalidRequest(
            f"{where}.content: expected a string or a list of content blocks", param=f"{where}.content"
        )
    parts = parse_content(content, f"{where}.content")
    if role == "assistant":
        return [Message("assistant", parts)]
    if role == "system":
        return [Message("system", parts)]
    if role == "user":
        return _split(parts)
    raise InvalidRequest(f'{where}.role: expected "user" or "assistant"', param=f"{where}.role")


def _split(parts: list[Part]) -> list[Message]:
    messages: list[Message] = []
    for part in parts:
        if isinstance(part, ToolResult):
            messages.append(Message("tool", [part]))
        elif messages and messages[-1].role == "user":
            messages[-1].parts.append(part)
        else:
            messages.append(Message("user", [part]))
    return messages or [Message("user", [])]


def split_system(chat: ChatRequest) -> tuple[list[Text], int]:
    """The leading system texts, and how many messages they were."""
    texts: list[Text] = []
    count = 0
    for message in chat.messages:
        if message.role != "system":
            break
        texts += [part for part in message.parts if isinstance(part, Text)]
        count += 1
    return texts, count


def build_system(texts: list[Text]) -> str | list[Json] | None:
    """A string where there is one plain text, else blocks; None where there is nothing to say."""
    blocks = [block for text in texts if (block := build_block(text, "system")) is not None]
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return str(blocks[0]["text"])
    return blocks or None


def build_messages(chat: ChatRequest, start: int, late_system: bool) -> list[Json]:
    """The turns from message `start` on. `late_system`: the model takes role "system" among them."""
    turns: list[Json] = []
    last = len(chat.messages) - 1
    native_system = late_system and chat.origin == NAME
    for i, message in enumerate(chat.messages[start:], start):
        role = "system" if message.role == "system" and native_system else ROLES[message.role]
        blocks = _message_blocks(message, f"messages[{i}]", tagged=message.role == "system" and not native_system)
        if not blocks and i == last and role != "assistant":
            blocks = [{"type": "text", "text": NOTHING}]
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    if not turns or turns[0]["role"] != "user":
        turns.insert(0, {"role": "user", "content": [{"type": "text", "text": OPENING}]})
    for turn in turns:
        _settle(turn)
    _trim_prefill(turns[-1])
    return turns


def _message_blocks(message: Message, where: str, tagged: bool) -> list[Json]:
    if tagged:
        text = "\n".join(part.text for part in message.parts if isinstance(part, Text)).strip()
        return [{"type": "text", "text": f"<system>\n{text}\n</system>"}] if text else []
    built = [build_block(part, f"{where}.content[{i}]") for i, part in enumerate(message.parts)]
    blocks = [block for block in built if block is not None]
    if message.role == "assistant" and any(block["type"] == "image" for block in blocks):
        raise InvalidRequest(
            f"{where}: Anthropic takes no image in an assistant message",
            param=where,
            fix="Send the image in a user message.",
        )
    return blocks


def _settle(turn: Json) -> None:
    """Tool results first; a lone plain text as a string."""
    blocks = turn["content"]
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        turn["content"] = blocks[0]["text"]
    elif turn["role"] == "user":
        blocks.sort(key=lambda block: block["type"] != "tool_result")


def _trim_prefill(turn: Json) -> None:
    """The API refuses a prefill that ends in white space."""
    if turn["role"] != "assistant":
        return
    if isinstance(turn["content"], str):
        turn["content"] = turn["content"].rstrip()
    elif turn["content"][-1]["type"] == "text":
        turn["content"][-1]["text"] = turn["content"][-1]["text"].rstrip()


def is_prefill(turns: list[Json]) -> bool:
    return bool(turns[-1]["role"] == "assistant")


def lacks_thinking(turns: list[Json]) -> bool:
    """Whether the assistant's turn that goes on does not start with thinking.

    That turn is the tool calls and results since the user last spoke; while thinking on a budget is on, this API
    demands that it starts with a thinking block.
    """
    opening: Json | None = None
    for turn in turns:
        if turn["role"] == "assistant":
            opening = opening or turn
        elif isinstance(turn["content"], str) or turn["content"][0]["type"] != "tool_result":
            opening = None
    if opening is None or isinstance(opening["content"], str):
        return opening is not None
    return opening["content"][0]["type"] not in ("thinking", "redacted_thinking")
