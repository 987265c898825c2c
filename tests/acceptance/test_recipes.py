"""The recipes that come along, from beginning to end: real queue, real performers, a scripted provider."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bare_http import Json
from chittycan.app import Network
from chittycan.testing import Reply, Scenario
from chittycan.testing.upstream import ScriptedUpstream
from chittycan.workstreams.streams import View
from peers import Inbox, MailPeer
from serving import Serve, Served, proxy

pytest.importorskip("dbos", reason="durable work needs the extra `workstreams`")

INBOX = Path(__file__).resolve().parents[2] / "examples" / "inbox"
MAIL = next(INBOX.glob("04*.eml")).name
PATIENCE = 60.0  # seconds; a busy machine takes its time
PRICE = {"input": 100, "output": 200}

REVIEW = {"risk": 7, "summary": "It renews by itself.", "concerns": ["renewal"]}
ANSWERS = {
    "llama-scout": json.dumps({"category": "document_submission", "confidence": 0.9, "needs_reply": True}),
    "claude-sonnet-4-5": json.dumps(REVIEW),
    "gpt-4": "Dear Harbor Logistics, we have concerns.",
    "smollm2": "Thank you for the contract. A lawyer is looking at it.",
}


def says(up: ScriptedUpstream, model: str, *texts: str) -> None:
    up.script(model, [Scenario(does="answers", reply=Reply(text=text)) for text in texts])


async def four_models(up: ScriptedUpstream, serve: Serve, **more: Any) -> Served:
    for model, text in ANSWERS.items():
        says(up, model, text)
    models = {model: {"proxy": "home", "upstream": model, "price": PRICE} for model in ANSWERS}
    return await serve({"home": proxy(up.url, "openai")}, models, **more)


async def view_when(network: Network, workstream: str, kind: str) -> View:
    """How it stands once something of this kind waits for a word."""
    async for view in network.workstreams.watch(workstream, timeout=PATIENCE):
        if any(each.type == kind for each in view.waiting):
            return view
    raise AssertionError((await network.workstreams.get(workstream)).error)


async def results(network: Network, workstream: str) -> dict[str, Json]:
    """What each step came to, by its path."""
    from chittycan.store import tasks
    from chittycan.workstreams.rows import from_row

    found = [from_row(each) for each in await network.database.read(tasks.of_workstream, workstream)]
    return {str(each.path): {**(each.result or {}), "model": each.served_by} for each in found}


async def test_a_mail_with_a_contract_goes_through_four_models_and_a_lawyer(
    up: ScriptedUpstream, serve: Serve, mail_peer: MailPeer
) -> None:
    inbox = Inbox()
    smtp = {"host": "127.0.0.1", "port": await mail_peer(inbox), "security": "none", "from": "office@firm.example"}
    served = await four_models(up, serve, smtp=smtp)
    network = served.network
    await network.work("one")
    stream = await network.workstreams.run("legal-pipeline", {"mail": MAIL, "send": "true"}, base=INBOX)

    view = await view_when(network, stream.id, "approval")
    (asked,) = view.waiting
    assert asked.show["review"] == REVIEW
    assert asked.show["letter"] == ANSWERS["gpt-4"]
    assert not inbox.received
    edited = {"acknowledgement": "Thank you. We are reading it."}
    await network.workstreams.approve(stream.id, by="anna", values=edited)

    ended = await network.workstreams.wait(stream.id, timeout=PATIENCE)
    assert (ended.status, ended.error) == ("done", None)
    assert ended.outputs == {
        "category": "document_submission", "risk": 7, "letter": ANSWERS["gpt-4"],
        "acknowledgement": edited["acknowledgement"], "acknowledged": "sent",
    }  # fmt: skip
    (envelope,) = inbox.received
    assert b"We are reading it." in (envelope.content or b"")
    assert envelope.rcpt_tos == [stream.inputs["mail"]["reply_to"]]
    by_model = {step: each["model"] for step, each in (await results(network, stream.id)).items() if each["model"]}
    assert by_model == {"triage": "llama-scout", "review": "claude-sonnet-4-5", "draft": "gpt-4",
                        "acknowledgement": "smollm2"}  # fmt: skip
    context = await network.context.retrieve(f"legal-{stream.inputs['mail']['id']}")
    assert context.document["review"] == REVIEW
    assert context.labels["review"].trust == "outside"
    assert ended.spent_nano > 0
    rows = await served.recorded(4)
    assert {row["task"] for row in rows} == {f"{stream.id}.{step}" for step in by_model}


async def test_a_rejected_letter_ends_it_and_nothing_goes_out(up: ScriptedUpstream, serve: Serve) -> None:
    network = (await four_models(up, serve)).network
    await network.work("one")
    stream = await network.workstreams.run("legal-pipeline", {"mail": MAIL, "send": True}, base=INBOX)
    await view_when(network, stream.id, "approval")
    await network.workstreams.reject(stream.id, by="anna", comment="too soft")
    ended = await network.workstreams.wait(stream.id, timeout=PATIENCE)
    assert (ended.status, ended.error) == ("failed", "decision: rejected by anna: too soft")
    assert "goes_out.acknowledge" not in await results(network, stream.id)


@pytest.fixture
async def alone(up: ScriptedUpstream, serve: Serve) -> Network:
    """One model, which none of the recipes names, and which answers any schema with the smallest JSON there is."""
    model = {"only": {"proxy": "home", "upstream": "json", "price": PRICE}}
    served = await serve({"home": proxy(up.url, "openai")}, model, {"*": ["only"]})
    await served.network.work("one")
    return served.network


async def test_recipes_run_on_one_model_alone_and_say_for_whom_it_stood_in(alone: Network) -> None:
    stream = await alone.workstreams.run("legal-pipeline", {"mail": MAIL}, base=INBOX)
    await view_when(alone, stream.id, "approval")
    await alone.workstreams.approve(stream.id)
    ended = await alone.workstreams.wait(stream.id, timeout=PATIENCE)
    assert (ended.status, ended.error) == ("done", None)
    steps = await results(alone, stream.id)
    assert {step: steps[step].get("instead_of") for step in ("triage", "review", "draft", "acknowledgement")} == {
        "triage": "llama-scout", "review": "claude-sonnet-4-5", "draft": "gpt-4", "acknowledgement": "smollm2",
    }  # fmt: skip


async def test_a_folder_of_documents_is_read_by_two_models(alone: Network, tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    for name in ("lease", "invoice"):
        (tmp_path / "papers" / f"{name}.txt").write_text(f"This {name} is made on 1 May 2026.")
    stream = await alone.workstreams.run("document-folder", {"folder": "papers"}, base=tmp_path)
    ended = await alone.workstreams.wait(stream.id, timeout=PATIENCE)
    assert (ended.status, ended.error) == ("done", None)
    outputs = ended.outputs or {}
    assert [each["file"] for each in outputs["documents"]] == ["invoice.txt", "lease.txt"]
    assert [each["first"]["rating"] for each in outputs["documents"]] == [1, 1]
    assert outputs["failed"] == 0


async def test_the_mails_of_the_night_become_a_digest(alone: Network, tmp_path: Path) -> None:
    from chittycan.agents.given import Given

    for number in ("01", "03"):
        file = next(INBOX.glob(f"{number}*.eml"))
        shutil.copy(file, tmp_path)
        await Given(alone.database, tmp_path).mail(file.name)
    stream = await alone.workstreams.run("nightly-digest", {"mails": "24h"})
    ended = await alone.workstreams.wait(stream.id, timeout=PATIENCE)
    assert (ended.status, ended.error) == ("done", None)
    assert (ended.outputs or {})["mails"] == 2


async def test_what_the_inbox_knows_becomes_a_digest_without_privileged_mail(alone: Network, tmp_path: Path) -> None:
    from chittycan.agents.given import Given
    from chittycan.store import inbox

    for number in ("01", "03"):
        file = next(INBOX.glob(f"{number}*.eml"))
        shutil.copy(file, tmp_path)
        await Given(alone.database, tmp_path).mail(file.name)
    shown, hidden = await alone.database.read(inbox.latest, 2)

    def sort(connection: Connection) -> None:
        for mail in (shown, hidden):
            inbox.finish(connection, mail.id, inbox.Finding(category="court_notice", level="HIGH", rank=3), 1.0)
        connection.execute(inbox.mails.update().where(inbox.mails.c.id == hidden.id).values(privacy="local"))

    await alone.database.run(sort)
    stream = await alone.workstreams.run("inbox-digest", {"mails": "3000d"})
    ended = await alone.workstreams.wait(stream.id, timeout=PATIENCE)
    assert (ended.status, ended.error, (ended.outputs or {})["mails"]) == ("done", None, 2)
    assert (ended.outputs or {})["digest"]
    (task,), _ = await alone.tasks.list()
    told = str(task.spec["prompt"])
    assert shown.subject in told
    assert "court_notice" in told
    assert hidden.subject not in told
    assert "(privileged)" in told
