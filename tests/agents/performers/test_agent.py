"""Our agents as steps: on mails and files, with what earlier steps found, and with rules where no model helps."""

import json
from pathlib import Path

from sqlalchemy import text

from chittycan.errors import InvalidRequest, NotFound
from chittycan.routing.rules.book import Rule
from chittycan.store import drafts, inbox
from chittycan.workstreams.task import Done, Failed, Outcome, WaitForModel
from performing import MakeOffice

TRIAGE = {"category": "document_submission", "confidence": 0.9, "needs_reply": True, "reasoning": "A contract."}
PRIORITY = {"level": "HIGH", "score": 0.9, "factors": ["contract"], "reasoning": "Soon."}
DOCUMENT = {"document_type": "contract", "importance": "high", "processing_priority": "standard",
            "contains_pii": False}  # fmt: skip
REPLY = {"about": "the agreement", "body": "Thank you for the agreement you sent us. A lawyer will read it soon."}


def done(outcome: Outcome) -> Done:
    assert isinstance(outcome, Done), outcome
    return outcome


async def test_an_agent_reads_a_mail_and_its_finding_is_kept(office: MakeOffice) -> None:
    made = await office()
    mail = await made.mail("04")
    made.says("strong", json.dumps(TRIAGE))
    outcome = done(await made.perform("agent", spec={"name": "triage", "mail": mail}, model="strong"))
    assert (outcome.result["json"]["category"], outcome.result["fallback"]) == ("document_submission", False)
    assert (outcome.model, (outcome.cost_nano or 0) > 0) == ("strong", True)
    runs = await made.network.database.read(inbox.runs_of, mail["id"])
    assert [run.agent for run in runs] == ["triage"]
    (row,) = await made.served.recorded(1)
    assert (row["task"], row["kind"]) == ("task_1", "email.triage")


async def test_what_an_earlier_step_found_is_used_instead_of_what_is_recorded(office: MakeOffice) -> None:
    made = await office()
    mail = await made.mail("01")
    made.says("strong", json.dumps(TRIAGE), json.dumps(PRIORITY))
    found = done(await made.perform("agent", spec={"name": "triage", "mail": mail}, model="strong")).result["json"]
    spec = {"name": "priority", "mail": mail, "triage": {**found, "category": "court_notice"}}
    priority = done(await made.perform("agent", spec=spec, model="strong")).result["json"]
    assert priority["level"] == "HIGH"
    assert "court notice" in str(made.asked("strong")[-1].json["messages"][-1]["content"])
    wrong = await made.perform("agent", spec={**spec, "triage": {"category": "nonsense"}}, model="strong")
    assert isinstance(wrong, Failed)
    assert isinstance(wrong.error, InvalidRequest)


async def test_a_reply_becomes_a_draft_in_the_template_that_was_named(office: MakeOffice) -> None:
    made = await office()
    mail = await made.mail("01")
    made.says("strong", json.dumps(REPLY))
    spec = {"name": "response", "mail": mail, "template": "standard"}
    reply = done(await made.perform("agent", spec=spec, model="strong")).result["json"]
    assert REPLY["body"] in reply["body"]
    draft = await made.network.database.read(drafts.get, f"re-{mail['id']}")
    assert draft is not None
    unknown = await made.perform("agent", spec={**spec, "template": "sonnet"}, model="strong")
    assert isinstance(unknown, Failed)
    assert isinstance(unknown.error, NotFound)


async def test_a_document_is_a_file_or_an_attachment(office: MakeOffice, tmp_path: Path) -> None:
    made = await office()
    made.says("strong", json.dumps(DOCUMENT))
    paper = tmp_path / "lease.txt"
    paper.write_text("Lease of 1 May 2026 between Ann Bell and Tor Ltd.")
    spec = {"name": "document", "file": {"name": "lease.txt", "path": str(paper)}}
    filed = done(await made.perform("agent", spec=spec, model="strong")).result["json"]
    assert (filed["document_type"], filed["dates"]) == ("contract", ("1 May 2026",))
    spec = {"name": "document", "mail": await made.mail("04"), "attachment": "services-agreement.pdf"}
    assert done(await made.perform("agent", spec=spec, model="strong")).result["json"]["document_type"] == "contract"


async def test_while_models_are_away_it_waits_and_asks_no_rules(office: MakeOffice) -> None:
    made = await office()
    made.fails("strong", "unavailable")
    made.fails("other", "unavailable")
    spec = {"name": "triage", "mail": await made.mail("01")}
    outcome = await made.perform("agent", spec=spec, model="strong")
    assert isinstance(outcome, WaitForModel)
    assert outcome.models == ("strong", "other")


async def test_where_no_model_ever_answers_well_rules_do(office: MakeOffice) -> None:
    made = await office()
    made.fails("strong", "bad_key")
    made.fails("other", "bad_key")
    spec = {"name": "triage", "mail": await made.mail("03")}
    outcome = done(await made.perform("agent", spec=spec, model="strong"))
    assert outcome.result["fallback"]
    assert outcome.result["json"]["category"] == "court_notice"
    assert "upstream_credentials_exhausted" in outcome.result["reason"]
    assert outcome.model is None


async def test_the_assignment_of_a_step_chooses_the_model(office: MakeOffice) -> None:
    made = await office(assignments={"email.document": "other"})
    made.says("other", json.dumps(TRIAGE))
    spec = {"name": "triage", "mail": await made.mail("01")}
    assert done(await made.perform("agent", spec=spec, kind="email.document")).model == "other"


async def test_an_agent_needs_something_to_read(office: MakeOffice) -> None:
    made = await office()
    for spec in ({"name": "triage"}, {"name": "triage", "file": {"path": "/x"}}):
        outcome = await made.perform("agent", spec=spec)
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, InvalidRequest)


async def test_a_mail_that_a_rule_binds_is_read_by_models_of_its_region_alone(office: MakeOffice) -> None:
    bound = {"proxy": "home", "upstream": "europe", "regions": ["eu-west"]}
    made = await office({"europe": bound}, {"*": ["cheap", "europe"]})
    made.says("europe", json.dumps(TRIAGE))
    mail = await made.mail("01")
    rule = Rule(id="", name="bound", condition="-has:invite", action="region:eu-west")
    await made.network.rules.create(rule)
    assert done(await made.perform("agent", spec={"name": "triage", "mail": mail})).model == "europe"
    assert made.asked("cheap") == []


async def test_a_privileged_mail_is_read_by_private_models_alone(office: MakeOffice) -> None:
    made = await office()
    mail = await made.mail("04")
    await made.network.database.run(lambda c: c.execute(text("UPDATE mails SET privacy = 'local'")))
    for name in ("triage", "priority", "document"):
        await made.perform("agent", spec={"name": name, "mail": mail}, model="strong")
    assert not made.up.requests
