"""The type `approval`: a person decides."""

from typing import Any

from chittycan.agents.performers.parts import Parts
from chittycan.workstreams.task import Ask, Done, Outcome, Task

TIMED_OUT = "timed_out"
ON_TIMEOUT = {"approve": "approved", "reject": "rejected"}


async def perform(parts: Parts, task: Task) -> Outcome:
    """Asks, until somebody has decided or `until` has passed; then `on_timeout` decides.

    The question has `title`, `show`, `who` and `edit` as the spec has them. `result`: `decision` (approved or
    rejected), `by`, `comment` and `values`; and `timed_out` where nobody decided.
    """
    spec, answer = task.spec, task.answer
    shown: dict[str, Any] = spec.get("show") or {}
    if answer is not None and answer.get("decision") in ON_TIMEOUT.values():
        said = {name: answer.get(name) for name in ("decision", "by", "comment")}
        return Done(result={**said, "values": {**shown, **(answer.get("values") or {})}})
    until = spec.get("until")
    if until is not None and parts.clock.now() >= until:
        decision = ON_TIMEOUT[spec.get("on_timeout") or "reject"]
        comment = "nobody decided in time"
        return Done(result={"decision": decision, "by": None, "comment": comment, "values": shown, TIMED_OUT: True})
    title = str(spec.get("title") or task.title or "Approve?")
    question = {"title": title, "show": shown, "who": spec.get("who") or [], "edit": bool(spec.get("edit"))}
    return Ask(question=question, until=until, reason=f"a person's decision: {title}")
