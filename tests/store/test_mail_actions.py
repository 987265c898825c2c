"""What is to be done to mails in their mailboxes, on both databases."""

import asyncio

import pytest

from chittycan.errors import NotFound, Unavailable
from chittycan.store import claims, inbox, mail_actions, mailboxes
from chittycan.store.database import Database

NOW = 1_800_000_000.0


async def stored(database: Database, name: str = "a", source: str = "imap:office") -> str:
    new = inbox.NewMail(
        id=name, dedupe_key=name, source=source, source_key=name, sender="", subject=name, date=None, mail="{}"
    )
    await database.run(inbox.add, new, NOW)
    return name


async def asked(database: Database, verb: mail_actions.Verb, value: str | None = None, name: str = "a") -> int:
    assert await database.run(mail_actions.ask, await stored(database, name), verb, value, "rule r", NOW)
    return (await database.read(mail_actions.listing))[0].id


async def due(database: Database, *allowed: str, account: str = "office", now: float = NOW) -> list[int]:
    return [each.id for each in await database.read(mail_actions.due, account, allowed, now, 100)]


async def held(database: Database, nonce: str = "me") -> None:
    gone = lambda _holder, _silence: True  # noqa: E731
    await database.run(claims.claim, mailboxes.mail_accounts, "office", nonce, "{}", gone)


async def test_the_same_is_asked_for_once_whatever_became_of_it(database: Database) -> None:
    action = await asked(database, "label", "Court")
    await database.run(mail_actions.drop, action, NOW)
    assert not await database.run(mail_actions.ask, "a", "label", "Court", "rule s", NOW)
    assert await database.run(mail_actions.ask, "a", "label", "Urgent", "rule s", NOW)
    assert await database.run(mail_actions.ask, "a", "archive", None, "rule s", NOW)
    assert not await database.run(mail_actions.ask, "a", "archive", None, "rule s", NOW)


async def test_of_many_who_ask_at_once_one_does(database: Database) -> None:
    await stored(database)
    asking = [database.run(mail_actions.ask, "a", "read", None, "rule r", NOW) for _ in range(5)]
    assert sum(await asyncio.gather(*asking)) == 1


async def test_mail_on_this_machine_is_left_alone(database: Database) -> None:
    await stored(database, source="maildir:/var/mail")
    assert not await database.run(mail_actions.ask, "a", "read", None, "rule r", NOW)
    assert await database.read(mail_actions.listing) == []


async def test_without_leave_nothing_is_due(database: Database) -> None:
    label, move = await asked(database, "label", "Court"), await asked(database, "move", "Clients")
    assert await due(database) == []
    assert await due(database, "label") == [label]
    assert await due(database, "label", account="home") == []
    assert await database.run(mail_actions.allow, move, "anna", NOW)
    assert await due(database) == [move]
    assert not await database.run(mail_actions.allow, move, "anna", NOW)


async def test_marks_come_before_moves(database: Database) -> None:
    move, label = await asked(database, "move", "Clients"), await asked(database, "label", "Court")
    assert await due(database, "move", "label") == [label, move]


async def test_what_was_begun_stays_due_until_it_ends(database: Database) -> None:
    action = await asked(database, "move", "Clients")
    await held(database)
    assert await database.run(mail_actions.begin, action, "me", NOW)
    assert not await database.run(mail_actions.drop, action, NOW)
    await database.run(mail_actions.later, action, "the server is full", NOW + 60, NOW)
    assert await due(database) == []
    assert await due(database, now=NOW + 60) == [action]
    assert await database.run(mail_actions.begin, action, "me", NOW + 60)
    await database.run(mail_actions.end, action, "done", None, NOW + 61)
    assert await due(database, "move", now=NOW + 99) == []
    row = await database.read(mail_actions.get, action)
    assert (row.state, row.problem, row.tries, row.subject) == ("done", None, 1, "a")


async def test_what_was_dropped_is_not_begun(database: Database) -> None:
    action = await asked(database, "read")
    await held(database)
    assert await database.run(mail_actions.drop, action, NOW)
    assert not await database.run(mail_actions.begin, action, "me", NOW)


async def test_only_who_looks_after_the_account_begins(database: Database) -> None:
    action = await asked(database, "read")
    await held(database, "other")
    with pytest.raises(Unavailable) as raised:
        await database.run(mail_actions.begin, action, "me", NOW)
    assert raised.value.code == mailboxes.LOST
    assert (await database.read(mail_actions.get, action)).state == "waiting"


async def test_an_unknown_number_says_where_the_numbers_are(database: Database) -> None:
    with pytest.raises(NotFound, match="no action 7"):
        await database.read(mail_actions.get, 7)


async def test_the_list_is_by_state_and_account(database: Database) -> None:
    first, second = await asked(database, "read"), await asked(database, "archive")
    await database.run(mail_actions.drop, first, NOW)
    listed = await database.read(mail_actions.listing, states=("waiting",))
    assert [each.id for each in listed] == [second]
    assert await database.read(mail_actions.listing, account="home") == []
