"""How many tokens a request is, estimated without a tokenizer.

Used where a number is needed at once and an exact one costs a call: `count_tokens`, budget reservations, tokens per
minute, "does it fit the window". Text: (3 × UTF-8 bytes − characters) / 8, which is a quarter of the characters for
ASCII, one per character for Chinese, Japanese and Korean, and in between for accents, Cyrillic and emoji. That is
within about 15 % for English prose, up to 30 % low for dense code and digits, and high for Cyrillic; vendors'
tokenizers differ from each other by as much. Images and documents are flat rates, on the high side.
"""

import msgspec

from chittycan.chat import Audio, ChatRequest, File, Image, Message, Opaque, Part, Text, Thinking, ToolCall, ToolResult

MESSAGE = 4  # role and separators
TOOL = 8  # name and framing of one definition, beside its text
TOOLS = 300  # the instructions that a vendor adds once for any tools: 290–350 at Anthropic
IMAGE = 1600  # the largest that Anthropic counts (1.15 megapixels / 750); OpenAI's high detail is 765–1,105
IMAGE_LOW = 85  # OpenAI's `detail: low`
PAGE = 2300  # a page of a PDF, its text and its picture
PAGE_BYTES = 50_000  # of a PDF, on average
REMOTE_PAGES = 10  # a document that is only linked
AUDIO_BYTES = 600  # of compressed speech per token (16 kB/s, 25 tokens/s)


def estimate_text(text: str) -> int:
    """Tokens of a piece of text."""
    size = len(text)
    if text.isascii():
        return (size + 3) // 4
    return (3 * len(text.encode("utf-8", "replace")) - size + 7) // 8


def estimate_tokens(chat: ChatRequest) -> int:
    """Input tokens of the whole request: messages, tools and answer schema."""
    total = 0
    for message in chat.messages:
        total += estimate_message(message)
    if chat.tools:
        total += TOOLS
        for tool in chat.tools:
            total += TOOL + estimate_text(tool.name) + estimate_text(tool.description or "")
            total += _json(tool.raw if tool.raw is not None else tool.schema)
    if chat.response_format is not None:
        total += _json(chat.response_format.schema)
    return total


def estimate_message(message: Message) -> int:
    total = MESSAGE
    for part in message.parts:
        total += estimate_text(part.text) if type(part) is Text else _part(part)
    return total


def _part(part: Part) -> int:
    match part:
        case Thinking():
            return estimate_text(part.text) + len(part.redacted or "") // 4
        case Image():
            return IMAGE_LOW if part.detail == "low" else IMAGE
        case File():
            return _file(part)
        case Audio():
            return _decoded(part.data) // AUDIO_BYTES + 1
        case ToolCall():
            return TOOL + estimate_text(part.name) + estimate_text(part.arguments)
        case ToolResult():
            return TOOL + sum(estimate_text(each.text) if type(each) is Text else _part(each) for each in part.parts)
        case Opaque():
            return _json(part.block)
        case _:
            return estimate_text(part.text)


def _file(part: File) -> int:
    if part.text is not None:
        return estimate_text(part.text)
    if part.data is None:
        return PAGE * REMOTE_PAGES
    size = _decoded(part.data)
    if (part.media_type or "").startswith("text/"):
        return size // 4 + 1
    return PAGE * (size // PAGE_BYTES + 1)


def _decoded(base64: str) -> int:
    return len(base64) * 3 // 4


def _json(value: object) -> int:
    return 0 if not value else len(msgspec.json.encode(value)) // 4
