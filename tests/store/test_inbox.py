"""The inbox on both databases: once per mail, most urgent first, nothing lost."""

import msgspec
import pytest

from chittycan.errors import NotFound
from chittycan.store import drafts, inbox, review
from chittycan.store.database import Database


def mail(mail_id: str, *, key: str | None = None, date: float | None = 100.0) -> inbox.NewMail:
    return inbox.NewMail(
        id=mail_id,
        dedupe_key=key or f"key-{mail_id}",
        source="folder:/mail",
        source_key=f"{mail_id}.eml",
        sender="Ann <ann@bell.example>",
        subject=f"About {mail_id}",
        date=date,
        mail="{}",
    )


def run(mail_id: str, agent: str, **changed: object) -> inbox.Run:
    values: dict[str, object] = {
        "mail_id": mail_id,
        "agent": agent,
        "kind": f"email.{agent}",
        "version": "0",
        "output": "{}",
        "fallback": False,
        "reason": None,
        "repaired": False,
        "model": "small",
        "cost_nano": 3_000_000_000_000,
        "ms": 120.0,
        "attempts": 1,
        "request_ids": "[]",
        "at": 5.0,
    }
    return inbox.Run(**{**values, **changed})  # type: ignore[arg-type]


def draft(mail_id: str, **changed: object) -> drafts.Draft:
    values: dict[str, object] = {
        "id": f"re-{mail_id}",
        "mail_id": mail_id,
        "idempotency_key": f"reply:{mail_id}",
        "recipients": "[]",
        "subject": "Re: x",
        "body": "Thank you.",
        "in_reply_to": None,
        "thread": "[]",
        "template": "standard",
        "warnings": "[]",
        "by_model": None,
        "created": 1.0,
        "changed": 1.0,
    }
    return drafts.Draft(**{**values, **changed})  # type: ignore[arg-type]


async def done(database: Database, mail_id: str, level: str, rank: int) -> None:
    await database.run(
        inbox.finish, mail_id, inbox.Finding(category="general_inquiry", level=level, rank=rank, settled=None), 9.0
    )


async def test_mail_is_new_once_and_the_first_copy_stays(database: Database) -> None:
    first, new = await database.run(inbox.add, mail("aaaa", key="same"), 1.0)
    second, again = await database.run(inbox.add, mail("bbbb", key="same"), 2.0)
    assert (new, again) == (True, False)
    assert second == first
    assert (second.id, second.state, second.added) == ("aaaa", "new", 1.0)


async def test_mail_is_found_by_the_start_of_its_id(database: Database) -> None:
    await database.run(inbox.add, mail("abcd"), 1.0)
    await database.run(inbox.add, mail("abxy"), 1.0)
    assert (await database.read(inbox.get, "ABC")).id == "abcd"
    for typed, problem in (("ab", "several"), ("zz", "no mail"), ("", "no mail"), ("%", "no mail"), ("a_", "no mail")):
        with pytest.raises(NotFound, match=problem):
            await database.read(inbox.get, typed)


async def test_list_is_most_urgent_first_then_newest(database: Database) -> None:
    for mail_id, level, rank, date in (("old1", "HIGH", 3, 10.0), ("new1", "HIGH", 3, 20.0), ("low1", "LOW", 1, 99.0)):
        await database.run(inbox.add, mail(mail_id, date=date), 100.0)
        await done(database, mail_id, level, rank)
    await database.run(inbox.add, mail("date", date=None), 15.0)
    assert [entry.id for entry in await database.read(inbox.listing)] == ["new1", "old1", "low1", "date"]
    assert [entry.id for entry in await database.read(inbox.listing, priority="high", limit=1)] == ["new1"]


async def test_a_date_that_is_yet_to_come_keeps_no_mail_on_top(database: Database) -> None:
    """Anybody can write a Date: it counts as far as it is not later than the mail was here."""
    for mail_id, date, now in (("soon", 4e9, 100.0), ("next", 150.0, 200.0)):
        await database.run(inbox.add, mail(mail_id, date=date), now)
        await done(database, mail_id, "NORMAL", 2)
    assert [entry.id for entry in await database.read(inbox.listing)] == ["next", "soon"]
    assert [entry.id for entry in await database.read(inbox.latest, 10)] == ["next", "soon"]
    assert [entry.id for entry in await database.read(review.waiting)] == ["next", "soon"]


async def test_list_speaks_the_words_that_users_were_promised(database: Database) -> None:
    await database.run(inbox.add, mail("abcd"), 1.0)
    await done(database, "abcd", "HIGH", 3)
    await database.run(drafts.create, draft("abcd"))
    (entry,) = msgspec.to_builtins(await database.read(inbox.listing))
    assert (entry["priority"], entry["from"], entry["subject"]) == ("HIGH", "Ann <ann@bell.example>", "About abcd")
    assert entry["draftId"] == "re-abcd"
    await database.run(inbox.mark_read, "abcd")
    assert await database.read(inbox.listing, unread=True) == []
    stats = msgspec.to_builtins(await database.read(inbox.stats))
    assert stats == {"total": 1, "unread": 0, "highPriority": 1, "pendingResponse": 1}


async def test_empty_inbox_has_zeroes(database: Database) -> None:
    assert msgspec.to_builtins(await database.read(inbox.stats)) == {
        "total": 0,
        "unread": 0,
        "highPriority": 0,
        "pendingResponse": 0,
    }
    assert await database.read(inbox.summaries) == []


async def test_runs_are_kept_with_money_beyond_32_bits(database: Database) -> None:
    await database.run(inbox.add, mail("abcd"), 1.0)
    await database.run(inbox.record, run("abcd", "triage"))
    await database.run(inbox.record, run("abcd", "triage", fallback=True, model=None, ms=900.0, cost_nano=None, at=7.0))
    assert [entry.at for entry in await database.read(inbox.history, "triage")] == [7.0, 5.0]
    assert [entry.at for entry in await database.read(inbox.runs_of, "abcd")] == [5.0, 7.0]
    (summary,) = await database.read(inbox.summaries)
    assert (summary.invocations, summary.fallbacks, summary.mean_ms, summary.last) == (2, 1, 120.0, 7.0)
    assert summary.cost_nano == 3_000_000_000_000


async def test_draft_that_waits_takes_a_new_text_and_an_approved_one_does_not(database: Database) -> None:
    await database.run(drafts.create, draft("abcd"))
    newer = await database.run(drafts.create, draft("abcd", body="Thanks.", created=2.0, changed=2.0))
    assert (newer.body, newer.created, newer.changed) == ("Thanks.", 1.0, 2.0)
    await database.run(drafts.create, draft("wxyz", state="approved"))
    kept = await database.run(drafts.create, draft("wxyz", body="Something else."))
    assert (kept.body, kept.state) == ("Thank you.", "approved")
    assert [entry.id for entry in await database.read(drafts.listing, state="approved")] == ["re-wxyz"]


async def test_unknown_draft_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        await database.read(drafts.get, "re-none")


async def test_database_refuses_a_state_that_no_draft_has(database: Database) -> None:
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError):
        await database.run(drafts.create, draft("abcd", state="maybe"))


def test_every_draft_ends_sent_or_rejected() -> None:
    reachable = {"draft"}
    while grown := {after for state in reachable for after in drafts.TRANSITIONS[state]} - reachable:
        reachable |= grown
    assert reachable == set(drafts.TRANSITIONS)
    assert {state for state, after in drafts.TRANSITIONS.items() if not after} == {"sent"}
    assert drafts.TRANSITIONS["rejected"] == ("draft",)  # by an edit
    # Nothing is sent that was not approved, and what may have been sent is not sent again.
    assert [state for state, after in drafts.TRANSITIONS.items() if "sending" in after] == ["approved", "failed"]
    assert "approved" in drafts.TRANSITIONS["draft"]
    assert not {"sending", "approved", "draft"} & {*drafts.TRANSITIONS["unknown"], *drafts.TRANSITIONS["sending"]}


def told(
    name: str, *, subject: str = "Lease", sender: str = "Ann <ann@bell.example>", **given: object
) -> inbox.NewMail:
    fields: dict[str, object] = {
        "id": name, "dedupe_key": name, "source": "folder:/m", "source_key": name, "sender": sender,
        "subject": subject, "date": 100.0, "mail": "{}", "message_id": f"<{name}>",
    }  # fmt: skip
    return inbox.NewMail(**{**fields, **given})  # type: ignore[arg-type]


async def threads(database: Database, *new: inbox.NewMail) -> list[str | None]:
    return [(await database.run(inbox.add, each, 1.0))[0].thread for each in new]


async def test_a_conversation_is_what_answers_each_other(database: Database) -> None:
    first, second, third = await threads(
        database,
        told("a"),
        told("b", subject="Re: Lease", sender="Bob <bob@x.example>", references=("<a>",)),
        told("c", subject="another subject", references=("<b>",)),  # it names its parent alone
    )
    assert first == second == third == "<a>"


async def test_a_reply_that_names_nothing_is_found_by_subject_and_sender(database: Database) -> None:
    month = 31 * 86_400.0
    found = await threads(
        database,
        told("a"),
        told("b", subject="AW: Re:  lease"),
        told("c", subject="Lease"),  # not marked as a reply
        told("d", subject="Re: Lease", sender="Eve <eve@x.example>"),
        told("e", subject="Re: Lease", date=100.0 + month),
    )
    assert found == ["<a>", "<a>", "<c>", "<d>", "<e>"]


async def test_earlier_mails_of_a_conversation_are_known(database: Database) -> None:
    await threads(database, told("a", date=10.0), told("b", date=20.0, references=("<a>",)), told("z", subject="Rent"))
    stored = await database.read(inbox.get, "b")
    assert [each.id for each in await database.read(inbox.earlier, stored)] == ["a"]
    assert await database.read(inbox.earlier, await database.read(inbox.get, "a")) == []
