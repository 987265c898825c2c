"""The type `task`: one prompt, or messages, to one model."""

from contextlib import suppress
from typing import Any

import msgspec

from chittycan.agents.json_schema import cut, misfit
from chittycan.agents.performers.calls import Calls
from chittycan.agents.performers.material import gathered, request_of
from chittycan.agents.performers.parts import Parts
from chittycan.agents.schema import AnswerError
from chittycan.chat import ResponseFormat
from chittycan.errors import ChittyError, InvalidRequest, Unavailable
from chittycan.gateway.call import Answer
from chittycan.routing.decide import AUTO
from chittycan.routing.ensembles.extraction import json_in
from chittycan.store import feedback
from chittycan.workstreams.task import Done, Outcome, Task

BAD_ANSWER, REFUSED = "bad_answer", "refused"
CUT_OFF = ("length", "content_filter")  # stop reasons


async def perform(parts: Parts, task: Task) -> Outcome:
    """Asks the task's model, or the one its kind is assigned to.

    `spec`: `prompt` or `messages` (OpenAI's form); `system`, `files`, `schema`, `json`, `max_tokens`. Files and
    mails, and the results of the tasks that this one was to begin after, are given along, marked as data. `result`:
    `text`, `json` (the parsed answer, where it is JSON), `instead_of` where the default chain stood in for the model
    that was named, `stop_reason` where the answer was cut off, and `label` where it is held to be private. An answer
    that does not fit `schema`, or is no JSON where `json` was asked for, is a failure that may be tried again.
    """
    material = await gathered(parts, task)
    calls = await Calls.of(parts, task, private=material.private)
    schema, wants_json = task.spec.get("schema"), bool(task.spec.get("json"))
    structured = schema is not None or wants_json
    request = request_of(task, task.model or AUTO, material, only_json=structured)
    if schema is not None:
        request.response_format = ResponseFormat("schema", schema=schema, name="answer")
    elif wants_json:
        request.response_format = ResponseFormat("json")
    try:
        answer = await calls.ask(request)
    except ChittyError as error:
        return calls.failed(error)
    if not answer.text.strip():
        return calls.failed(_nothing(answer))
    try:
        value = read(answer.text, schema) if structured else plain(answer.text)
    except AnswerError as error:
        await _checked(parts, answer, held=False)
        return calls.failed(ChittyError(f"the answer cannot be used: {error}", code=BAD_ANSWER))
    if structured:
        await _checked(parts, answer, held=True)
    return Done(result=told(answer, value, calls), model=answer.model, cost_nano=calls.cost_nano)


async def _checked(parts: Parts, answer: Answer, *, held: bool) -> None:
    """Keeps whether the answer held to what was asked for; a task does not fail because that cannot be kept."""
    with suppress(Unavailable):
        await parts.database.run(feedback.checked, [answer.trace.request_id], held, parts.clock.now())


def told(answer: Answer, value: Any, calls: Calls) -> dict[str, Any]:
    """The result of one answer."""
    result: dict[str, Any] = {"text": answer.text}
    if value is not None:
        result["json"] = value
    if answer.response.stop_reason in CUT_OFF:
        result["stop_reason"] = answer.response.stop_reason
    return result | calls.marks


def _nothing(answer: Answer) -> ChittyError:
    """An answer without a word is none."""
    if answer.response.stop_reason == "content_filter":
        return InvalidRequest(f"{answer.model} refused to answer", code=REFUSED)
    said = "had no room left to answer" if answer.response.stop_reason == "length" else "gave no text"
    return ChittyError(f"{answer.model} {said}", code=BAD_ANSWER, fix="Raise max_tokens.")


def read(text: str, schema: dict[str, Any] | None) -> Any:
    """The JSON of an answer, also behind a sentence, with texts and lists cut to the schema's lengths.

    Raises AnswerError where there is none, or it does not fit.
    """
    value = plain(text)
    if value is None:
        value = json_in(text)
    if value is None:
        raise AnswerError("there is no JSON in it")
    if schema is not None:
        value = cut(value, schema)
        if (problem := misfit(value, schema)) is not None:
            raise AnswerError(problem)
    return value


def plain(text: str) -> Any:
    """The whole text as JSON, also in a Markdown fence; None where it is none."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text[3:-3].removeprefix("json").strip()
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
