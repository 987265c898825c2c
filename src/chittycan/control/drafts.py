"""Drafts: replies that wait for a person."""

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from chittycan.control.operation import operation
from chittycan.errors import InvalidRequest

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.store.drafts import Draft


class DraftRow(Struct, kw_only=True):
    """One draft. `model` is null where a template's fixed text was used; `warnings` is what to look at twice."""

    id: str
    mail: str
    state: str
    to: list[str]
    subject: str
    body: str
    template: str
    model: str | None
    warnings: list[str]
    in_reply_to: str | None
    created: float
    changed: float


@operation("GET", "/drafts", owner=True)
async def listed(
    network: "Network", caller: "Key | None", *, state: str | None = None, limit: int = 50
) -> list[DraftRow]:
    """Drafts, newest first; with `state` only those (draft, approved, sent, …)."""
    from chittycan.store import drafts

    if state is not None and state not in drafts.TRANSITIONS:
        raise InvalidRequest(f"no state {state!r}", param="state", fix=f"Use one of: {', '.join(drafts.TRANSITIONS)}.")
    return [_row(draft) for draft in await network.database.read(drafts.listing, state=state, limit=max(0, limit))]


@operation("GET", "/drafts/{draft}", owner=True)
async def shown(network: "Network", caller: "Key | None", *, draft: str) -> DraftRow:
    """One draft, by its own id or that of the mail it answers; the beginning is enough."""
    from chittycan.store import drafts

    return _row(await network.database.read(drafts.get, draft))


def _row(draft: "Draft") -> DraftRow:
    people = msgspec.json.decode(draft.recipients)
    return DraftRow(
        id=draft.id, mail=draft.mail_id, state=draft.state, subject=draft.subject, body=draft.body,
        to=[f"{each['name']} <{each['address']}>" if each["name"] else each["address"] for each in people],
        template=draft.template, model=draft.by_model, warnings=msgspec.json.decode(draft.warnings),
        in_reply_to=draft.in_reply_to, created=draft.created, changed=draft.changed,
    )  # fmt: skip
