"""Files and mails that are named at the start of a workstream."""

from pathlib import Path

import pytest

from chittycan.agents.given import Given, described
from chittycan.agents.kept import new_mail
from chittycan.errors import InvalidRequest, NotFound
from chittycan.integrations.email.message import parse
from chittycan.integrations.email.sources import RawMail
from chittycan.store import inbox
from chittycan.store.database import Database
from chittycan.testing import FakeClock
from chittycan.workstreams.recipe import MAIL_FIELDS

MAIL = b"""From: Ann Bell <ann@bell.example>
Reply-To: desk@bell.example
Message-ID: <1@bell.example>
Subject: A contract
Date: Mon, 23 Nov 2026 09:00:00 +0000

Please read it.
"""


async def test_a_mail_named_by_its_path_is_put_into_the_inbox_and_known_by_its_id(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "contract.eml").write_bytes(MAIL)
    given = Given(database, tmp_path, FakeClock())
    mail = await given.mail("contract.eml")
    assert mail == {
        "id": mail["id"],
        "from": "ann@bell.example",
        "name": "Ann Bell",
        "reply_to": "desk@bell.example",
        "subject": "A contract",
        "date": "2026-11-23T09:00:00+00:00",
        "message_id": "<1@bell.example>",
        "category": None,
        "priority": None,
        "draft": None,
    }
    assert await given.mail(mail["id"]) == mail
    assert await Given(database, None, FakeClock()).mail(mail["id"]) == mail


def test_a_mail_has_what_recipes_may_refer_to() -> None:
    assert tuple(described(parse(MAIL))) == MAIL_FIELDS


async def test_the_inbox_since_then_has_what_a_person_should_see(database: Database) -> None:
    sent = parse(MAIL).date
    assert sent is not None
    raw = RawMail("folder:/mail", "1.eml", MAIL)
    await database.run(inbox.add, new_mail(raw, parse(MAIL)), sent)
    clock = FakeClock(sent + 3600)
    given = Given(database, None, clock)
    assert [mail["subject"] for mail in await given.inbox("2h")] == ["A contract"]
    assert await given.inbox("30m") == []
    await database.run(
        inbox.finish,
        parse(MAIL).id,
        inbox.Finding(category="newsletter", level="LOW", rank=1, settled="newsletter"),
        sent,
    )
    assert await given.inbox("2h") == []


async def test_what_is_not_there_is_refused(database: Database, tmp_path: Path) -> None:
    given = Given(database, tmp_path, FakeClock())
    with pytest.raises(NotFound):
        await given.mail("gone.eml")
    with pytest.raises(InvalidRequest, match="no duration"):
        await given.inbox("yesterday")
    with pytest.raises(InvalidRequest, match="no file"):
        given.file("gone.pdf")


def test_from_another_machine_files_are_named_by_their_ids(database: Database) -> None:
    given = Given(database, None, FakeClock())
    assert given.file("file-1") == {"name": "file-1", "id": "file-1"}
    for look in (given.file, given.folder):
        with pytest.raises(InvalidRequest, match="a path of the server"):
            look("/etc/passwd")
