"""Connections to a real server, and to one that misbehaves."""

import asyncio
import base64
from typing import Any

import pytest

from chittycan.errors import ConfigError, Unavailable
from chittycan.integrations.email.imap import AWAY, NO_FOLDER, NO_MAIL, REFUSED, Account, Connection, Limits, Listed
from chittycan.integrations.email.imap_mail import PIECE, Kept, fetch
from chittycan.integrations.email.limits import MAX_HEADERS, MAX_MESSAGE
from chittycan.integrations.email.message import parse
from chittycan.integrations.email.sources import Place, RawMail
from mail_servers import Dovecot, Liar, Session, connected
from peers import trusting

MAIL = b"From: Ann <ann@bell.example>\r\nSubject: Hello\r\n\r\nWhat does a first talk cost?\r\n"
BOTH_LOOPS = True


async def whole(connection: Connection, listed: Listed) -> RawMail | None:
    async def decide(_header: bytes, _size: int) -> Kept:
        return "open"

    return await fetch(connection, listed, Place("office", "INBOX", 7, listed.uid), decide)


# a real server


@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
async def test_mail_of_a_real_server_is_read_and_nothing_is_changed(dovecot_server: Dovecot, security: str) -> None:
    user = f"reader-{security}-{id(asyncio.get_running_loop())}"
    large = MAIL + b"x" * 70 + b"\r\n" * PIECE
    for name, raw in (("1", MAIL), ("2", large), ("3", b"Subject: only headers\r\n\r\n")):
        dovecot_server.deliver(user, name, raw)
    port = dovecot_server.tls_port if security == "tls" else dovecot_server.port
    tls = None if security == "none" else trusting()
    async with connected(port, host="localhost", security=security, user=user, tls=tls) as connection:
        selected = await connection.examine("INBOX")
        assert (selected.exists, selected.next_uid) == (3, 4)
        assert selected.validity > 0
        listed = await connection.unseen(0, {3})
        assert [each.uid for each in listed] == [1, 2]
        found = [await whole(connection, each) for each in [*listed, Listed(3, 0), Listed(99, 0)]]
        assert [each and each.raw for each in found] == [MAIL, large, b"Subject: only headers\r\n\r\n", None]
        assert await connection.unseen(3, ()) == []
    assert dovecot_server.flags(user) == set()


async def test_new_mail_ends_the_waiting(dovecot_server: Dovecot) -> None:
    user = f"waiting-{id(asyncio.get_running_loop())}"
    dovecot_server.deliver(user, "1", MAIL)
    async with connected(dovecot_server.port, user=user) as connection:
        await connection.examine("INBOX")
        assert connection.can_idle
        waiting = asyncio.create_task(connection.idle(60))
        await asyncio.sleep(0)
        dovecot_server.deliver(user, "2", MAIL)
        assert await waiting
        assert [each.uid for each in await connection.unseen(1, ())] == [2]
        assert not await connection.idle(0.01)


async def test_a_wrong_password_is_told_from_a_server_that_is_away(dovecot_server: Dovecot, free_port: int) -> None:
    with pytest.raises(Unavailable, match="refused the login") as refused:
        async with connected(dovecot_server.port, secret="wrong"):
            pass
    assert (refused.value.code, "wrong" in str(refused.value)) == (REFUSED, False)
    with pytest.raises(Unavailable, match="could not be reached") as away:
        async with connected(free_port):
            pass
    assert away.value.code == AWAY


async def test_a_folder_that_is_not_there(dovecot_server: Dovecot) -> None:
    async with connected(dovecot_server.port) as connection:
        with pytest.raises(Unavailable, match="Entwürfe") as caught:
            await connection.examine("Entwürfe")
        assert caught.value.code == NO_FOLDER
        assert (await connection.examine("INBOX")).exists == 0


async def test_a_certificate_that_nobody_vouches_for_is_refused(dovecot_server: Dovecot) -> None:
    for security, port in (("tls", dovecot_server.tls_port), ("starttls", dovecot_server.port)):
        with pytest.raises(Unavailable, match="could not show"):
            async with connected(port, host="localhost", security=security):
                pass
        with pytest.raises(Unavailable, match="could not show"):
            async with connected(port, host="127.0.0.1", security=security, tls=trusting()):
                pass


async def test_ones_own_authority_can_be_trusted(dovecot_server: Dovecot) -> None:
    ca = str(dovecot_server.authority)
    async with connected(dovecot_server.tls_port, host="localhost", security="tls", ca_file=ca) as connection:
        assert connection.can_idle
    with pytest.raises(ConfigError, match="caFile"):
        async with connected(dovecot_server.tls_port, host="localhost", security="tls", ca_file="/nowhere.pem"):
            pass


def test_a_password_does_not_cross_a_network_in_clear() -> None:
    with pytest.raises(ConfigError, match=r"office\.security"):
        Account(name="office", host="mail.example.com", user="anna", security="none")
    assert Account(name="office", host="mail.example.com", user="anna", security="none", insecure=True)
    assert Account(name="office", host="::1", user="anna", security="none")


# logging in


async def test_a_token_is_shown_as_google_and_microsoft_want_it(liar: Liar) -> None:
    async def expects_token(session: Session, tag: str, command: str) -> bool:
        if command != "AUTHENTICATE XOAUTH2":
            return False
        session.say("+ ")
        said = base64.b64decode(await session.reader.readline())
        if said == b"user=anna\1auth=Bearer t0ken\1\1":
            session.say(f"{tag} OK [CAPABILITY IMAP4rev1] in")
        else:
            session.say("+ " + base64.b64encode(b'{"status":"400"}').decode())
            assert await session.reader.readline() == b"\r\n"
            session.say(f"{tag} NO expired")
        return True

    liar.misbehave = expects_token
    async with connected(liar.port, auth="xoauth2", secret="t0ken") as connection:
        assert not connection.can_idle
    with pytest.raises(Unavailable, match="expired") as caught:
        async with connected(liar.port, auth="xoauth2", secret="old"):
            pass
    assert caught.value.code == REFUSED


async def test_no_password_is_said_where_the_server_wants_none_in_clear(liar: Liar) -> None:
    liar.capabilities = "IMAP4rev1 LOGINDISABLED"
    with pytest.raises(Unavailable, match="takes no password"):
        async with connected(liar.port):
            pass
    assert liar.said == ["CAPABILITY"]


@pytest.mark.parametrize(
    "greeting", ["* PREAUTH you are in", "* BYE full", "SSH-2.0-OpenSSH", "* OK hi\r\na1 NO no TLS"]
)
async def test_without_tls_nothing_is_said_where_it_was_asked_for(liar: Liar, greeting: str) -> None:
    liar.greeting = greeting
    with pytest.raises(Unavailable) as caught:
        async with connected(liar.port, security="starttls", tls=trusting()):
            pass
    assert caught.value.code == AWAY
    assert not any(said.startswith(("LOGIN", "AUTH")) for said in liar.said)


async def test_what_stands_behind_the_offer_of_tls_in_clear_is_not_believed(liar: Liar) -> None:
    async def injects(session: Session, tag: str, command: str) -> bool:
        if command == "STARTTLS":
            session.say(f"{tag} OK begin", "* OK [CAPABILITY IMAP4rev1] spoken by somebody in between")
        return command == "STARTTLS"

    liar.misbehave = injects
    with pytest.raises(Unavailable, match="offers no TLS"):
        async with connected(liar.port, security="starttls", tls=trusting()):
            pass


# servers that misbehave


def at(word: str, *lines: str, leave: bool = False) -> Any:
    """A misbehaviour: these lines instead of an answer to commands that begin so."""

    async def misbehave(session: Session, tag: str, command: str) -> bool:
        if not command.startswith(word):
            return False
        session.say(*(line.format(tag=tag) for line in lines))
        if leave:
            await session.writer.drain()
            session.writer.close()
        return True

    return misbehave


@pytest.mark.parametrize(
    ("lines", "leave"),
    [
        (("* BYE have to go",), False),
        (("* 1 FETCH (UID 1 BODY[HEADER]<0> {500}", "half of it"), True),
        ((), True),
        (("* 1 FETCH (UID 1 BODY[HEADER]<0> {99999999999}",), False),
        (("* 1 FETCH (UID 1 BODY[HEADER]<0> {300000}", "x" * 300_000 + ")", "{tag} OK done"), False),
        (("* OK [UIDVALIDITY 8] all new",), False),
        (("* 1 FETCH ((((((((((((", "{tag} OK done"), False),
        ((), False),
    ],
    ids=[
        "bye",
        "half literal",
        "drop",
        "huge literal",
        "more than asked",
        "numbered anew",
        "garbled",
        "silence",
    ],
)
async def test_a_session_that_goes_wrong_ends_with_an_error_in_time(
    liar: Liar, lines: tuple[str, ...], leave: bool
) -> None:
    liar.mails[1] = MAIL
    async with connected(liar.port, limits=Limits(command=0.5)) as connection:
        await connection.examine("INBOX")
        liar.misbehave = at("UID FETCH", *lines, leave=leave)
        with pytest.raises(Unavailable) as caught:
            await whole(connection, Listed(1, len(MAIL)))
        assert caught.value.code == AWAY


@pytest.mark.parametrize("state", ["NO", "BAD"])
async def test_a_mail_that_is_not_given_out_is_told_from_one_that_is_gone(liar: Liar, state: str) -> None:
    liar.mails[1] = MAIL
    async with connected(liar.port) as connection:
        await connection.examine("INBOX")
        liar.misbehave = at("UID FETCH", f"{{tag}} {state} it is damaged")
        with pytest.raises(Unavailable, match="damaged") as caught:
            await whole(connection, Listed(1, 0))
        assert caught.value.code == NO_MAIL
        liar.misbehave = at("UID FETCH", "{tag} NO [EXPUNGEISSUED] it is gone")
        assert await whole(connection, Listed(1, 0)) is None


async def test_a_trickle_does_not_hold_a_command_beyond_its_deadline(liar: Liar) -> None:
    async def trickles(session: Session, _tag: str, command: str) -> bool:
        while command.startswith("UID FETCH"):
            session.say("* 1 EXISTS")
            await session.writer.drain()
            await asyncio.sleep(0.01)
        return False

    async with connected(liar.port, limits=Limits(command=0.3)) as connection:
        await connection.examine("INBOX")
        liar.misbehave = trickles
        with pytest.raises(Unavailable, match="in time"):
            await connection.unseen(0, ())


@pytest.mark.parametrize("claimed", [0, 10, len(MAIL) - 1, len(MAIL) + 1, 10**6])
async def test_a_wrong_size_does_not_cut_a_mail(liar: Liar, claimed: int) -> None:
    liar.mails[1], liar.sizes[1] = MAIL, claimed
    async with connected(liar.port) as connection:
        await connection.examine("INBOX")
        (listed,) = await connection.unseen(0, ())
        found = await whole(connection, listed)
        assert found is not None
        assert found.raw == MAIL


async def test_a_server_that_gives_less_than_it_was_asked_for_is_asked_again(liar: Liar) -> None:
    async def stingy(session: Session, tag: str, command: str) -> bool:
        if "BODY.PEEK" not in command:
            return False
        start = int(command.partition("<")[2].partition(".")[0])
        section = "HEADER" if "HEADER" in command else "TEXT"
        content = session.part(1, section, start, 20 if section == "TEXT" else 1000)
        session.literal(1, 1, section, content)
        session.say(f"{tag} OK done")
        return True

    liar.mails[1] = MAIL + b"and more " * 50
    liar.misbehave = stingy
    async with connected(liar.port) as connection:
        await connection.examine("INBOX")
        found = await whole(connection, Listed(1, len(liar.mails[1])))
        assert found is not None
        assert found.raw == liar.mails[1]


async def test_of_a_huge_mail_only_the_headers_are_fetched(liar: Liar) -> None:
    liar.mails[1], liar.sizes[1] = MAIL, MAX_MESSAGE + 1
    async with connected(liar.port) as connection:
        await connection.examine("INBOX")
        found = await whole(connection, (await connection.unseen(0, ()))[0])
    assert found is not None
    assert found.defect is not None
    assert "larger than 50 MiB" in found.defect
    assert (parse(found.raw).subject, parse(found.raw).text) == ("Hello", "")
    assert not any("TEXT" in said for said in liar.said)


async def test_headers_without_end_are_cut_and_the_text_is_kept_apart(liar: Liar) -> None:
    liar.mails[1] = b"Subject: long\r\n" + b"X-Y: z\r\n" * (MAX_HEADERS // 8 + 9) + b"\r\nthe text\r\n"
    async with connected(liar.port) as connection:
        await connection.examine("INBOX")
        found = await whole(connection, Listed(1, len(liar.mails[1])))
    assert found is not None
    mail = parse(found.raw)
    assert (mail.subject, mail.text) == ("long", "the text")


async def test_a_mail_that_goes_away_while_it_is_read_is_gone(liar: Liar) -> None:
    async def deletes(_session: Session, _tag: str, command: str) -> bool:
        if f"<{PIECE}." in command:
            liar.mails.clear()
        return False

    liar.mails[1] = MAIL + b"x" * 2 * PIECE
    liar.misbehave = deletes
    async with connected(liar.port) as connection:
        await connection.examine("INBOX")
        assert await whole(connection, Listed(1, len(liar.mails[1]))) is None


async def test_a_list_is_read_with_doubt(liar: Liar) -> None:
    async with connected(liar.port) as connection:
        await connection.examine("INBOX")
        strange = ("* 1 FETCH (UID 5 RFC822.SIZE 10)", "* 2 FETCH (UID 3)", "* 3 FETCH (UID 0)", "* 4 FETCH (UID 5)",
                   "* 5 FETCH (UID 99999999999)", "* 6 FETCH (X ())", "* 7 FETCH (UID 4)", "{tag} OK done")  # fmt: skip
        liar.misbehave = at("UID FETCH", *strange)
        assert await connection.unseen(1, {4}) == [Listed(3, 0), Listed(5, 0)]


async def test_a_server_that_promised_to_tell_and_does_not_is_not_asked_again(liar: Liar) -> None:
    async with connected(liar.port) as connection:
        await connection.examine("INBOX")
        liar.misbehave = at("IDLE", "{tag} BAD never heard of it")
        assert not await connection.idle(60)
        assert not connection.can_idle


async def test_a_server_that_dies_while_we_wait_is_noticed(liar: Liar) -> None:
    async with connected(liar.port, limits=Limits(command=0.5)) as connection:
        await connection.examine("INBOX")
        waiting = asyncio.create_task(connection.idle(60))
        await liar.sessions[0].idling.wait()
        liar.sessions[0].leave()
        with pytest.raises(Unavailable):
            await waiting
