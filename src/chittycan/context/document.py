"""A session's context as a value, and what one write makes of it. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct, field

from chittycan.chat import Json
from chittycan.context.labels import UNLABELLED, Label, strictest
from chittycan.context.merge import merge
from chittycan.errors import InvalidRequest

LONGEST_NAME = 200  # characters of a session, an author, a task
DEEPEST = 64  # levels of a document

Kind = Literal["model", "task", "person"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# The newest document (a copy) → the merge patch for it. May be called again: it must change nothing else.
Patching = Callable[[Json], Json]


class Author(Struct, frozen=True):
    """Who writes: `name` is a model's, a task's or a person's (or that of the person's key); `task` is a task's id."""

    kind: Kind
    name: str
    task: str | None = None


OWNER = Author("person", "owner")


class Context(Struct, frozen=True, kw_only=True):
    """A session's document at one version. `labels` and `written` (the version that last wrote it) are by top-level
    key; a key without labels is public and inside. Times are Unix seconds. `key_id`: the virtual key that may use
    it beside the owner."""

    session: str
    version: int
    document: Json
    labels: dict[str, Label]
    written: dict[str, int]
    created_at: float
    updated_at: float
    ttl: float | None = None
    expires_at: float | None = None
    key_id: str | None = None

    @property
    def label(self) -> Label:
        """The strictest of all its values'."""
        return strictest(self.labels.values())


class Change(Struct, frozen=True, kw_only=True):
    """One write. `replaced`: `patch` is the whole new document. `labels` are those given along."""

    version: int
    at: float
    by: Author
    replaced: bool
    patch: Json
    labels: dict[str, Label] = field(default_factory=dict)


class Write(Struct, frozen=True, kw_only=True):
    """What one write brings. `whole`: `patch` is the new document. `ttl`: seconds, 0 for good, None as it was.
    `labels` make stricter, `relabel` sets the words given for one key, whatever they were."""

    by: Author
    patch: Json | Patching
    whole: bool = False
    ttl: float | None = None
    labels: dict[str, Label] = field(default_factory=dict)
    relabel: tuple[str, dict[str, Any]] | None = None

    def check(self) -> None:
        """Raises InvalidRequest for a `ttl` or an author that nobody could mean."""
        if self.by.kind not in KINDS:
            raise InvalidRequest(f"`by.kind` must be one of: {', '.join(KINDS)}.", param="by.kind")
        if self.ttl is not None and not 0 <= self.ttl < 1e11:
            raise InvalidRequest("`ttl` must be seconds, or 0 for good.", param="ttl")
        for name, value in (("by.name", self.by.name), ("by.task", self.by.task)):
            if value is not None and not (0 < len(value) <= LONGEST_NAME and value.isprintable()):
                raise InvalidRequest(f"`{name}` must be 1 to {LONGEST_NAME} printable characters.", param=name)


def check_session(session: str) -> None:
    """Raises InvalidRequest where this cannot be the name of a session."""
    plain = 0 < len(session) <= LONGEST_NAME and session.isprintable() and session == session.strip()
    if not plain or "/" in session or session in (".", ".."):
        raise InvalidRequest(
            f"A session's name is 1 to {LONGEST_NAME} printable characters, without '/' and outer spaces.",
            param="session",
        )


def written(
    session: str, before: Context | None, write: Write, now: float, *, ttl: float | None, key_id: str | None
) -> tuple[Context, Json]:
    """The context after a write, and the patch that led there. `ttl` and `key_id` are those of a new session.

    Raises InvalidRequest.
    """
    current = before.document if before is not None else {}
    patch = write.patch if isinstance(write.patch, dict) else normal(write.patch(current), "patch")
    document = patch if write.whole else merge(current, patch)
    version = before.version + 1 if before is not None else 1
    if before is not None:
        ttl, key_id = before.ttl, before.key_id
    if write.ttl is not None:
        ttl = write.ttl or None
    last = before.written if before is not None else {}
    context = Context(
        session=session, version=version, document=document, ttl=ttl, key_id=key_id,
        labels=_next_labels(document, before.labels if before is not None else {}, write),
        written={key: version if key in patch else last.get(key, version) for key in document},
        created_at=before.created_at if before is not None else now, updated_at=now,
        expires_at=None if ttl is None else now + ttl,
    )  # fmt: skip
    return context, patch


def _next_labels(document: Json, before: dict[str, Label], write: Write) -> dict[str, Label]:
    """Every key's labels: those it had and those given, whichever is stricter."""
    named = {*write.labels, *(write.relabel or ())[:1]}
    missing = next((key for key in sorted(named) if key not in document), None)
    if missing is not None:
        raise InvalidRequest(
            f"`labels.{missing}`: the document has no such key.", param=f"labels.{missing}",
            fix=f"Its keys: {', '.join(sorted(document)[:20]) or 'none'}.",
        )  # fmt: skip
    labels = {
        key: strictest((before.get(key, UNLABELLED), write.labels.get(key, UNLABELLED)))
        for key in document
        if key in before or key in write.labels
    }
    if write.relabel is not None:
        key, words = write.relabel
        labels[key] = msgspec.structs.replace(labels.get(key, UNLABELLED), **words)
    return {key: label for key, label in labels.items() if label != UNLABELLED}


def normal(value: Any, name: str) -> Json:
    """The object as it will be read again. Raises InvalidRequest where it is no JSON object."""
    if not isinstance(value, dict):
        raise InvalidRequest(f"`{name}` must be a JSON object.", param=name)
    try:
        normal: Json = msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise InvalidRequest(f"`{name}` is not JSON: {error}.", param=name) from None
    if _deeper(normal, DEEPEST):
        raise InvalidRequest(f"`{name}` is nested more than {DEEPEST} levels deep.", param=name)
    return normal


def _deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_deeper(each, levels - 1) for each in inner if isinstance(each, dict | list))


def labels_of(given: Mapping[str, Any] | None) -> dict[str, Label]:
    """Labels by top-level key, each a `Label` or a dict of its fields. Raises InvalidRequest."""
    try:
        return msgspec.convert(dict(given or {}), dict[str, Label])
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise InvalidRequest(f"`labels`: {error}.", param="labels") from None
