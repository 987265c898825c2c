"""What is told to the world when something ends or asks a person, and the tasks that tell it. Pure.

OpenAI's own events (`batch.*`, `response.*`) name the thing and its clients fetch it; ours also say how it went. Never
what was asked or answered, unless whoever submitted it wants that: `"webhook": {"url": …, "result": true}`. Of what is
private nothing is told but that it has ended: who may see it fetches it.
Source: https://platform.openai.com/docs/api-reference/webhook-events.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from chittycan.workstreams.batch import Batch
from chittycan.workstreams.task import PRIVATE, Task, run_name
from chittycan.workstreams.workstream import Workstream

# Whom the owner wants told of an event of this type: URLs.
Audience = Callable[[str], Collection[str]]

DELIVER = "deliver"  # the type of the tasks that tell
ENDS = {"done": "completed", "failed": "failed", "cancelled": "cancelled"}
ASKS = "task.waiting_for_approval"
RESPONSE_ENDS = ("completed", "failed", "incomplete", "cancelled")
RESULT = ("text", "json", "instead_of")  # of a task's result


class Event(Struct, frozen=True, kw_only=True):
    """What happened to `thing`, at `at` (Unix seconds). `key`: the name of this very event, the same for good.

    `data` is for everyone who is told, `result` only for those who asked for it. `key_id`: whose thing it is.
    """

    type: str
    key: str
    thing: str
    at: float
    data: dict[str, Any]
    result: dict[str, Any] = {}
    key_id: str | None = None
    region: str | None = None  # it is told of by workers of this region alone


def task_ended(task: Task) -> Event | None:
    """`task` as it is at its end; None for one that only tells of others."""
    if task.type == DELIVER:
        return None
    if task.type == "response":
        return _event(task, f"response.{_response_end(task)}", {"id": task.id})
    if task.private:
        result: dict[str, Any] = {"withheld": PRIVATE}
    else:
        result = {name: value for name, value in (task.result or {}).items() if name in RESULT}
    family = "task" if task.workstream is None else "step"
    return _event(task, f"{family}.{ENDS[task.status]}", _about(task), {"result": result or None})


def task_asks(task: Task) -> Event:
    """A person has to decide, whether it is a step or not."""
    return _event(task, ASKS, _about(task) | {"status": "waiting_for_approval"})


def workstream_ended(stream: Workstream) -> Event:
    """`stream` as it is at its end; it may end again after it was resumed."""
    private = stream.options.private
    error = None if stream.error is None else {"message": PRIVATE if private else stream.error}
    outputs = {"withheld": PRIVATE} if private else stream.outputs
    data = {"id": stream.id, "name": stream.name, "status": stream.status, "error": error,
            "cost_usd": stream.spent_nano / 1e9}  # fmt: skip
    return Event(
        type=f"workstream.{ENDS[stream.status]}", key=f"{stream.id}.{stream.options.resumes}", thing=stream.id,
        at=stream.updated, data=data, result={"outputs": outputs}, key_id=stream.key_id,
        region=stream.options.region,
    )  # fmt: skip


def batch_ended(batch: Batch, status: str, now: float) -> Event:
    data = {"id": batch.id}
    return Event(
        type=f"batch.{status}", key=f"{batch.id}.{status}", thing=batch.id, at=now, data=data, key_id=batch.key_id,
        region=batch.region,
    )  # fmt: skip


def deliveries(
    event: Event, own: dict[str, Any] | None, audience: Audience, also: Sequence[str] = ()
) -> Iterator[Task]:
    """The tasks that tell it: to the thing's own webhook, to whom the owner wants told, and `also` to these addresses;
    each address once.

    Those of the owner are the owner's, so that nobody with a key can cancel them.
    """
    places = list(dict.fromkeys((*audience(event.type), *also)))
    asked = None if own is None else own["url"]
    whole = event.data | (event.result if own is not None and own.get("result") else {})
    if asked is not None and asked not in places:
        yield _delivery(event, 0, asked, whole, event.key_id)
    for number, url in enumerate(places, start=1):
        yield _delivery(event, number, url, whole if url == asked else event.data, None)


def _delivery(event: Event, number: int, url: str, data: dict[str, Any], key_id: str | None) -> Task:
    host = urlsplit(url).hostname or "nobody"  # its path may be a secret
    return Task(
        id=f"{event.key}.webhook.{number}", type=DELIVER, title=f"tell {host}: {event.type} of {event.thing}",
        spec={"to": {"url": url}, "event": {"type": event.type, "data": data}},
        key_id=key_id, created=event.at, updated=event.at, since=event.at,
        options={} if event.region is None else {"region": event.region},
    )  # fmt: skip


def _event(task: Task, type: str, data: dict[str, Any], result: dict[str, Any] | None = None) -> Event:
    return Event(
        type=type, key=run_name(task.id, task.run), thing=task.id, at=task.updated, data=data, result=result or {},
        key_id=task.key_id, region=task.region,
    )  # fmt: skip


def _about(task: Task) -> dict[str, Any]:
    step = {} if task.workstream is None else {"workstream": task.workstream, "path": task.path}
    title, error = task.title, task.error
    # Whether a mail is private is known for sure only once it is done.
    if task.private or (task.type == "mail" and task.status != "done"):  # both may say what it is about
        title, error = None, None if error is None else {"code": error.get("code"), "message": PRIVATE}
    return {
        "id": task.id, "status": task.status, "type": task.type, "title": title, "kind": task.kind,
        "session": task.session, **step, "model": task.served_by, "error": error,
        "cost_usd": None if task.cost_nano is None else task.cost_nano / 1e9,
    }  # fmt: skip


def _response_end(task: Task) -> str:
    """As OpenAI has it: what is done may be incomplete."""
    said = ((task.result or {}).get("response") or {}).get("status")
    return said if task.status == "done" and said in RESPONSE_ENDS else ENDS[task.status]
