"""Steps that act on the world outside: calls, mails and webhooks against real servers on this machine."""

from collections.abc import Callable
from typing import Any

import pytest

from chittycan.agents.acts import Acted, Acts, Ask, Later, repeatable
from chittycan.errors import (
    ChittyError,
    ConfigError,
    DeliveryUnknown,
    Forbidden,
    InvalidRequest,
    NotDelivered,
    Unavailable,
)
from chittycan.integrations.email.smtp import Mailer, Server
from chittycan.integrations.outbound import Outbound
from chittycan.integrations.targets import AllowList
from chittycan.integrations.webhooks import RETRIES, verify
from chittycan.store.database import Database
from chittycan.testing import FakeClock
from chittycan.workstreams.effects import Effects
from peers import Behaviour, HttpPeer, Inbox, MailPeer, Peer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Doors:
    """Ways out that lead to the test's own servers."""

    def __init__(self, http: Peer | None = None, mail: int | None = None, allow: tuple[str, ...] = ()) -> None:
        self.outbound = Outbound(AllowList([f"127.0.0.1:{http.port}"] if http else []))
        self._mail, self._allow = mail, allow

    @property
    def mailer(self) -> Mailer:
        if self._mail is None:
            raise ConfigError("no mail server is set up", file="config.json", key="smtp")
        server = Server(
            host="127.0.0.1", port=self._mail, security="none", sender="office@example.com", allow=self._allow
        )
        return Mailer(server)

    def toward(self, _url: str) -> Outbound:
        return self.outbound

    def webhook_secrets(self, _url: str) -> tuple[str, ...]:
        return (SECRET,)


Make = Callable[[Doors], Acts]


@pytest.fixture
def effects(sqlite: Database, clock: FakeClock) -> Effects:
    return Effects(sqlite, owner="one", clock=clock)


@pytest.fixture
def acts(effects: Effects, clock: FakeClock) -> Make:
    return lambda doors: Acts(effects, doors, clock)


def says(status: int, body: bytes = b"", *headers: bytes) -> bytes:
    head = [b"HTTP/1.1 %d X" % status, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


async def gone(_reader: Any, writer: Any) -> None:
    writer.transport.abort()


# call


async def test_a_call_gives_the_step_what_the_server_said(acts: Make, http_peer: HttpPeer) -> None:
    peer = await http_peer(says(201, b'{"order": 7}'))
    spec = {"url": peer.url, "method": "POST", "headers": {"x-a": "b"}, "json": {"n": [1]}, "once": False}
    done = await acts(Doors(peer)).call(spec, "w1.order")
    assert done == Acted({"code": 201, "text": '{"order": 7}', "json": {"order": 7}, "truncated": False})
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert body == b'{"n":[1]}'
    assert {b"idempotency-key: w1.order", b"content-type: application/json", b"x-a: b"} <= set(head.split(b"\r\n"))


async def test_a_get_has_no_body(acts: Make, http_peer: HttpPeer) -> None:
    peer = await http_peer(says(200, b"plain text"))
    done = await acts(Doors(peer)).call({"url": peer.url, "method": "GET"}, "k")
    assert isinstance(done, Acted)
    assert (done.result["text"], done.result["json"]) == ("plain text", None)
    assert b"content-length" not in peer.requests[0]


@pytest.mark.parametrize(
    ("answer", "error", "again"),
    [
        (says(302, b"", b"location: /x"), NotDelivered, False),
        (says(404), NotDelivered, False),
        (says(429), NotDelivered, True),
        (says(409), DeliveryUnknown, True),
        (says(500), DeliveryUnknown, True),
        (gone, DeliveryUnknown, True),
    ],
)
async def test_a_call_that_may_be_repeated_says_whether_it_is_worth_it(
    acts: Make, http_peer: HttpPeer, answer: bytes | Behaviour, error: type[ChittyError], again: bool
) -> None:
    peer = await http_peer(answer)
    spec = {"url": peer.url, "json": {}}
    with pytest.raises(error) as caught:
        await acts(Doors(peer)).call(spec, "k")
    assert repeatable(caught.value, spec) is again


async def test_a_call_made_once_is_not_made_again(acts: Make, http_peer: HttpPeer) -> None:
    peer = await http_peer(says(200, b"1"), says(200, b"2"))
    spec = {"url": peer.url, "json": {}, "once": True}
    first = await acts(Doors(peer)).call(spec, "k")
    assert isinstance(first, Acted)
    assert first.result["json"] == 1
    assert await acts(Doors(peer)).call(spec, "k") == first
    assert len(peer.requests) == 1


@pytest.mark.parametrize("answer", [says(500), says(503), says(504), says(408), says(409), gone, b"HTTP/1.1 2"])
async def test_a_call_made_once_asks_a_person_where_nobody_knows(
    acts: Make, effects: Effects, http_peer: HttpPeer, answer: bytes | Behaviour
) -> None:
    peer = await http_peer(answer, says(200, b'"done"'))
    spec, mine = {"url": peer.url + "?token=s3cret", "json": {}, "once": True}, acts(Doors(peer))
    for _ in range(2):
        asked = await mine.call(spec, "k")
        assert isinstance(asked, Ask)
        assert (asked.about, asked.key) == ("happened", "k")
        assert "s3cret" not in asked.question
    assert len(peer.requests) == 1
    await effects.resolve("k", "failed", by="anna")
    done = await mine.call(spec, "k")
    assert isinstance(done, Acted)
    assert done.result["json"] == "done"


async def test_a_call_made_once_that_was_refused_may_be_made_again(acts: Make, http_peer: HttpPeer) -> None:
    peer = await http_peer(says(429), says(400), says(200, b"1"))
    spec, mine = {"url": peer.url, "json": {}, "once": True}, acts(Doors(peer))
    for temporary in (True, False):
        with pytest.raises(NotDelivered) as caught:
            await mine.call(spec, "k")
        assert repeatable(caught.value, spec) is temporary
    assert isinstance(await mine.call(spec, "k"), Acted)


async def test_a_call_to_a_host_that_is_not_listed_is_refused(acts: Make, http_peer: HttpPeer) -> None:
    peer = await http_peer()
    for spec in ({"url": peer.url}, {"url": peer.url, "once": True}):
        with pytest.raises(ChittyError) as caught:
            await acts(Doors()).call(spec, "k")
        assert "outbound.allow" in str(caught.value.fix)
        assert not repeatable(caught.value, spec)
    assert peer.requests == []


@pytest.mark.parametrize("spec", [{}, {"url": 7}, {"url": "https://a.example", "once": "yes"}, {"url": "ftp://a"}])
async def test_a_spec_that_says_nothing_clear_is_refused(acts: Make, spec: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        await acts(Doors()).call(spec, "k")


async def test_the_database_away_is_worth_another_try() -> None:
    assert repeatable(Unavailable("away"), {"once": True})


# send


MAIL = {"to": "anna@example.org", "subject": "Received", "body": "We have it.", "in_reply_to": "<1@example.org>"}


async def test_a_mail_to_a_listed_recipient_goes_out_once(acts: Make, mail_peer: MailPeer) -> None:
    inbox = Inbox()
    mine = acts(Doors(mail=await mail_peer(inbox), allow=("example.org",)))
    for _ in range(2):
        done = await mine.send(MAIL, "w1.ack")
        assert isinstance(done, Acted)
        assert done.result["state"] == "sent"
    assert isinstance(done, Acted)
    (envelope,) = inbox.received
    content = envelope.original_content or b""
    assert done.result["message_id"].encode() in content
    assert b"Auto-Submitted: auto-replied" in content
    assert b"References: <1@example.org>" in content


async def test_a_mail_to_anyone_else_waits_for_a_person(acts: Make, mail_peer: MailPeer) -> None:
    inbox = Inbox()
    mine = acts(Doors(mail=await mail_peer(inbox), allow=("example.com",)))
    asked = await mine.send(MAIL, "k")
    assert isinstance(asked, Ask)
    assert asked.about == "approve"
    assert "anna@example.org" in asked.question
    assert inbox.received == []
    assert isinstance(await mine.send(MAIL, "k", approved_by="bob"), Acted)
    assert b"Auto-Submitted" not in (inbox.received[0].original_content or b"")


async def test_a_mail_of_which_nobody_knows_is_asked_about_and_never_sent_twice(
    acts: Make, effects: Effects, mail_peer: MailPeer
) -> None:
    inbox = Inbox(drop=True)
    mine = acts(Doors(mail=await mail_peer(inbox), allow=("*",)))
    for _ in range(2):
        asked = await mine.send(MAIL, "k")
        assert isinstance(asked, Ask)
        assert asked.about == "happened"
    assert len(inbox.received) == 1
    await effects.resolve("k", "sent", by="anna")
    done = await mine.send(MAIL, "k")
    assert isinstance(done, Acted)
    assert done.result["state"] == "sent"
    assert len(inbox.received) == 1


async def test_a_mail_that_was_refused_for_now_may_be_sent_later(acts: Make, mail_peer: MailPeer) -> None:
    inbox = Inbox(data="451 later")
    mine = acts(Doors(mail=await mail_peer(inbox), allow=("*",)))
    with pytest.raises(NotDelivered, match="451 later") as caught:
        await mine.send(MAIL, "k")
    assert repeatable(caught.value, MAIL)
    inbox.actions.clear()
    assert isinstance(await mine.send(MAIL, "k"), Acted)


async def test_without_a_mail_server_the_error_says_what_to_set(acts: Make) -> None:
    with pytest.raises(ConfigError, match="smtp"):
        await acts(Doors()).send(MAIL, "k")


# deliver


def told(peer: Peer) -> dict[str, Any]:
    return {"url": peer.url, "event": "task.completed", "at": 1_700_000_000, "data": {"id": "t1"}}


async def test_a_webhook_is_signed_and_keeps_its_id(acts: Make, http_peer: HttpPeer, clock: FakeClock) -> None:
    peer = await http_peer(says(500), says(204))
    mine = acts(Doors(peer))
    assert isinstance(await mine.deliver(told(peer), "evt_1"), Later)
    clock.advance(5)
    assert await mine.deliver(told(peer), "evt_1", failures=1) == Acted({"code": 204})
    bodies = []
    for number, request in enumerate(peer.requests):
        head, _, body = request.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        assert verify([SECRET], headers, body, now=clock.now() - 5 + 5 * number, tolerance=0) == "evt_1"
        bodies.append(body)
    assert bodies[0] == bodies[1]
    assert b'"type":"task.completed"' in bodies[0]


@pytest.mark.parametrize("answer", [says(302, b"", b"location: /hook"), says(404), says(503), gone])
async def test_a_webhook_that_fails_is_tried_ever_later(
    acts: Make, http_peer: HttpPeer, clock: FakeClock, answer: bytes | Behaviour
) -> None:
    peer = await http_peer(answer)
    for failures, wait in enumerate(RETRIES):
        later = await acts(Doors(peer)).deliver(told(peer), "evt_1", failures=failures)
        assert isinstance(later, Later)
        assert later.until == clock.now() + wait
    with pytest.raises(NotDelivered, match="last of 10 tries") as caught:
        await acts(Doors(peer)).deliver(told(peer), "evt_1", failures=len(RETRIES))
    assert not repeatable(caught.value, {})


async def test_a_receiver_that_asks_for_time_gets_it(acts: Make, http_peer: HttpPeer, clock: FakeClock) -> None:
    peer = await http_peer(says(429, b"", b"retry-after: 120"))
    later = await acts(Doors(peer)).deliver(told(peer), "evt_1")
    assert isinstance(later, Later)
    assert later.until == clock.now() + 120


async def test_a_receiver_that_wants_no_more_gets_none(acts: Make, http_peer: HttpPeer) -> None:
    peer = await http_peer(says(410))
    with pytest.raises(NotDelivered, match="wants no more") as caught:
        await acts(Doors(peer)).deliver(told(peer), "evt_1")
    assert not repeatable(caught.value, {})


async def test_a_webhook_to_a_host_that_is_not_listed_fails_at_once(acts: Make, http_peer: HttpPeer) -> None:
    with pytest.raises(Forbidden):
        await acts(Doors()).deliver(told(await http_peer()), "evt_1")
