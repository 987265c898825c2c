"""Requests. Source: OpenAI API reference, "Create completion" (legacy), request body."""

from chittycan.chat import ChatRequest, Json, Text, user
from chittycan.dialects.openai_chat import request as chat_request
from chittycan.dialects.wire import field
from chittycan.errors import InvalidRequest

_OWN_FIELDS = ("prompt", "echo", "suffix", "best_of", "logprobs")


def parse_request(body: Json) -> ChatRequest:
    """One prompt as one user message. InvalidRequest for what a chat model cannot do, naming the field.

    `echo` is kept in `extra["echo"]`, for `echo_of`; `build_request` of the chat dialect never sends it.
    """
    prompt = _prompt(body.get("prompt"))
    if field(body, "suffix", str):
        raise _unsupported("suffix", "inserting text before a suffix")
    if field(body, "logprobs", int) is not None:
        raise _unsupported("logprobs", "log probabilities of a completion")
    best_of = field(body, "best_of", int)
    if best_of is not None and best_of > (field(body, "n", int) or 1):
        raise _unsupported("best_of", "choosing the best of several completions")
    chat_body = {key: value for key, value in body.items() if key not in _OWN_FIELDS}
    chat_body["messages"] = [{"role": "user", "content": "."}]
    chat = chat_request.parse_request(chat_body)
    chat.messages = [user(prompt)]
    chat.origin = "openai_completions"
    if field(body, "echo", bool):
        chat.extra["echo"] = True
    return chat


def _unsupported(name: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{name}: {what} is not possible with a chat model; leave it out", param=name)


def _prompt(prompt: object) -> str:
    match prompt:
        case str():
            return prompt
        case [str() as only]:
            return only
        case None | []:
            raise InvalidRequest("prompt is missing; a string is expected", param="prompt")
        case [str(), *_]:
            raise InvalidRequest("prompt holds several prompts; send one request for each", param="prompt")
        case [int() | list(), *_]:
            raise InvalidRequest("prompt holds tokens; send the text itself", param="prompt")
    raise InvalidRequest("prompt is neither a string nor an array of strings", param="prompt")


def split(body: Json) -> list[Json]:
    """One body for each prompt of `body`, in order, so that a list of prompts can be served by several calls."""
    prompt = body.get("prompt")
    if not isinstance(prompt, list) or len(prompt) < 2 or not all(isinstance(item, str) for item in prompt):
        return [body]
    return [{**body, "prompt": item} for item in prompt]


def echo_of(chat: ChatRequest) -> str:
    """What the answer must begin with: the prompt where the client asked for `echo`, else nothing."""
    if not chat.extra.get("echo"):
        return ""
    prompt = [part for message in chat.messages if message.role == "user" for part in message.parts]
    return "".join(part.text for part in prompt if isinstance(part, Text))
