"""The type `wait`: until a time, or for what an event or a webhook brings."""

from datetime import UTC, datetime

from chittycan.agents.performers.parts import Parts
from chittycan.errors import InvalidRequest
from chittycan.workstreams.task import Done, Later, Outcome, Task


async def perform(parts: Parts, task: Task) -> Outcome:
    """`result`: `json`, what the event or the webhook brought, and `at`, when the waiting ended (Unix seconds).

    For news it waits until its deadline at most. Raises InvalidRequest where the spec names nothing to wait for.
    """
    spec, now = task.spec, parts.clock.now()
    if task.answer is not None:
        return Done(result={"json": task.answer.get("json"), "at": task.answer.get("at", now)})
    if (until := spec.get("until")) is not None:
        if now >= until:
            return Done(result={"json": None, "at": now})
        return Later(reason=f"{datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC", until=until)
    if event := spec.get("event"):
        return Later(reason=f"the event {event!r}", until=task.deadline)
    if spec.get("webhook"):
        return Later(reason="somebody to post to its webhook", until=task.deadline)
    raise InvalidRequest("there is nothing to wait for: name a time, an event or a webhook", param="spec")
