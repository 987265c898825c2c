"""Pure: what a person or program asks for, read as a task. The fields of `Wishes` are those of Python, HTTP and CLI."""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from chittycan.chat import File, Image, Message, Text
from chittycan.context.document import check_session
from chittycan.errors import InvalidRequest, RequestTooLarge
from chittycan.workstreams.durations import moment, seconds
from chittycan.workstreams.task import Task

MOST_PRIORITY = 100
MOST_FILES = 20
MOST_BYTES = 64 << 20  # of all files that come with one submission
ROLES = ("system", "developer", "user", "assistant", "tool")
WEBHOOK_FIELDS = {"url", "result"}
LATEST = 32_503_680_000.0  # the year 3000: a number beyond it is in milliseconds, or a mistake

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
When = str | float  # a duration from now ("24h"), an ISO time with its offset, or Unix seconds


class Wishes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that may be said of a task. Exactly one of `prompt` and `messages` (OpenAI's form) is needed.

    `files`: ids of stored files, or `{"name", "data"}` with the content in base64. `max_cost_usd`: of all tries
    together. `retries`: further tries after a failure; a model that cannot serve now is none. `store`: the key of
    the session's document that gets the result; `recall`: the model is given that document. `facts`: what rules may ask
    of it (branch, repo, author…).
    """

    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    kind: Name | None = None
    model: Name | None = None
    session: Name | None = None
    title: Name | None = None
    priority: Annotated[int, Meta(ge=-MOST_PRIORITY, le=MOST_PRIORITY)] = 0
    at: When | None = None
    deadline: When | None = None
    after: list[str] = []
    files: list[Any] = []
    system: str | None = None
    schema: dict[str, Any] | None = None
    json: bool = False
    max_tokens: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    retries: Annotated[int, Meta(ge=0, le=10)] = 0
    store: Name | None = None
    recall: bool | None = None
    webhook: dict[str, Any] | None = None
    private: bool = False
    region: Name | None = None
    models: list[Name] = []
    max_cost_usd: Annotated[float, Meta(gt=0, le=1e6)] | None = None
    facts: dict[Name, Annotated[str, Meta(max_length=1000)]] = {}
    idempotency_key: Name | None = None


class Attachment(Struct, frozen=True):
    """A file that comes along and is to be stored."""

    name: str
    data: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


class Submission(Struct, frozen=True, kw_only=True):
    """A task to be stored. `files` are still to be put into its `spec`: ids, and contents that come along."""

    task: Task
    after: tuple[str, ...] = ()
    files: tuple[str | Attachment, ...] = ()
    facts: Mapping[str, str] = {}
    idempotency_key: str | None = None

    @property
    def sealed(self) -> Task:
        """The task with its files by their contents, so that the same submission always looks the same."""
        files = [{"id": each} if isinstance(each, str) else {"name": each.name, "sha256": each.digest}
                 for each in self.files]  # fmt: skip
        return with_files(self.task, files)


def with_files(task: Task, files: list[dict[str, Any]]) -> Task:
    """The task that reads these along, each with its `name` and `id`."""
    return msgspec.structs.replace(task, spec={**task.spec, "files": files})


def read(given: Mapping[str, Any], now: float, *, key_id: str | None = None) -> Submission:
    """The submission of these fields of `Wishes`. Raises InvalidRequest that names the field."""
    wishes = _wishes(given)
    messages = _messages(wishes)
    if wishes.session is not None:
        check_session(wishes.session)
    elif wishes.store or wishes.recall:
        name = "store" if wishes.store else "recall"
        raise InvalidRequest(f"`{name}` needs a session.", param="session", fix="Name one: session, --session.")
    cost = None if wishes.max_cost_usd is None else round(wishes.max_cost_usd * 1e9)
    options = {
        "private": wishes.private or None, "region": wishes.region, "models": wishes.models or None,
        "max_cost_nano": cost, "recall": wishes.recall,
    }  # fmt: skip
    spec: dict[str, Any] = {
        "prompt": wishes.prompt or "", "system": None if messages else wishes.system, "files": [],
        "schema": wishes.schema, "json": wishes.json, "max_tokens": wishes.max_tokens,
    }  # fmt: skip
    task = Task(
        id="", title=wishes.title, kind=wishes.kind, model=wishes.model, session=wishes.session, key_id=key_id,
        priority=wishes.priority, spec=spec | {"messages": messages} if messages else spec,
        options={name: value for name, value in options.items() if value is not None},
        at=_time("at", wishes.at, now), deadline=_time("deadline", wishes.deadline, now), budget_nano=cost,
        retries=wishes.retries, store=wishes.store, webhook=wishes.webhook,
    )  # fmt: skip
    if task.deadline is not None and task.deadline <= max(now, task.at or 0):
        raise InvalidRequest("The deadline is before the task could begin.", param="deadline")
    return Submission(
        task=task, after=tuple(dict.fromkeys(wishes.after)), files=_files(wishes.files), facts=wishes.facts,
        idempotency_key=wishes.idempotency_key,
    )  # fmt: skip


def _wishes(given: Mapping[str, Any]) -> Wishes:
    plain = {name: value for name, value in given.items() if value is not None}
    if isinstance(after := plain.get("after"), str):
        plain["after"] = [after]
    if "webhook" in plain:
        plain["webhook"] = checked_webhook(plain["webhook"])
    if isinstance(plain.get("messages"), Sequence) and not isinstance(plain["messages"], str):
        plain["messages"] = [_openai(each) if isinstance(each, Message) else each for each in plain["messages"]]
    for name in ("at", "deadline"):
        if isinstance(when := plain.get(name), datetime):
            plain[name] = when.isoformat()
    for name in ("after", "files", "models"):
        if isinstance(plain.get(name), tuple | set | frozenset):
            plain[name] = list(plain[name])
    unknown = next((name for name in plain if name not in Wishes.__struct_fields__), None)
    if unknown is not None:
        known = ", ".join(Wishes.__struct_fields__)
        raise InvalidRequest(f"A task has no `{unknown}`.", param=unknown, fix=f"It takes: {known}.")
    try:
        return msgspec.convert(plain, Wishes)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at `")
        param = place.rpartition("$.")[2].rstrip("`") or None
        raise InvalidRequest(
            f"`{param}`: {said[:1].lower()}{said[1:]}." if param else f"{said}.", param=param
        ) from None


# what the model is told


def _messages(wishes: Wishes) -> list[dict[str, Any]] | None:
    """None where there is a prompt. Raises InvalidRequest where there is neither, or both."""
    if wishes.messages is None:
        if wishes.prompt is None or not wishes.prompt.strip():
            raise InvalidRequest("There is no prompt.", param="prompt", fix="Say `prompt`, or `messages`.")
        return None
    if wishes.prompt is not None:
        raise InvalidRequest("A task has `prompt` or `messages`, not both.", param="prompt")
    if not wishes.messages:
        raise InvalidRequest("`messages` is empty.", param="messages")
    for number, each in enumerate(wishes.messages):
        _check_message(each, f"messages[{number}]")
    system = [] if wishes.system is None else [{"role": "system", "content": wishes.system}]
    return [*system, *wishes.messages]


def _check_message(message: Mapping[str, Any], place: str) -> None:
    if message.get("role") not in ROLES:
        raise InvalidRequest(f"`{place}.role` must be one of: {', '.join(ROLES)}.", param=f"{place}.role")
    content = message.get("content")
    if content is None and message["role"] == "assistant":
        return
    parts = content if isinstance(content, list) else None
    if not isinstance(content, str) and not (parts and all(isinstance(each, dict) for each in parts)):
        raise InvalidRequest(f"`{place}.content` must be a text or a list of parts.", param=f"{place}.content")


def _openai(message: Message) -> dict[str, Any]:
    """A neutral message in OpenAI's form, in which messages are stored."""
    match message.parts:
        case [Text(text=text)]:
            return {"role": message.role, "content": text}
        case parts:
            return {"role": message.role, "content": [_part(each) for each in parts]}


def _part(part: Any) -> dict[str, Any]:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case File(text=str(text)):
            return {"type": "text", "text": text}
        case File(data=str(data)):
            url = f"data:{part.media_type or 'application/octet-stream'};base64,{data}"
            return {"type": "file", "file": {"filename": part.name or "file", "file_data": url}}
        case Image():
            url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}"
            return {"type": "image_url", "image_url": {"url": url}}
    kind = type(part).__name__
    raise InvalidRequest(f"A task's messages hold texts, images and files, no {kind}.", param="messages")


# times, files, the webhook


def _time(name: str, when: When | None, now: float) -> float | None:
    """Unix seconds."""
    if when is None:
        return None
    if not isinstance(when, str):
        if 0 <= when < LATEST:
            return float(when)
        raise InvalidRequest(f"`{name}` as a number is Unix seconds; {when:g} is none of our time.", param=name)
    try:
        return now + seconds(when)
    except ValueError as duration:
        try:
            return moment(when)
        except ValueError as error:
            looks_like_time = when[:4].isdigit() and "-" in when
            said = str(error if looks_like_time else duration)
            fix = 'A duration like "24h", or a time like "2026-12-01T09:00+01:00".'
            raise InvalidRequest(f"`{name}`: {said}.", param=name, fix=fix) from None


def _files(entries: list[Any]) -> tuple[str | Attachment, ...]:
    if len(entries) > MOST_FILES:
        raise InvalidRequest(f"A task takes at most {MOST_FILES} files.", param="files")
    files = tuple(_file(each, f"files[{number}]") for number, each in enumerate(entries))
    size = sum(len(each.data) for each in files if isinstance(each, Attachment))
    if size > MOST_BYTES:
        raise RequestTooLarge(f"The files have {size:,} bytes together; at most {MOST_BYTES:,} come with a task.",
                              param="files", fix="Upload them first: POST /v1/files.")  # fmt: skip
    return files


def _file(entry: Any, place: str) -> str | Attachment:
    match entry:
        case str(file_id) | {"id": str(file_id)} if file_id.startswith("file-"):
            return file_id
        case {"name": str(name), "data": bytes(data)} if name:
            return Attachment(_base_name(name), data)
        case {"name": str(name), "data": str(text)} if name:
            try:
                return Attachment(_base_name(name), base64.b64decode(text, validate=True))
            except (binascii.Error, ValueError):
                raise InvalidRequest(f"`{place}.data` is not base64.", param=f"{place}.data") from None
    raise InvalidRequest(f"`{place}` is neither a stored file's id nor a file.", param=place,
                         fix='"file-…", or {"name": "contract.pdf", "data": "…base64…"}.')  # fmt: skip


def _base_name(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2][:200] or "file"


def checked_webhook(webhook: Any) -> dict[str, Any] | None:
    """Who is told of an end: `url`, and with `result` true also what came of it. Raises InvalidRequest."""
    if webhook is None:
        return None
    if isinstance(webhook, str):
        webhook = {"url": webhook}
    if not isinstance(webhook, dict):
        raise InvalidRequest(
            "`webhook` is neither an address nor an object.", param="webhook", fix='{"url": "https://…"}'
        )
    unknown = next((name for name in webhook if name not in WEBHOOK_FIELDS), None)
    if unknown is not None:
        raise InvalidRequest(f"A webhook has no `{unknown}`.", param=f"webhook.{unknown}", fix='{"url": "https://…"}')
    url = webhook.get("url")
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        good = parts is not None and parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise InvalidRequest("`webhook.url` must be an http or https address.", param="webhook.url")
    if not isinstance(webhook.get("result", False), bool):
        raise InvalidRequest("`webhook.result` must be true or false.", param="webhook.result")
    return webhook
