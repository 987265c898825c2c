"""Drafts over HTTP: the owner alone decides, and on exactly what was shown."""

import base64
import email
from email import policy
from email.message import EmailMessage
from typing import Any

import pytest

from chittycan.agents.kept import new_mail
from chittycan.config import settings_from
from chittycan.integrations.email.message import parse
from chittycan.integrations.email.sources import RawMail
from chittycan.store import drafts, inbox
from chittycan.store.drafts import Draft
from peers import Inbox, MailPeer
from serving import Serve, Served

MAIL = b"From: Ann <ann@bell.example>\r\nMessage-ID: <1@bell.example>\r\nSubject: Hi\r\n\r\nHello.\r\n"


def owner(served: Served) -> dict[str, str]:
    return {"authorization": f"Bearer {(served.network.data / 'admin.key').read_text().strip()}"}


def read(raw: bytes | str | None) -> EmailMessage:
    message = email.message_from_bytes(bytes(raw or b""), policy=policy.default)  # type: ignore[arg-type]
    assert isinstance(message, EmailMessage)
    return message


@pytest.fixture
def peer() -> Inbox:
    return Inbox()


@pytest.fixture
async def served(serve: Serve, mail_peer: MailPeer, peer: Inbox) -> Served:
    """A server with one draft, `re-1`, and a mail server that would take it."""
    found = await serve({})
    smtp = {"host": "127.0.0.1", "port": await mail_peer(peer), "security": "none", "from": "us@firm.example"}
    settings = found.network.settings
    found.network.settings = settings_from({"smtp": smtp}, {}, settings.folder)
    database = found.network.database
    stored, _ = await database.run(inbox.add, new_mail(RawMail("folder:/x", "1", b""), parse(MAIL)), 1.0)
    draft = Draft(
        id="re-1", mail_id=stored.id, idempotency_key="k", recipients='[{"name":"Ann","address":"ann@bell.example"}]',
        subject="Re: Hi", body="Hi.", in_reply_to="<1@bell.example>", thread='["<1@bell.example>"]',
        template="standard", warnings="[]", by_model=None, created=1.0, changed=1.0,
    )  # fmt: skip
    await database.run(drafts.create, draft)
    return found


async def test_the_owner_approves_what_was_shown_and_sends_it(served: Served, peer: Inbox) -> None:
    me = owner(served)
    seen = (await served.fetch("GET", "/api/v1/drafts/re-1", headers=me)).json
    assert (seen["state"], seen["sender"], seen["to"]) == ("draft", "us@firm.example", ["Ann <ann@bell.example>"])
    edited = await served.fetch("PATCH", "/api/v1/drafts/re-1", {"body": "Hello Ann."}, headers=me)
    assert (edited.json["edited"], edited.json["body"]) == (True, "Hello Ann.\n")

    stale = await served.fetch("POST", "/api/v1/drafts/re-1/approve", {"hash": seen["hash"], "send": True}, headers=me)
    assert (stale.status, stale.json["error"]["code"]) == (412, "version_conflict")
    now = {"hash": edited.json["hash"], "send": True}
    sent = await served.fetch("POST", "/api/v1/drafts/re-1/approve", now, headers=me)
    assert (sent.status, sent.json["state"], sent.json["answer"]) == (200, "sent", "250 queued as 7")
    assert len(peer.received) == 1
    rejected = await served.fetch("POST", "/api/v1/drafts/re-1/reject", {}, headers=me)
    assert rejected.status == 400


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None), ("GET", "/re-1", None), ("PATCH", "/re-1", {"body": "x"}), ("POST", "/re-1/approve", {}),
        ("POST", "/re-1/send", {}), ("POST", "/re-1/reject", {}), ("POST", "/re-1/resolve", {"outcome": "not-sent"}),
        ("POST", "/acknowledge", {}),
    ],
)  # fmt: skip
async def test_a_key_neither_sees_nor_sends_a_draft(
    method: str, path: str, body: dict[str, Any] | None, served: Served, peer: Inbox
) -> None:
    made = await served.fetch("POST", "/api/v1/keys", {"name": "laptop"}, headers=owner(served))
    key = {"authorization": f"Bearer {made.json['key']}"}
    said = await served.fetch(method, f"/api/v1/drafts{path}", body, headers=key)
    assert said.status == 403
    nobody = await served.fetch(method, f"/api/v1/drafts{path}", body)
    assert nobody.status == 401
    (draft,) = await served.network.database.read(drafts.listing)
    assert (draft.state, draft.body, peer.received) == ("draft", "Hi.", [])


async def test_templates_are_kept_and_forgotten_by_the_owner(served: Served) -> None:
    me = owner(served)
    made = await served.fetch("POST", "/api/v1/templates", {"name": "short", "text": "{{body}} {{case}}"}, headers=me)
    assert made.status == 201
    assert made.json["warnings"] == ["{{case}} is nothing that drafts know: name, body, signature"]
    words = {"variables": {"body": "Yes."}}
    lacking = await served.fetch("POST", "/api/v1/templates/short/render", words, headers=me)
    assert (lacking.status, lacking.json["error"]["param"]) == (400, "case")
    assert (await served.fetch("DELETE", "/api/v1/templates/short", headers=me)).status == 200
    assert (await served.fetch("GET", "/api/v1/templates/short", headers=me)).status == 404


async def test_a_file_goes_along_as_it_was_seen(served: Served, peer: Inbox) -> None:
    me = owner(served)
    data = base64.b64encode(b"%PDF-1.7 \x00\xff").decode()
    file = {"attach": [{"name": "offer.pdf", "data": data}]}
    edited = (await served.fetch("PATCH", "/api/v1/drafts/re-1", file, headers=me)).json
    (attached,) = edited["attachments"]
    assert (attached["name"], attached["media_type"], attached["size"]) == ("offer.pdf", "application/pdf", 11)
    now = {"hash": edited["hash"], "send": True}
    assert (await served.fetch("POST", "/api/v1/drafts/re-1/approve", now, headers=me)).json["state"] == "sent"
    (part,) = read(peer.received[0].original_content).iter_attachments()
    assert (part.get_filename(), part.get_content()) == ("offer.pdf", b"%PDF-1.7 \x00\xff")


@pytest.mark.parametrize(
    "odd", [{"name": "a"}, {"name": "a", "data": "not base64!"}, {"data": ""}, {"name": "", "data": ""}]
)
async def test_a_file_that_is_none_is_refused(served: Served, odd: dict[str, str]) -> None:
    refused = await served.fetch("PATCH", "/api/v1/drafts/re-1", {"attach": [odd]}, headers=owner(served))
    assert (refused.status, refused.json["error"]["param"]) == (400, "attach")
