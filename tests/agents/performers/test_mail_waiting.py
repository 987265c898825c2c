"""A mail whose task waits, for money or for another process: what is shown of it meanwhile, and how it goes on."""

import json
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection

from chittycan.agents.claims import Claims
from chittycan.agents.review import Said, judge
from chittycan.mailroom import terms_of
from chittycan.routing.rules.book import Rule
from chittycan.store import inbox, review
from chittycan.store import tasks as rows
from chittycan.store.mail_claims import mail_claims
from chittycan.testing.clock import FakeClock
from chittycan.workstreams.task import Done, Later, Outcome, WaitForModel
from chittycan.workstreams.tasks import EVERY
from performing import INBOX, MakeOffice, Office

TRIAGE = {"category": "appointment_request", "confidence": 0.9, "needs_reply": True, "reasoning": "A talk."}
PRIORITY = {"level": "HIGH", "score": 0.9, "factors": ["client"], "reasoning": "Soon."}
REPLY = {"about": "a talk", "body": "Thank you for your mail about a talk. We will read it and propose a time."}


def done(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Done), outcome
    said: dict[str, Any] = outcome.result["json"]
    return said


async def perform(made: Office, mail: dict[str, Any], **fields: Any) -> Outcome:
    return await made.perform("mail", spec={"mail": mail["id"]}, model="strong", **fields)


def _put(connection: Connection, mail_id: str, /, **values: Any) -> None:
    connection.execute(inbox.mails.update().where(inbox.mails.c.id == mail_id).values(values))


async def poor(office: MakeOffice, clock: FakeClock, **budget: Any) -> tuple[Office, dict[str, Any]]:
    """An office with an account that has spent its dollar of this day on another mail, and a new mail."""
    entry = {"type": "folder", "path": str(INBOX), "budget": {"day": 1, **budget}}
    made = (await office({}, {"strong": []}, integrations={"firm": entry})).at(clock)
    mails = [await made.mail(each) for each in ("01", "02")]
    for each in mails:
        await made.network.database.run(_put, each["id"], account="firm", added=clock.now())
    made.says("strong", *map(json.dumps, (TRIAGE, PRIORITY, REPLY)))
    run = inbox.Run(
        mail_id=mails[1]["id"], agent="triage", kind="email.triage", version="1", output="{}", fallback=False,
        reason=None, repaired=False, model="strong", cost_nano=10**9, ms=1.0, attempts=1, request_ids="[]",
        at=clock.now(),
    )  # fmt: skip
    await made.network.database.run(inbox.record, run)
    return made, mails[0]


async def test_beyond_its_budget_an_accounts_mail_waits_for_the_next_day_sorted_by_rules_meanwhile(
    office: MakeOffice, clock: FakeClock
) -> None:
    made, mail = await poor(office, clock)
    midnight = clock.now() - clock.now() % 86_400 + 86_400
    waiting = await perform(made, mail)
    assert isinstance(waiting, WaitForModel)
    assert (waiting.models, waiting.until, waiting.latest) == (("the budget of firm",), midnight, None)
    assert waiting.reason == "firm has spent its $1 of today, and goes on at 2027-01-16 00:00 UTC"
    assert made.asked("strong") == []
    shown, *_ = await made.network.database.read(inbox.listing)
    assert (shown.id, shown.fallback, shown.waits, shown.review) == (mail["id"], True, True, "pending")
    assert shown.category is not None
    stored = await made.network.database.read(inbox.get, mail["id"])
    assert (stored.state, stored.doubt) == ("new", f"sorted by rules for now: {waiting.reason}")

    clock.advance(midnight - clock.now())
    found = done(await perform(made, mail, chain="the budget of firm"))
    assert (found["category"], found["priority"], found["doubt"]) == ("appointment_request", "HIGH", None)
    shown, *_ = await made.network.database.read(inbox.listing)
    assert (shown.fallback, shown.waits) == (False, False)


async def test_a_budget_of_a_month_is_waited_for_until_the_next_one(office: MakeOffice, clock: FakeClock) -> None:
    made, mail = await poor(office, clock, month=1)
    waiting = await perform(made, mail)
    assert isinstance(waiting, WaitForModel)
    assert waiting.reason == "firm has spent its $1 of this month, and goes on at 2027-02-01 00:00 UTC"


async def test_an_owner_may_want_rules_to_sort_what_is_beyond_a_budget(office: MakeOffice, clock: FakeClock) -> None:
    made, mail = await poor(office, clock, beyond="rules")
    found = done(await perform(made, mail))
    assert "rules answered instead of a model" in found["doubt"]
    assert made.asked("strong") == []


async def test_a_mail_that_waited_for_money_has_all_its_patience_for_a_model(
    office: MakeOffice, clock: FakeClock
) -> None:
    made, mail = await poor(office, clock)
    await perform(made, mail)
    clock.advance(86_400)
    made.up.script("strong", ["s03-500"])
    waiting = await perform(made, mail, chain="the budget of firm")
    assert isinstance(waiting, WaitForModel)
    assert waiting.latest == pytest.approx(clock.now() + 900)
    began = clock.now()
    clock.advance(600)
    waiting = await perform(made, mail, chain="strong", since=began)
    assert isinstance(waiting, WaitForModel)
    assert waiting.latest == pytest.approx(began + 900)


async def test_a_persons_word_ends_the_wait(office: MakeOffice, clock: FakeClock) -> None:
    made, mail = await poor(office, clock)
    database = made.network.database
    await perform(made, mail)
    assert [each.id for each in await database.read(review.waiting)] == [mail["id"]]
    await database.run(partial(judge, email=mail["id"], said=Said(category="billing_matter"), by=None, now=clock.now()))
    clock.advance(86_400)
    assert done(await perform(made, mail))["state"] == "known"
    assert made.asked("strong") == []
    stored = await database.read(inbox.get, mail["id"])
    assert (stored.state, stored.category, stored.review) == ("done", "billing_matter", "corrected")


async def test_who_is_to_be_told_is_told_at_once_and_not_again(office: MakeOffice, clock: FakeClock) -> None:
    made, mail = await poor(office, clock)
    network = made.network
    hook = "https://hook.example/x"
    await network.rules.create(Rule(id="", name="told", condition="-has:invite", action=f"webhook:{hook}"))
    await network.durable.engine.prepare()
    made.parts = replace(
        made.parts,
        mail_terms=lambda account: terms_of(network.settings, account, network.rules, tell=network.durable.tell),
    )
    told = []
    for _ in range(2):
        await perform(made, mail)
        clock.advance(86_400)
        found = await network.database.read(rows.listing, EVERY, before=None, limit=10)
        told.append([each["id"] for each in found])
    assert told == [[f"{mail['id']}.rules.webhook.1"]] * 2


async def test_a_mail_that_another_process_is_at_is_left_to_it(office: MakeOffice, clock: FakeClock) -> None:
    made = (await office()).at(clock)
    mail = await made.mail("01")
    async with Claims(mail_claims, made.network.database, clock).held(mail["id"]) as other:
        assert other is None
        later = await perform(made, mail)
    assert isinstance(later, Later)
    assert made.asked("strong") == []
