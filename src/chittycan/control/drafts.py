"""Drafts: replies that wait for a person, and what became of those that were sent. For the owner alone."""

from base64 import b64decode
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from chittycan.control.operation import operation
from chittycan.errors import InvalidRequest

if TYPE_CHECKING:
    from chittycan.agents.sending import Shown
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.store.drafts import Draft

SEND_SECONDS = 240.0  # a server may take three minutes for a mail
OWNER = "owner"


class AttachedRow(Struct, kw_only=True):
    """A file that goes along. `size` is in bytes."""

    name: str
    media_type: str
    size: int
    sha256: str


class UndeliveredRow(Struct, kw_only=True):
    """Somebody whom a draft did not reach, by the word of the `mail` that came back (in the inbox), at `at`.

    `status`: as in RFC 3463 (5.1.1); `reason`: in the words of a server. Unix seconds.
    """

    recipient: str
    status: str
    reason: str
    mail: str
    at: float


class DraftRow(Struct, kw_only=True):
    """One draft. `model` is null where a template's fixed text was used; `warnings` is what to look at twice.

    `account`: in whose name it goes out. `edited`: a person changed it. `automatic`: an acknowledgement, which no
    person approves. `by` and `decided` (Unix seconds): who approved or rejected it; `reason`: why it was rejected.
    `attachments`: what goes along. `bounced`: whom it did not reach.
    """

    id: str
    mail: str
    state: str
    to: list[str]
    cc: list[str]
    subject: str
    body: str
    template: str
    model: str | None
    warnings: list[str]
    in_reply_to: str | None
    account: str | None
    edited: bool
    automatic: bool
    by: str | None
    decided: float | None
    reason: str | None
    attachments: list[AttachedRow]
    bounced: list[UndeliveredRow]
    created: float
    changed: float


class DraftDetail(DraftRow, kw_only=True):
    """A draft as the mail that would go out, and what is known of its sending.

    `hash`: SHA-256 of exactly that mail; give it to `approve`, and nothing else than what you saw is approved.
    `sender`: the From. `problem` and `fix`: why it cannot be approved as it stands. `answer`: what the server said;
    `error`: what went wrong. `copy`: kept (we put one among the sent mails), there (the server did), none (there is
    no such place), null (not yet). `sent`: when the server took it, Unix seconds.
    """

    hash: str
    sender: str
    references: list[str]
    problem: str | None
    fix: str | None
    message_id: str | None
    sent: float | None
    answer: str | None
    error: str | None
    copy: str | None


class AcknowledgedRow(Struct, kw_only=True):
    """A mail on your list: the acknowledgement's `draft` and `state`, or the `problem` with it."""

    mail: str
    to: str
    rule: str
    draft: str | None
    state: str | None
    problem: str | None


@operation("GET", "/drafts", owner=True)
async def listed(
    network: "Network", caller: "Key | None", *, state: str | None = None, limit: int = 50
) -> list[DraftRow]:
    """Drafts, newest first; with `state` only those (draft, approved, sent, …)."""
    from chittycan.store import drafts

    if state is not None and state not in drafts.TRANSITIONS:
        raise InvalidRequest(f"no state {state!r}", param="state", fix=f"Use one of: {', '.join(drafts.TRANSITIONS)}.")
    found = await network.database.read(drafts.listing, state=state, limit=max(0, limit))
    return [DraftRow(**_row(draft)) for draft in found]


@operation("POST", "/drafts/acknowledge", owner=True, seconds=SEND_SECONDS)
async def acknowledge(network: "Network", caller: "Key | None", *, dry_run: bool = False) -> list[AcknowledgedRow]:
    """Acknowledges new mail of those in `inbox.acknowledge`; with `dry_run` only says to whom one would go."""
    found = await network.outgoing.acknowledge(dry_run=dry_run)
    return [
        AcknowledgedRow(
            mail=each.mail, to=each.to, rule=each.rule, draft=each.draft, state=each.state, problem=each.problem
        )
        for each in found
    ]


@operation("GET", "/drafts/{draft}", owner=True)
async def shown(network: "Network", caller: "Key | None", *, draft: str) -> DraftDetail:
    """One draft, by its own id or that of the mail it answers; the beginning is enough."""
    return _detail(await network.outgoing.sending.show(draft))


@operation("PATCH", "/drafts/{draft}", owner=True)
async def edit(
    network: "Network",
    caller: "Key | None",
    *,
    draft: str,
    body: str | None = None,
    subject: str | None = None,
    to: list[str] | None = None,
    cc: list[str] | None = None,
    everyone: bool = False,
    quote: bool = False,
    attach: list[dict[str, str]] | None = None,
    detach: list[str] | None = None,
    hash: str | None = None,
) -> DraftDetail:
    """Changes what is given; an approval is void then.

    `everyone`: whoever got the mail gets a copy. `quote`: the mail stands below. `attach`: files that go along, as
    {name, data} in base64, at most 20 of 15 MiB in all; `detach`: names of those that do not any more. `hash`: of the
    draft as you saw it.
    """
    from chittycan.agents.sending import Change

    change = Change(
        body=body, subject=subject, to=None if to is None else tuple(to), cc=None if cc is None else tuple(cc),
        everyone=everyone, quote=quote, attach=_enclosed(attach or []),
        detach=tuple(detach or ()),
    )  # fmt: skip
    return _detail(await network.outgoing.sending.edit(draft, change, seen=hash))


@operation("POST", "/drafts/{draft}/approve", owner=True, seconds=SEND_SECONDS)
async def approve(
    network: "Network",
    caller: "Key | None",
    *,
    draft: str,
    hash: str | None = None,
    send: bool = False,
    anyway: bool = False,
) -> DraftDetail:
    """Says that exactly this may go out; with `send` it does. `hash`: of the draft as you saw it.

    `anyway`: it is sent although somebody answered the mail without it; else it stays approved.
    """
    sending = network.outgoing.sending
    approved = await sending.approve(draft, by=_who(caller), seen=hash)
    if send:
        await sending.send(approved.id, anyway=anyway)
    return _detail(await sending.show(approved.id))


@operation("POST", "/drafts/{draft}/reject", owner=True)
async def reject(network: "Network", caller: "Key | None", *, draft: str, reason: str | None = None) -> DraftDetail:
    """Says that it will not go out."""
    sending = network.outgoing.sending
    rejected = await sending.reject(draft, by=_who(caller), reason=reason)
    return _detail(await sending.show(rejected.id))


@operation("POST", "/drafts/{draft}/send", owner=True, seconds=SEND_SECONDS)
async def send(network: "Network", caller: "Key | None", *, draft: str, anyway: bool = False) -> DraftDetail:
    """Sends what was approved, once. Of what was sent already, or may have been, it says what is known.

    `anyway`: although somebody answered the mail without this draft.
    """
    sending = network.outgoing.sending
    return _detail(await sending.show((await sending.send(draft, anyway=anyway)).id))


@operation("POST", "/drafts/{draft}/resolve", owner=True, seconds=SEND_SECONDS)
async def resolve(
    network: "Network", caller: "Key | None", *, draft: str, outcome: Literal["sent", "not-sent"] | None = None
) -> DraftDetail:
    """Finds out whether a draft went out of which that is unknown: from the folder of sent mail, or from your word.

    What you say was `not-sent` may be sent again. Who was wrong says the other: what was `sent` is a draft again then,
    as is what came back.
    """
    sending = network.outgoing.sending
    if outcome is None:
        found = await sending.look((await sending.show(draft)).draft.id)
    else:
        found = await sending.resolve(draft, "sent" if outcome == "sent" else "failed", by=_who(caller))
    return _detail(await sending.show(found.id))


def _enclosed(given: list[dict[str, str]]) -> dict[str, bytes]:
    """Content by name. Raises InvalidRequest."""
    try:
        files = [(each["name"], b64decode(each["data"], validate=True)) for each in given]
    except (KeyError, ValueError):
        problem = "a file is not as it should be given"
        raise InvalidRequest(
            problem, param="attach", fix='Write {"name": …, "data": what it holds, in base64}.'
        ) from None
    named = dict(files)
    if len(named) < len(files):
        raise InvalidRequest("Two of the files have the same name.", param="attach", fix="Give each its own name.")
    return named


def _who(caller: "Key | None") -> str:
    return OWNER if caller is None else caller.name


def _row(draft: "Draft") -> dict[str, Any]:
    bounced = [] if draft.bounced is None else msgspec.json.decode(draft.bounced, type=list[UndeliveredRow])
    attached = msgspec.json.decode(draft.attachments, type=list[AttachedRow])
    return {
        "id": draft.id, "mail": draft.mail_id, "state": draft.state, "subject": draft.subject, "body": draft.body,
        "to": _people(draft.recipients), "cc": _people(draft.cc), "template": draft.template, "model": draft.by_model,
        "warnings": msgspec.json.decode(draft.warnings), "in_reply_to": draft.in_reply_to, "account": draft.account,
        "edited": draft.edited, "automatic": draft.automatic, "by": draft.decided_by, "decided": draft.decided_at,
        "reason": draft.reason, "attachments": attached, "bounced": bounced,
        "created": draft.created, "changed": draft.changed,
    }  # fmt: skip


def _people(written: str) -> list[str]:
    people = msgspec.json.decode(written)
    return [f"{each['name']} <{each['address']}>" if each["name"] else each["address"] for each in people]


def _detail(found: "Shown") -> DraftDetail:
    draft, letter, problem = found.draft, found.letter, found.problem
    known = {} if draft.detail is None else msgspec.json.decode(draft.detail)
    exact = {"subject": letter.subject, "body": letter.text, "warnings": found.cautions}
    return DraftDetail(
        **{**_row(draft), **exact}, hash=found.fingerprint, sender=letter.sender, references=list(letter.references),
        problem=problem.message if problem else None, fix=problem.fix if problem else None, message_id=draft.message_id,
        sent=draft.dispatched if draft.state == "sent" else None, answer=known.get("answer"),
        error=None if draft.state == "sent" else known.get("error"), copy=draft.copy,
    )  # fmt: skip
