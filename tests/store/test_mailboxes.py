"""Who looks after an account, and which mails were seen where, on both databases."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from chittycan.errors import Unavailable
from chittycan.store import claims, inbox, mailboxes
from chittycan.store.database import Database
from chittycan.store.mailboxes import Spot

NOW = 1_800_000_000.0
HERE = ("office", "INBOX")


def alive(_holder: str, _silence: float) -> bool:
    return False


def spot(uid: int, validity: int = 7, nonce: str = "me") -> Spot:
    return Spot(*HERE, validity, uid, nonce)


async def stored(database: Database, name: str) -> str:
    new = inbox.NewMail(
        id=name, dedupe_key=name, source="imap:office", source_key=name, sender="", subject=name, date=None, mail="{}"
    )
    await database.run(inbox.add, new, NOW)
    return name


def _waiting(seconds: float) -> Callable[[int], float]:
    return lambda _tries: seconds


async def finish(database: Database, name: str) -> None:
    def done(connection: Connection) -> None:
        inbox.finish(connection, name, inbox.Finding(category="x", level="LOW", rank=1, settled=None), NOW)

    await database.run(done)


async def seen(database: Database, uid: int, name: str, *, validity: int = 7, done: bool = True) -> None:
    await stored(database, name)
    await database.run(mailboxes.see, spot(uid, validity), name, NOW)
    if done:
        await finish(database, name)


async def settled(database: Database, after: int = 0, validity: int = 7, now: float = NOW) -> set[int]:
    return await database.read(mailboxes.settled, *HERE, validity, after, now)


async def test_who_does_not_hold_an_account_can_note_nothing(database: Database) -> None:
    await stored(database, "one")
    await database.run(claims.claim, mailboxes.mail_accounts, "office", "me", "", alive)
    with pytest.raises(Unavailable) as caught:
        await database.run(mailboxes.see, spot(1, nonce="another"), "one", NOW)
    assert caught.value.code == mailboxes.LOST
    assert await settled(database) == set()


async def test_what_is_settled_is_done_or_waits_for_its_time(database: Database) -> None:
    await database.run(claims.claim, mailboxes.mail_accounts, "office", "me", "", alive)
    await seen(database, 1, "one")
    await seen(database, 2, "two", done=False)
    assert await database.run(mailboxes.trouble, spot(3), "broken off", NOW, lambda tries: tries * 60.0) == 1
    assert await settled(database) == {1, 3}
    assert await settled(database, after=1) == {3}
    assert await settled(database, validity=8) == set()
    assert not await database.read(mailboxes.due, *HERE, NOW)
    assert await database.read(mailboxes.due, *HERE, NOW + 60)
    assert await settled(database, now=NOW + 60) == {1}
    assert await database.run(mailboxes.trouble, spot(3), "broken off", NOW, lambda tries: tries * 60.0) == 2
    assert [each.id for each in await database.read(mailboxes.unfinished, *HERE)] == ["two"]
    await seen(database, 3, "three")
    assert not await database.read(mailboxes.due, *HERE, NOW + 999)


async def test_a_folder_remembers_how_far_it_is_until_it_is_numbered_anew(database: Database) -> None:
    await database.run(claims.claim, mailboxes.mail_accounts, "office", "me", "", alive)
    assert await database.run(mailboxes.opened, *HERE, 7, 3, NOW) == (0, True)
    await seen(database, 1, "one")
    await seen(database, 2, "two", done=False)
    await database.run(mailboxes.handled, *HERE, 2, 0)
    await database.run(mailboxes.handled, *HERE, 1, 4)
    assert await database.run(mailboxes.opened, *HERE, 7, 3, NOW) == (2, False)
    (folder,) = await database.read(mailboxes.folders)
    assert (folder.through, folder.behind, folder.seen, folder.trouble) == (2, 4, 2, 0)
    assert await database.run(mailboxes.opened, *HERE, 8, 3, NOW) == (0, True)
    assert await settled(database, validity=8) == set()
    await database.run(mailboxes.forget, *HERE, 8)
    assert await settled(database, validity=7) == set()


@pytest.mark.parametrize("validity", [7, 0])
async def test_numbers_that_are_given_out_again_free_their_places(database: Database, validity: int) -> None:
    await database.run(claims.claim, mailboxes.mail_accounts, "office", "me", "", alive)
    await database.run(mailboxes.opened, *HERE, validity, 9, NOW)
    await seen(database, 1, "one", validity=validity)
    await seen(database, 2, "two", validity=validity, done=False)
    assert await database.run(mailboxes.opened, *HERE, validity, 3, NOW) == (0, True)
    assert await settled(database, validity=validity) == set()
    assert [each.id for each in await database.read(mailboxes.unfinished, *HERE)] == ["two"]


async def test_what_could_not_be_fetched_and_is_gone_is_forgotten(database: Database) -> None:
    await database.run(claims.claim, mailboxes.mail_accounts, "office", "me", "", alive)
    await database.run(mailboxes.opened, *HERE, 7, 9, NOW)
    for uid, wait in ((1, 10.0), (2, 100.0)):
        await database.run(mailboxes.trouble, spot(uid), "damaged", NOW, _waiting(wait))
    await database.run(mailboxes.vanished, *HERE, NOW + 50)
    (folder,) = await database.read(mailboxes.folders)
    assert (folder.trouble, folder.seen) == (1, 1)


async def test_how_it_went_is_kept_per_account(database: Database) -> None:
    await database.run(mailboxes.went_wrong, "office", "away", "wait", NOW)
    await database.run(mailboxes.went_wrong, "office", "still away", None, NOW + 5)
    (row,) = await database.read(mailboxes.accounts)
    assert (row.tried, row.succeeded, row.failing, row.problem, row.fix) == (NOW + 5, None, NOW, "still away", None)
    await database.run(mailboxes.went_well, "office", NOW + 9)
    (row,) = await database.read(mailboxes.accounts)
    assert (row.tried, row.succeeded, row.failing, row.problem) == (NOW + 9, NOW + 9, None, None)


async def test_a_mail_that_is_taken_out_of_the_inbox_stays_seen(database: Database) -> None:
    await database.run(claims.claim, mailboxes.mail_accounts, "office", "me", "", alive)
    await seen(database, 1, "one")
    await database.run(lambda connection: connection.execute(inbox.mails.delete()))
    assert await settled(database) == {1}
