"""A mail that was read before is found once more, wherever it went, and no other in its place."""

import asyncio

from chittycan.integrations.email.imap_again import fetch_again
from chittycan.integrations.email.message import dedupe_key
from chittycan.integrations.email.sources import Place
from mail_servers import Dovecot, Liar, Session, connected

BOTH_LOOPS = True
ID = "<1@bell.example>"


def mail(text: str = "What does a first talk cost?", identity: str = ID) -> bytes:
    head = f"From: Ann <ann@bell.example>\r\nMessage-ID: {identity}\r\nSubject: Hello\r\n\r\n"
    return f"{head}{text}\r\n".encode()


def user(name: str) -> str:
    return f"{name}-{id(asyncio.get_running_loop())}"


async def key_of(dovecot: Dovecot, name: str, uid: int = 1) -> str:
    async with connected(dovecot.port, user=name) as connection:
        return Place("office", "INBOX", (await connection.examine("INBOX")).validity, uid).key


async def test_it_is_found_where_it_was(dovecot_server: Dovecot) -> None:
    anna = user("stays")
    dovecot_server.deliver(anna, "1", mail())
    key = await key_of(dovecot_server, anna)
    async with connected(dovecot_server.port, user=anna) as connection:
        found = await fetch_again(connection, key, message_id=ID, dedupe_key=dedupe_key(mail()))
    assert (found.raw, found.error, found.place and found.place.key) == (mail(), None, key)
    assert dovecot_server.flags(anna) == set()


async def test_it_is_found_where_it_was_moved_to(dovecot_server: Dovecot) -> None:
    anna = user("moves")
    # Somebody else's mail says that it is the same.
    dovecot_server.deliver(anna, "1", mail("Pay at once!"))
    key = await key_of(dovecot_server, anna)
    dovecot_server.deliver(anna, "2", mail(), folder="Clients.Bell")
    async with connected(dovecot_server.port, user=anna) as connection:
        found = await fetch_again(connection, key, message_id=ID, dedupe_key=dedupe_key(mail()))
    assert found.raw == mail()
    assert found.place is not None
    assert found.place.folder == "Clients/Bell"


async def test_it_is_found_after_the_folder_was_numbered_anew(dovecot_server: Dovecot) -> None:
    anna = user("anew")
    dovecot_server.deliver(anna, "1", mail())
    key = await key_of(dovecot_server, anna)
    dovecot_server.number_anew(anna)
    async with connected(dovecot_server.port, user=anna) as connection:
        found = await fetch_again(connection, key, message_id=ID)
    assert found.raw == mail()
    assert found.key != key


async def test_what_is_gone_is_said_to_be_gone(dovecot_server: Dovecot) -> None:
    anna = user("gone")
    dovecot_server.deliver(anna, "1", mail())
    key = await key_of(dovecot_server, anna, uid=2)
    wanted = dedupe_key(mail("another text"))
    async with connected(dovecot_server.port, user=anna) as connection:
        by_number = await fetch_again(connection, key)
        by_name = await fetch_again(connection, key, message_id=ID, dedupe_key=wanted)
        nowhere = await fetch_again(connection, "Nowhere;7;1", message_id="<2@bell.example>")
        no_place = await fetch_again(connection, "/home/anna/Maildir/1")
    assert "no Message-ID" in (by_number.error or "")
    assert by_name.error == "in no folder of 127.0.0.1 any more"
    assert nowhere.error == by_name.error
    assert "no place" in (no_place.error or "")


async def test_a_server_that_gives_a_number_twice_is_seen_through(liar: Liar) -> None:
    liar.mails = {1: mail("Pay at once!")}

    async def no_search(session: Session, tag: str, command: str) -> bool:
        if "SEARCH" in command:
            session.say("* SEARCH 1 9999999999999 x", f"{tag} OK")
        elif command.startswith("LIST"):
            session.say('* LIST () "/" INBOX', '* LIST (\\Noselect) "/" All', "* LIST", f"{tag} OK")
        else:
            return False
        return True

    liar.misbehave = no_search
    async with connected(liar.port) as connection:
        found = await fetch_again(connection, "INBOX;7;1", message_id=ID, dedupe_key=dedupe_key(mail()))
    assert (found.raw, found.error) == (b"", "in no folder of 127.0.0.1 any more")
