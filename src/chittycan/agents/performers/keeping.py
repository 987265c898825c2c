"""The result of a task in its session's document, under the key that the task names as `store`."""

from typing import Any

from chittycan.agents.performers.parts import Parts
from chittycan.chat import Json
from chittycan.context.document import LONGEST_NAME, Author
from chittycan.context.labels import Label
from chittycan.errors import Unavailable
from chittycan.workstreams.task import Task

AWAY_SECONDS = (0.5, 2.0, 5.0)  # between tries while the database is away; the last one for ever
READ_FROM_OUTSIDE = ("files", "file", "mail")  # fields of a spec


async def keep(parts: Parts, task: Task, result: dict[str, Any]) -> None:
    """Stores the result: its JSON where there is any, else its text, else all of it. The same again changes nothing.

    Raises Forbidden where the session is another key's, RequestTooLarge.
    """
    if task.store is None or task.session is None:
        return
    key, value = task.store, kept(result)
    # As the document's author a task goes by what people call it.
    name = (task.title or task.path or task.type)[:LONGEST_NAME]
    author = Author("task", name if name.isprintable() else task.type, task.id)

    def patching(document: Json) -> Json:
        return {} if document.get(key) == value else {key: replacing(document.get(key), value)}

    tries = 0
    while True:
        try:
            await parts.sessions.change(
                task.session, patching, by=author, labels={key: label_of(task, result)}, for_key=task.key_id
            )
        except Unavailable:  # the answer is paid for: it must not be lost because the database restarts
            await parts.clock.sleep(AWAY_SECONDS[min(tries, len(AWAY_SECONDS) - 1)])
            tries += 1
        else:
            return


def kept(result: dict[str, Any]) -> Any:
    if result.get("json") is not None:
        return result["json"]
    text = result.get("text")
    return text if isinstance(text, str) else result


def label_of(task: Task, result: dict[str, Any]) -> Label:
    """Private where the work was; from outside where it read what strangers wrote, or a stranger answered."""
    outside = task.type in ("call", "wait") or any(task.spec.get(name) for name in READ_FROM_OUTSIDE)
    private = task.private or result.get("label") == "private"
    return Label("private" if private else "public", "outside" if outside else "inside")


def replacing(old: Any, new: Any) -> Any:
    """The merge patch (RFC 7396) that makes `old` into `new`: what `new` does not have goes."""
    if not isinstance(new, dict) or not isinstance(old, dict):
        return new
    gone = {name: None for name in old if name not in new}
    return gone | {name: replacing(old.get(name), value) for name, value in new.items()}
