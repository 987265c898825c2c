"""What tasks do to the world outside: with a person's word where nobody knows, and once where it must be once."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from bare_http import Json
from chittycan.errors import Forbidden, NotDelivered
from chittycan.integrations.webhooks import RETRIES, verify
from chittycan.workstreams.task import Ask, Done, Failed, Later, Outcome, Task
from peers import HttpPeer, Inbox, MailPeer, Peer
from performing import MakeOffice, Office

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OK, BROKEN = b"HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\n{}", b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n"
YES, NO = {"decision": "approved", "by": "anna"}, {"decision": "rejected", "by": "anna"}


async def reaching(office: MakeOffice, peer: Peer) -> Office:
    return await office(outbound={"allow": [f"127.0.0.1:{peer.port}"], "webhookSecret": SECRET})


async def mailing(office: MakeOffice, port: int, *allow: str) -> Office:
    smtp = {"host": "127.0.0.1", "port": port, "security": "none", "from": "office@example.com", "allow": list(allow)}
    return await office(smtp=smtp)


async def answered(made: Office, type: str, spec: Json, asked: Outcome, answer: Json, **fields: Any) -> Outcome:
    assert isinstance(asked, Ask), asked
    return await made.perform(type, spec=spec, question=asked.question, answer=answer, **fields)


# call


async def test_a_call_gives_what_the_server_said(office: MakeOffice, http_peer: HttpPeer) -> None:
    peer = await http_peer(OK)
    outcome = await (await reaching(office, peer)).perform("call", spec={"url": peer.url, "json": {"n": 1}})
    assert isinstance(outcome, Done)
    assert (outcome.result["code"], outcome.result["json"]) == (200, {})
    assert b"idempotency-key: task_1" in peer.requests[0]


async def test_a_call_that_failed_may_be_tried_again_and_one_to_a_strange_host_not(
    office: MakeOffice, http_peer: HttpPeer
) -> None:
    peer = await http_peer(BROKEN)
    made = await reaching(office, peer)
    outcome = await made.perform("call", spec={"url": peer.url})
    assert isinstance(outcome, Failed)
    assert outcome.again
    strange = await made.perform("call", spec={"url": "https://elsewhere.example/"})
    assert isinstance(strange, Failed)
    assert isinstance(strange.error, Forbidden)
    assert not strange.again


async def test_of_a_call_that_nobody_knows_of_a_person_says_what_happened(
    office: MakeOffice, http_peer: HttpPeer
) -> None:
    peer = await http_peer(BROKEN, OK)
    made = await reaching(office, peer)
    spec = {"url": peer.url, "json": {}, "once": True}
    asked = await made.perform("call", spec=spec)
    assert isinstance(asked, Ask)
    assert asked.question["show"] == {"url": peer.url}
    assert (await made.perform("call", spec=spec)) == asked  # nothing is repeated meanwhile
    done = await answered(made, "call", spec, asked, NO)
    assert isinstance(done, Done)
    assert len(peer.requests) == 2
    effect = await made.parts.effects.get("task_1")
    assert effect.state == "sent"


async def test_what_did_happen_is_not_repeated(office: MakeOffice, http_peer: HttpPeer) -> None:
    peer = await http_peer(BROKEN)
    made = await reaching(office, peer)
    spec = {"url": peer.url, "json": {}, "once": True}
    asked = await made.perform("call", spec=spec)
    for _ in range(2):  # an answer that is performed twice says the same
        done = await answered(made, "call", spec, asked, YES)
        assert isinstance(done, Done)
        assert done.result["resolved_by"] == "anna"
    assert len(peer.requests) == 1


# send

MAIL: Json = {"to": "client@else.example", "subject": "Hello", "body": "Dear client", "in_reply_to": None}


async def test_a_mail_to_whom_the_owner_allows_goes_out_once(office: MakeOffice, mail_peer: MailPeer) -> None:
    inbox = Inbox()
    made = await mailing(office, await mail_peer(inbox), "else.example")
    for _ in range(2):
        outcome = await made.perform("send", spec=MAIL)
        assert isinstance(outcome, Done)
        assert outcome.result["state"] == "sent"
    (envelope,) = inbox.received
    assert b"Auto-Submitted" in (envelope.content or b"")


async def test_a_mail_to_anyone_else_asks_first(office: MakeOffice, mail_peer: MailPeer) -> None:
    inbox = Inbox()
    made = await mailing(office, await mail_peer(inbox))
    asked = await made.perform("send", spec=MAIL)
    assert isinstance(asked, Ask)
    assert (asked.question["show"]["body"], inbox.received) == ("Dear client", [])
    refused = await answered(made, "send", MAIL, asked, NO)
    assert isinstance(refused, Failed)
    assert (refused.error.message, refused.again) == ("rejected by anna", False)
    assert isinstance(await answered(made, "send", MAIL, asked, YES), Done)
    assert b"Auto-Submitted" not in (inbox.received[0].content or b"")


async def test_an_approval_survives_the_question_after_it(office: MakeOffice, mail_peer: MailPeer) -> None:
    """The server breaks off after the text: nobody knows. A person looked: it did not go out. It is sent then."""
    inbox = Inbox(drop=True)
    made = await mailing(office, await mail_peer(inbox))
    first = await made.perform("send", spec=MAIL)
    second = await answered(made, "send", MAIL, first, YES)
    assert isinstance(second, Ask)
    assert (second.question["about"], second.question["approved_by"]) == ("happened", "anna")
    inbox.actions.clear()
    assert isinstance(await answered(made, "send", MAIL, second, NO), Done)
    assert len(inbox.received) == 2


async def test_what_a_person_said_of_one_try_holds_for_no_later_one(office: MakeOffice, mail_peer: MailPeer) -> None:
    """Of the second try nobody knows either; and a worker that dies then leaves the task with its old answer."""
    inbox = Inbox(drop=True)
    made = await mailing(office, await mail_peer(inbox), "*")
    asked = await made.perform("send", spec=MAIL)
    again = await answered(made, "send", MAIL, asked, NO)
    assert isinstance(again, Ask)
    assert again != asked
    assert await answered(made, "send", MAIL, asked, NO) == again
    assert len(inbox.received) == 2


def approval(path: str, decision: str = "approved", ended: float = 1.0, **more: Any) -> Task:
    result = {"decision": decision, "by": "anna", **more}
    return Task(
        id=f"ws.{path}", type="approval", workstream="ws", path=path, status="done", ended=ended, result=result, tries=1
    )


@pytest.mark.parametrize(
    ("approvals", "path", "sent"),
    [
        ([approval("ok")], "mail", True),
        ([approval("ok")], "each[1].mail", True),
        ([approval("each[1].ok")], "each[1].mail", True),
        ([approval("each[0].ok")], "each[1].mail", False),
        ([approval("each[1].ok")], "mail", False),
        ([approval("ok", "rejected")], "mail", False),
        ([approval("ok"), approval("no", "rejected", 2.0)], "mail", False),
        ([approval("ok", timed_out=True)], "mail", False),
        ([], "mail", False),
    ],
)
async def test_an_approval_before_it_in_the_workstream_counts(
    office: MakeOffice, mail_peer: MailPeer, approvals: list[Task], path: str, sent: bool
) -> None:
    inbox = Inbox()
    made = await mailing(office, await mail_peer(inbox))
    await made.stored(*approvals)
    outcome = await made.perform("send", spec=MAIL, workstream="ws", path=path)
    assert isinstance(outcome, Done if sent else Ask)
    assert len(inbox.received) == sent


@pytest.mark.parametrize(("kept", "key"), [(True, None), (False, "key_a")])
async def test_an_approval_that_a_fork_kept_or_a_key_asked_for_does_not_count(
    office: MakeOffice, mail_peer: MailPeer, kept: bool, key: str | None
) -> None:
    """It was kept by a fork, or a virtual key began the workstream: its recipe says who decides."""
    made = await mailing(office, await mail_peer(Inbox()))
    await made.stored(replace(approval("ok"), tries=0 if kept else 1, key_id=key))
    asked = await made.perform("send", spec=MAIL, workstream="ws", path="mail", key_id=key)
    assert isinstance(asked, Ask)
    assert asked.question["who"] == []  # the owner alone


# deliver


async def test_a_webhook_is_told_what_happened(office: MakeOffice, http_peer: HttpPeer) -> None:
    peer = await http_peer(OK)
    made = await reaching(office, peer)
    spec = {"to": {"url": peer.url}, "event": {"type": "task.completed", "data": {"id": "task_0", "status": "done"}}}
    outcome = await made.perform("deliver", spec=spec, created=1_700_000_000.0, id="task_0.1.webhook.0")
    assert isinstance(outcome, Done)
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert verify([SECRET], headers, body, now=made.network.clock.now()) == "task_0.1.webhook.0"
    event = json.loads(body)
    assert (event["type"], event["created_at"]) == ("task.completed", 1_700_000_000)
    assert event["data"] == {"id": "task_0", "status": "done"}


async def test_one_that_does_not_arrive_is_tried_again_later_and_later_and_once_is_the_last(
    office: MakeOffice, http_peer: HttpPeer
) -> None:
    peer = await http_peer(BROKEN)
    made = await reaching(office, peer)
    spec = {"to": {"url": peer.url}, "event": {"type": "task.failed", "data": {"id": "task_0"}}}
    for tries, pause in enumerate(RETRIES, start=1):
        before = made.network.clock.now()
        outcome = await made.perform("deliver", spec=spec, tries=tries)
        assert isinstance(outcome, Later)
        assert before + pause <= (outcome.until or 0) <= made.network.clock.now() + pause
    last = await made.perform("deliver", spec=spec, tries=len(RETRIES) + 1)
    assert isinstance(last, Failed)
    assert isinstance(last.error, NotDelivered)
    assert not last.again


async def test_a_delivery_that_cannot_be_is_a_failure(office: MakeOffice, http_peer: HttpPeer) -> None:
    made = await reaching(office, await http_peer())
    for spec in ({}, {"to": {"url": "http://127.0.0.1:1/"}, "event": {"type": "task.failed", "data": {}}}):
        outcome = await made.perform("deliver", spec=spec or {"x": 1})
        assert isinstance(outcome, Failed)
        assert not outcome.again


# what is private


async def test_private_text_is_mailed_to_the_allowed_too_only_after_a_persons_word(
    office: MakeOffice, mail_peer: MailPeer
) -> None:
    inbox = Inbox()
    made = await mailing(office, await mail_peer(inbox), "else.example")
    private = {"options": {"private": True}}
    asked = await made.perform("send", spec=MAIL, **private)
    assert isinstance(asked, Ask)
    assert (asked.question["show"]["body"], inbox.received) == ("Dear client", [])
    assert isinstance(await answered(made, "send", MAIL, asked, NO, **private), Failed)
    assert isinstance(await answered(made, "send", MAIL, asked, YES, **private), Done)
    assert len(inbox.received) == 1


async def test_private_work_leaves_the_house_only_after_a_persons_word(office: MakeOffice) -> None:
    made = await office(outbound={"allow": ["*"]})
    spec = {"url": "https://elsewhere.invalid/in?q=1", "json": {"text": "secret"}}
    asked = await made.perform("call", spec=spec, model="private")
    assert isinstance(asked, Ask)
    assert asked.question["show"] == spec
    assert "elsewhere.invalid" in asked.reason
    refused = await answered(made, "call", spec, asked, NO, model="private")
    assert isinstance(refused, Failed)
    tried = await answered(made, "call", spec, asked, YES, model="private")
    assert isinstance(tried, Failed)
    assert isinstance(tried.error, NotDelivered)  # it was let out, and there is no such host


async def test_within_the_house_private_work_needs_nobodys_word(office: MakeOffice, http_peer: HttpPeer) -> None:
    peer = await http_peer(OK)
    made = await reaching(office, peer)
    assert isinstance(await made.perform("call", spec={"url": peer.url}, options={"private": True}), Done)


async def test_an_approval_before_it_counts_for_private_work(office: MakeOffice) -> None:
    made = await office(outbound={"allow": ["*"]})
    approval = Task(
        id="ws_1.ok", type="approval", workstream="ws_1", path="ok", status="done", tries=1, ended=1.0,
        result={"decision": "approved", "by": "anna"},
    )  # fmt: skip
    await made.stored(approval)
    outcome = await made.perform(
        "call", spec={"url": "https://elsewhere.invalid/"}, options={"private": True}, workstream="ws_1", path="tell"
    )
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, NotDelivered)
