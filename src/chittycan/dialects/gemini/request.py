"""The body of `models.generateContent` and `models.streamGenerateContent`.

Source: the Gemini API reference, v1beta (ai.google.dev/api/generate-content, and the published protocol buffers).
Schemas go as JSON Schema (`parametersJsonSchema`, `responseJsonSchema`), not as the older OpenAPI subset.

What the API cannot express: n > 1 and logprobs are refused; `parallel_tool_calls: false`, cache markers, user and
metadata are left out.
"""

import msgspec

from chittycan.chat import ChatRequest, Json, Tool
from chittycan.dialects.gemini.contents import build_contents, leading_system
from chittycan.dialects.gemini.models import Traits, thinking_config, traits
from chittycan.dialects.names import wire_name
from chittycan.dialects.schemas import within
from chittycan.errors import InvalidRequest

MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "tool": "ANY"}
MAX_STOPS = 5
INT32 = 0x7FFF_FFFF


def build_request(chat: ChatRequest) -> Json:
    """The body. The model and whether to stream are in the path. Raises `InvalidRequest` naming the field.

    Tool names that the API does not take are replaced: `wire_names(chat.tools)` says by what.
    """
    _refuse(chat)
    model = traits(chat.model)
    texts, count = leading_system(chat)
    declarations = [_declaration(tool) for tool in chat.tools if tool.raw is None]
    config = _generation_config(chat, model)
    form = _response_format(chat)
    if declarations and form and not model.json_with_tools:
        texts = [*texts, _asked_in_words(form)]
    else:
        config |= form
    body: Json = {"contents": build_contents(chat, count, model)}
    if texts:
        body["systemInstruction"] = {"parts": [{"text": text} for text in texts]}
    if declarations:
        body["tools"] = [{"functionDeclarations": declarations}]
        if chat.tool_choice is not None:
            body["toolConfig"] = {"functionCallingConfig": _calling_config(chat)}
    if config:
        body["generationConfig"] = config
    return body


def _refuse(chat: ChatRequest) -> None:
    if chat.n != 1:
        raise InvalidRequest("n: Gemini is asked for one answer per request", param="n", fix="Send n requests.")
    if chat.logprobs or chat.top_logprobs:
        raise InvalidRequest("logprobs: not available from Gemini here", param="logprobs", fix="Leave it out.")
    if len(chat.stop) > MAX_STOPS:
        raise InvalidRequest(f"stop: Gemini takes at most {MAX_STOPS} stop sequences", param="stop")


def _generation_config(chat: ChatRequest, model: Traits) -> Json:
    fields = {
        "maxOutputTokens": chat.max_tokens,
        "temperature": chat.temperature,
        "topP": chat.top_p,
        "topK": chat.top_k,
        "stopSequences": chat.stop or None,
        "seed": None if chat.seed is None else chat.seed & INT32,
        "presencePenalty": chat.presence_penalty,
        "frequencyPenalty": chat.frequency_penalty,
        "thinkingConfig": thinking_config(chat.reasoning, model),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _response_format(chat: ChatRequest) -> Json:
    wanted = chat.response_format
    if wanted is None or wanted.kind == "text":
        return {}
    form: Json = {"responseMimeType": "application/json"}
    if wanted.kind == "schema" and wanted.schema is not None:
        form["responseJsonSchema"] = _taken(wanted.schema)
    return form


def _asked_in_words(form: Json) -> str:
    """Functions and a JSON answer in one request are refused before version 3: functions win, the form is asked for."""
    text = "Whenever you answer without calling a function, answer with JSON only, without any text around it."
    if schema := form.get("responseJsonSchema"):
        text += f" It must match this JSON Schema: {msgspec.json.encode(schema).decode()}"
    return text


def _declaration(tool: Tool) -> Json:
    built: Json = {"name": wire_name(tool.name), "description": tool.description or ""}
    if tool.schema and tool.schema.get("properties"):
        built["parametersJsonSchema"] = _taken({"type": "object"} | tool.schema)
    return built


def _taken(schema: Json) -> Json:
    """The API unrolls an array as often as its limits say and refuses what grows too large, without saying why.

    How large differs by model and month (python-genai#2170, vercel/ai#21192), so limits are said in words. All other
    keywords are taken or ignored, but none may stand beside a `$ref`.
    """
    built: Json = within(schema, lambda key, value: key != "maxItems" and (key != "minItems" or value in (0, 1)))
    return built


def _calling_config(chat: ChatRequest) -> Json:
    choice = chat.tool_choice
    assert choice is not None
    config: Json = {"mode": MODES[choice.mode]}
    if choice.name is not None:
        config["allowedFunctionNames"] = [wire_name(choice.name)]
    return config
