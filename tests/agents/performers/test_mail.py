"""All work on one mail as a task: it waits for a model, is not done twice, and rules answer where patience ends."""

import json
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection

from chittycan.agents.mail_task import submitter, task_id
from chittycan.agents.pipeline import Terms, process
from chittycan.integrations.email.sources import RawMail, open_source
from chittycan.routing.rules.book import Rule
from chittycan.store import inbox
from chittycan.store import tasks as rows
from chittycan.testing import Reply, Scenario
from chittycan.testing.ask import ScriptedAsk
from chittycan.testing.clock import FakeClock
from chittycan.workstreams.task import Done, Outcome, WaitForModel
from performing import INBOX, PRICE, MakeOffice, Office

TRIAGE = {"category": "appointment_request", "confidence": 0.9, "needs_reply": True, "reasoning": "A talk."}
PRIORITY = {"level": "HIGH", "score": 0.9, "factors": ["client"], "reasoning": "Soon."}
REPLY = {"about": "a talk", "body": "Thank you for your mail about a talk. We will read it and propose a time."}
FILE = next(INBOX.glob("01*.eml"))
REGIONS = ("eu-west", "us-east")
BOUND = Rule(id="", name="bound", condition="-has:invite", action="region:eu-west")


def done(outcome: Outcome) -> Done:
    assert isinstance(outcome, Done), outcome
    return outcome


async def perform(made: Office, mail: dict[str, Any], **fields: Any) -> Outcome:
    return await made.perform("mail", spec={"mail": mail["id"]}, model="strong", **fields)


async def test_every_step_is_done_and_recorded(office: MakeOffice) -> None:
    made = await office()
    mail = await made.mail("01")
    made.says("strong", *map(json.dumps, (TRIAGE, PRIORITY, REPLY)))
    found = done(await perform(made, mail))
    said = found.result["json"]
    assert (said["category"], said["priority"], said["review"]) == ("appointment_request", "HIGH", "pending")
    assert said["draft"] == f"re-{mail['id']}"
    assert (found.model, (found.cost_nano or 0) > 0) == ("strong", True)
    stored = await made.network.database.read(inbox.get, mail["id"])
    assert (stored.state, stored.category) == ("done", "appointment_request")


async def test_a_model_that_is_away_is_waited_for_until_patience_ends(office: MakeOffice, clock: FakeClock) -> None:
    made = (await office({}, {"strong": []})).at(clock)
    mail = await made.mail("01")
    added = clock.now()
    await made.network.database.run(_put, mail["id"], added=added)
    made.up.script("strong", [Scenario(does="answers", reply=Reply(text=json.dumps(TRIAGE))), "s03-500"])
    waiting = await perform(made, mail)
    assert isinstance(waiting, WaitForModel)
    assert waiting.latest == pytest.approx(added + 900)
    assert [run.agent for run in await made.network.database.read(inbox.runs_of, mail["id"])] == ["triage"]
    assert isinstance(await perform(made, mail), WaitForModel)
    clock.advance(901)
    found = done(await perform(made, mail)).result["json"]
    assert found["state"] == "processed"
    assert "rules answered instead of a model" in found["doubt"]
    runs = {run.agent: run.fallback for run in await made.network.database.read(inbox.runs_of, mail["id"])}
    assert (runs["triage"], runs["priority"]) == (False, True)


async def test_a_step_that_is_done_costs_no_second_call(office: MakeOffice) -> None:
    made = await office()
    mail = await made.mail("01")
    made.says("strong", *map(json.dumps, (TRIAGE, PRIORITY, REPLY)))
    done(await perform(made, mail))
    asked = len(made.asked("strong"))
    assert done(await perform(made, mail)).result["json"]["state"] == "known"
    assert len(made.asked("strong")) == asked


async def test_privileged_mail_waits_rather_than_go_to_another_model(office: MakeOffice) -> None:
    made = await office(integrations={"office": {"type": "folder", "path": str(INBOX), "private": True}})
    mail = await made.mail("01")
    await made.network.database.run(_put, mail["id"], account="office")
    await perform(made, mail)
    assert made.asked("strong") == []


def _put(connection: Connection, mail_id: str, /, **values: Any) -> None:
    connection.execute(inbox.mails.update().where(inbox.mails.c.id == mail_id).values(values))


async def test_a_mail_and_its_task_are_stored_together_and_once(office: MakeOffice) -> None:
    made = await office()
    network = made.network
    submit = await network.durable.mail_submitter(region="eu-west")
    nobody = ScriptedAsk({})
    for _ in range(2):
        report = await process(open_source(FILE), nobody, network.database, Terms(), submit=submit)
        assert [each.state for each in report.outcomes] == ["submitted"]
    report = await process(open_source(FILE), nobody, network.database, Terms())  # by hand meanwhile
    (outcome,) = report.outcomes
    assert outcome.state == "submitted"
    task = await network.tasks.get(task_id(outcome.id))
    assert (task.type, task.spec, task.options, task.status) == (
        "mail", {"mail": outcome.id}, {"region": "eu-west"}, "queued",
    )  # fmt: skip


async def test_what_a_rule_binds_to_a_region_is_handed_to_workers_of_that_region(office: MakeOffice) -> None:
    made = await office()
    network = made.network
    await network.rules.create(BOUND)
    for wished in ({}, {"region": "us-east"}):  # what binds a mail goes before what all of them are asked with
        submit = await network.durable.mail_submitter(**wished)
        file = FILE if not wished else next(INBOX.glob("02*.eml"))
        (found,) = (await process(open_source(file), ScriptedAsk({}), network.database, submit=submit)).outcomes
        assert (await network.tasks.get(task_id(found.id))).region == "eu-west"


async def test_what_binds_a_mail_by_its_writer_takes_the_own_servers_word(office: MakeOffice) -> None:
    made = await office()
    network = made.network
    await network.rules.create(replace(BOUND, condition="dkim:pass"))
    submit = await network.durable.mail_submitter(authserv={"here": "mx.firm.example"}.get)
    for server, region in (("mx.evil.example", None), ("mx.firm.example", "eu-west")):
        mail = f"Authentication-Results: {server}; dkim=pass\nFrom: a@b.example\nSubject: {server}\n\nHello\n".encode()
        raw, terms = RawMail("folder:/mail", "1.eml", mail), Terms(account="here")
        (found,) = (await process([raw], ScriptedAsk({}), network.database, terms, submit=submit)).outcomes
        assert (await network.tasks.get(task_id(found.id))).region == region


async def test_a_rule_that_came_later_keeps_other_regions_out(office: MakeOffice) -> None:
    europe, america = ({"proxy": "home", "price": PRICE, "upstream": each, "regions": [each]} for each in REGIONS)
    made = await office({"europe": europe, "america": america}, {"*": ["america", "europe"]})
    for name in REGIONS:
        made.says(name, *map(json.dumps, (TRIAGE, PRIORITY, REPLY)))
    mail = await made.mail("01")
    await made.network.rules.create(BOUND)
    task = {"spec": {"mail": mail["id"]}, "options": {"region": "us-east"}}
    assert done(await made.perform("mail", **task)).model == "europe"
    assert made.asked("us-east") == []


async def test_where_the_task_cannot_be_stored_neither_is_the_mail(office: MakeOffice) -> None:
    made = await office()
    network = made.network
    submit = submitter(network.durable.recorder, network.clock)

    def broken(connection: Connection, mail: inbox.StoredMail) -> None:
        submit(connection, mail)
        raise RuntimeError("killed")

    await network.durable.engine.prepare()
    with pytest.raises(RuntimeError):
        await process(open_source(FILE), ScriptedAsk({}), network.database, Terms(), submit=broken)
    assert await network.database.read(inbox.latest, 5) == []
    assert await network.database.read(rows.counts) == {}
