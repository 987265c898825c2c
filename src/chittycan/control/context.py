"""Sessions and their documents. A virtual key reaches its own sessions, the owner all of them.

The ETag of a document is its version: `If-Match` writes only on top of that one, `If-None-Match: *` only where
there is none yet.
"""

import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from chittycan.context.document import Kind
from chittycan.context.labels import Label, Privacy, Trust
from chittycan.control.operation import operation, owns, reach
from chittycan.errors import InvalidRequest

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.context.document import Author, Context

TAG = re.compile(r'(?:W/)?"?([0-9]{1,9})"?')
IF_MATCH = {"if_match": "If-Match"}
IF_MATCH_OR_NONE = {**IF_MATCH, "if_none_match": "If-None-Match"}


class ContextRow(Struct, kw_only=True):
    """A session's document. `labels` by top-level key; what has none is public and inside. Times are Unix seconds,
    `expires_at` null for good. `key`: the name of the virtual key that may use it too."""

    session: str
    version: int
    document: dict[str, Any]
    labels: dict[str, Label]
    created_at: float
    updated_at: float
    expires_at: float | None
    key: str | None

    @property
    def etag(self) -> str:
        return f'"{self.version}"'


class ChangeRow(Struct, kw_only=True):
    """One write: `kind` and `name` say who (a model, a task, a person), `task` is the id of the task it was for.
    `patch` is a merge patch, or with `replaced` the whole new document; `labels` are those that it gave."""

    version: int
    at: float
    kind: Kind
    name: str
    task: str | None
    replaced: bool
    patch: dict[str, Any]
    labels: dict[str, Label]


class SessionRow(Struct, kw_only=True):
    """A session without its document; `size` is that of the document, in bytes."""

    session: str
    version: int
    size: int
    created_at: float
    updated_at: float
    expires_at: float | None
    key: str | None


@operation("GET", "/sessions")
async def listed(network: "Network", caller: "Key | None", *, limit: int = 50) -> list[SessionRow]:
    """The sessions that have a document, last written first."""
    names = await _names(network)
    return [
        SessionRow(
            session=each.session, version=each.version, size=each.size, created_at=each.created,
            updated_at=each.updated, expires_at=each.expires, key=names.get(each.key_id or ""),
        )
        for each in await network.context.list(limit=limit, for_key=reach(caller))
    ]  # fmt: skip


@operation("GET", "/context/{session}")
async def shown(network: "Network", caller: "Key | None", *, session: str) -> ContextRow:
    """A session's document, with its version (the ETag) and labels."""
    return await _row(network, await network.context.retrieve(session, for_key=reach(caller)))


@operation("PUT", "/context/{session}", body="document", headers=IF_MATCH_OR_NONE)
async def stored(
    network: "Network",
    caller: "Key | None",
    *,
    session: str,
    document: dict[str, Any],
    ttl: float | None = None,
    private: list[str] | None = None,
    outside: list[str] | None = None,
    if_match: str | None = None,
    if_none_match: str | None = None,
) -> ContextRow:
    """Puts the body in the place of a session's document. `private` and `outside` name keys to label so.

    `ttl`: seconds that the session outlives each write, 0 for good. 412 where the version is another.
    """
    written = await network.context.store(
        session, document, by=_author(caller), expected_version=_expected(if_match, if_none_match), ttl=ttl,
        labels=_labels(private, outside), for_key=reach(caller),
    )  # fmt: skip
    return await _row(network, written)


@operation("PATCH", "/context/{session}", body="patch", headers=IF_MATCH_OR_NONE)
async def updated(
    network: "Network",
    caller: "Key | None",
    *,
    session: str,
    patch: dict[str, Any],
    ttl: float | None = None,
    private: list[str] | None = None,
    outside: list[str] | None = None,
    if_match: str | None = None,
    if_none_match: str | None = None,
) -> ContextRow:
    """Applies the body, a JSON merge patch (RFC 7396), to a session's document. Parameters as of PUT.

    Without `If-Match` it is applied to the newest document, whoever wrote in between.
    """
    written = await network.context.update(
        session, patch, by=_author(caller), expected_version=_expected(if_match, if_none_match), ttl=ttl,
        labels=_labels(private, outside), for_key=reach(caller),
    )  # fmt: skip
    return await _row(network, written)


@operation("DELETE", "/context/{session}", headers=IF_MATCH)
async def deleted(network: "Network", caller: "Key | None", *, session: str, if_match: str | None = None) -> None:
    """Removes a session's document and its history."""
    await network.context.delete(session, expected_version=_expected(if_match, None), for_key=reach(caller))


@operation("GET", "/context/{session}/history")
async def history(network: "Network", caller: "Key | None", *, session: str, limit: int = 50) -> list[ChangeRow]:
    """Who wrote what into a session's document, newest first."""
    return [
        ChangeRow(
            version=each.version, at=each.at, kind=each.by.kind, name=each.by.name, task=each.by.task,
            replaced=each.replaced, patch=each.patch, labels=each.labels,
        )
        for each in await network.context.history(session, limit=limit, for_key=reach(caller))
    ]  # fmt: skip


@operation("PUT", "/context/{session}/labels", owner=True)
async def label(
    network: "Network",
    caller: "Key | None",
    *,
    session: str,
    key: str,
    privacy: Privacy | None = None,
    trust: Trust | None = None,
) -> ContextRow:
    """Sets the labels of one top-level key: the only way to lower them. What is not given stays."""
    labelled = await network.context.label(session, key, by=_author(caller), privacy=privacy, trust=trust)
    return await _row(network, labelled)


@operation("PUT", "/context/{session}/key", owner=True)
async def shared(network: "Network", caller: "Key | None", *, session: str, key: str | None = None) -> ContextRow:
    """Lets one virtual key (its name or id) use a session beside the owner; without `key` none may."""
    found = None
    if key is not None:
        found = next((each for each in await network.keys.list() if key in (each.id, each.name)), None)
        if found is None:
            raise InvalidRequest(f"There is no key '{key}'.", param="key", fix="`can keys list` shows them.")
    await network.context.hand_over(session, found.id if found is not None else None)
    return await _row(network, await network.context.retrieve(session))


def _author(caller: "Key | None") -> "Author":
    from chittycan.context.document import OWNER, Author

    return OWNER if owns(caller) or caller is None else Author("person", caller.name)


def _labels(private: list[str] | None, outside: list[str] | None) -> dict[str, Label]:
    names = {*(private or ()), *(outside or ())}
    return {
        name: Label(
            "private" if name in (private or ()) else "public", "outside" if name in (outside or ()) else "inside"
        )
        for name in names
    }


def _expected(if_match: str | None, if_none_match: str | None) -> int | None:
    """The version that both headers ask for. Raises InvalidRequest where they say no version."""
    from chittycan.context.sessions import ABSENT, ANY_VERSION

    if if_none_match is not None:
        if if_none_match.strip() != "*" or if_match is not None:
            raise InvalidRequest(
                "`If-None-Match` of a write can only be *, and stands alone.", param="If-None-Match",
                fix='To write on top of a version, send If-Match: "VERSION".',
            )  # fmt: skip
        return ABSENT
    if if_match is None:
        return None
    if if_match.strip() == "*":
        return ANY_VERSION
    found = TAG.fullmatch(if_match.strip())
    if found is None:
        raise InvalidRequest("`If-Match` must be one ETag of this document.", param="If-Match", fix='Such as "3".')
    return int(found[1])


async def _names(network: "Network") -> dict[str, str]:
    return {key.id: key.name for key in await network.keys.list()}


async def _row(network: "Network", context: "Context") -> ContextRow:
    key = (await _names(network)).get(context.key_id) if context.key_id is not None else None
    return ContextRow(
        session=context.session, version=context.version, document=context.document, labels=context.labels,
        created_at=context.created_at, updated_at=context.updated_at, expires_at=context.expires_at, key=key,
    )  # fmt: skip
