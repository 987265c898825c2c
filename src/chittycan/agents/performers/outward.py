"""The types `call`, `send` and `deliver`: what is done to the world outside, over `acts`.

Who asks a person and then goes on puts into the question what must not be lost by it: the answer of the next
question takes the place of this one's.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from chittycan.agents import acts
from chittycan.agents.performers.parts import Parts
from chittycan.agents.performers.waits import AWAY_SECONDS
from chittycan.errors import ChittyError, Forbidden, InvalidRequest
from chittycan.integrations.targets import parse
from chittycan.store import tasks as task_rows
from chittycan.store.database import AWAY
from chittycan.workstreams.rows import from_row
from chittycan.workstreams.task import Ask, Done, Failed, Later, Outcome, Task

APPROVED, REJECTED = "approved", "rejected"
SHOWN = ("to", "subject", "body", "method", "url", "json")  # of a spec, to whom is asked

Act = Callable[[str | None], Awaitable[acts.Acted | acts.Ask | acts.Later]]  # takes who approved of it


async def call(parts: Parts, task: Task) -> Outcome:
    """One HTTP request. `result`: `code`, `text`, `json`, `truncated`.

    What is private leaves the house only after a person's word, as for `send`.
    """

    async def act(approved_by: str | None) -> acts.Acted | acts.Ask | acts.Later:
        target = parse(str(task.spec.get("url", "")))
        if task.private and approved_by is None and not target.in_house:
            return acts.Ask("approve", f"It is part of private work. May it go to {target.host}?", task.id)
        return await parts.acts.call(task.spec, task.id)

    return await _done(parts, task, act, await _approval_before(parts, task) if task.private else None)


async def send(parts: Parts, task: Task) -> Outcome:
    """One mail, at most once. `result`: `state`, `message_id`, `answer`.

    To whom nobody allowed mail, and where the work is private, it goes only after an approval: of a step before it,
    else of its own.
    """

    async def act(approved_by: str | None) -> acts.Acted | acts.Ask | acts.Later:
        if task.private and approved_by is None:
            return acts.Ask("approve", "It is part of private work. May this mail go out?", task.id)
        return await parts.acts.send(task.spec, task.id, approved_by=approved_by)

    return await _done(parts, task, act, await _approval_before(parts, task))


async def deliver(parts: Parts, task: Task) -> Outcome:
    """One try at a webhook. `spec`: `to` (with `url`) and `event` (`type`, `data`), see `workstreams.events`."""
    event, to = task.spec.get("event") or {}, task.spec.get("to") or {}
    try:
        told = {"url": to.get("url"), "event": event.get("type"), "at": task.created, "data": event.get("data")}
        done = await parts.acts.deliver(told, task.id, failures=max(0, task.tries - 1))
    except ChittyError as error:
        return _failed(parts, error, task.spec)
    if isinstance(done, acts.Later):
        return Later(reason=f"another try to deliver it: {done.reason}", until=done.until)
    return Done(result=done.result)


# what a person said


async def _done(parts: Parts, task: Task, act: Act, approved_by: str | None = None) -> Outcome:
    """The act, after what a person said about it, if anything."""
    question, answer = task.question or {}, task.answer
    approved_by = question.get("approved_by") or approved_by
    try:
        if answer is not None and question.get("about") == "approve":
            if answer.get("decision") != APPROVED:
                return Failed(error=_refused(answer), again=False)
            approved_by = str(answer.get("by") or "owner")
        elif answer is not None and question.get("about") == "happened":
            await _resolve(parts, question, answer)
        done = await act(approved_by)
    except ChittyError as error:
        return _failed(parts, error, task.spec)
    match done:
        case acts.Acted():
            return Done(result=done.result)
        case acts.Later():
            return Later(reason=done.reason, until=done.until)
        case acts.Ask():
            return Ask(question=_question(task, done, approved_by), reason=f"a person's word: {done.question}")


def _question(task: Task, asked: acts.Ask, approved_by: str | None) -> dict[str, Any]:
    """`approved` means yes: it may be done, or it did happen; `rejected` no."""
    shown = {name: task.spec[name] for name in SHOWN if task.spec.get(name)}
    said = {"title": asked.question, "question": asked.question, "about": asked.about, "key": asked.key,
            "since": asked.since}  # fmt: skip
    return {**said, "show": shown, "who": [], "edit": False, "approved_by": approved_by}


async def _resolve(parts: Parts, question: dict[str, Any], answer: dict[str, Any]) -> None:
    """The person's word on an effect of which nobody knew whether it happened.

    A task keeps its answer when its worker dies; what that worker did upon it the person has not seen.
    """
    outcome: Literal["sent", "failed"] = "sent" if answer.get("decision") == APPROVED else "failed"
    by = str(answer.get("by") or "owner")
    try:
        await parts.effects.resolve(question["key"], outcome, by=by, since=question.get("since"))
    except InvalidRequest:
        pass  # it has become known meanwhile, or is unknown anew, and the act goes by that


def _refused(answer: dict[str, Any]) -> Forbidden:
    by, comment = answer.get("by"), answer.get("comment")
    said = f"rejected by {by}" if by else "rejected"
    return Forbidden(f"{said}: {comment}" if comment else said, code=REJECTED)


async def _approval_before(parts: Parts, task: Task) -> str | None:
    """Who approved in the last approval before this step; None where nobody did, or it was rejected.

    One within an item of a loop counts for the steps of that item alone. None counts where a virtual key began the
    workstream: whoever has it writes the recipe, and so names who decides.
    """
    if task.workstream is None or task.path is None or task.key_id is not None:
        return None
    rows = await parts.database.read(task_rows.of_workstream, task.workstream)
    # Without a try it was kept by a fork: what was approved there may have been another mail.
    before = [each for each in map(from_row, rows) if each.type == "approval" and each.status == "done" and each.tries]
    counting = [each for each in before if task.path.startswith(_item(each.path or ""))]
    last = max(counting, key=lambda each: each.ended or 0.0, default=None)
    result = {} if last is None else last.result or {}
    if result.get("decision") != APPROVED or result.get("timed_out"):
        return None
    return str(result.get("by") or "owner")


def _item(path: str) -> str:
    """The innermost item of a loop that a step is in: "each[3]." of "each[3].ask", "" outside of loops."""
    return path[: path.rfind("].") + 2] if "]." in path else ""


def _failed(parts: Parts, error: ChittyError, spec: dict[str, Any]) -> Outcome:
    if error.code == AWAY:
        return Later(reason="the database was away", until=parts.clock.now() + AWAY_SECONDS)
    return Failed(error=error, again=acts.repeatable(error, spec))
