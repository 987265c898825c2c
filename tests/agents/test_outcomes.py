"""What becomes of what agents made says how good the models' answers were."""

from typing import Any

import msgspec
import pytest

from chittycan.agents.kept import draft_id
from chittycan.agents.pipeline import process
from chittycan.agents.review import Said, judge
from chittycan.agents.sending import Change, Sending
from chittycan.integrations.email.sources import RawMail
from chittycan.store import feedback, inbox
from chittycan.store.database import Database
from chittycan.testing import FakeClock
from chittycan.testing.ask import ScriptedAsk
from chittycan.workstreams.effects import Effects
from way_out import WayOut

NOWHERE = 1  # a port at which nobody takes mail: nothing is sent here
MAIL = RawMail("mbox", "1", b"From: Ann <ann@bell.example>\nMessage-ID: <1@x>\nSubject: Rent\n\nMay I ask you?\n")


@pytest.fixture
def ask(answers: Any) -> ScriptedAsk:
    return ScriptedAsk({f"email.{name}": [answer()] for name, answer in answers.items()}, model="small")


async def words(database: Database) -> dict[tuple[str, str], float]:
    """(agent, source) → score of the last answer that the agent's result was made from."""
    ids: dict[str, str] = {}
    for agent in ("triage", "priority", "response"):
        for run in await database.read(inbox.history, agent):
            ids |= dict.fromkeys(msgspec.json.decode(run.request_ids)[-1:], agent)
    found = await database.read(feedback.listing, 99, None)
    return {(ids[each.request_id], each.source): each.score for each in found if each.request_id in ids}


def sending(database: Database) -> Sending:
    async def lives(_owner: str) -> bool:
        return False

    clock = FakeClock(1_800_000_000.0)
    return Sending(database, Effects(database, owner="one", clock=clock, alive=lives), WayOut(NOWHERE), clock)


async def test_answers_that_held_to_their_schema_are_checked(ask: ScriptedAsk, sqlite: Database) -> None:
    await process([MAIL], ask, sqlite)
    assert {agent: score for (agent, source), score in (await words(sqlite)).items() if source == "check"} == {
        "triage": 1.0, "priority": 1.0, "response": 1.0,
    }  # fmt: skip


async def test_of_two_answers_the_one_that_had_to_be_asked_for_again_was_no_good(
    answers: Any, sqlite: Database
) -> None:
    said: dict[str, Any] = {f"email.{name}": [answer()] for name, answer in answers.items()}
    said["email.triage"] = ["no JSON", answers["triage"]()]
    await process([MAIL], ScriptedAsk(said, model="small"), sqlite)
    scores = [each.score for each in await sqlite.read(feedback.listing, 99, None)]
    assert (scores.count(0.0), scores.count(1.0)) == (1, 3)


async def test_where_rules_had_to_answer_the_model_had_not(answers: Any, sqlite: Database) -> None:
    said: dict[str, Any] = {f"email.{name}": [answer()] for name, answer in answers.items()}
    said["email.triage"] = ["no JSON", "none again"]
    await process([MAIL], ScriptedAsk(said, model="small"), sqlite)
    scores = [each.score for each in await sqlite.read(feedback.listing, 99, None)]
    assert scores.count(0.0) == 2


async def test_a_persons_correction_is_an_outcome(ask: ScriptedAsk, sqlite: Database) -> None:
    (outcome,) = (await process([MAIL], ask, sqlite)).outcomes
    await sqlite.run(judge, outcome.id, Said(category="court notice"), by="anna", now=5.0)
    found = await words(sqlite)
    assert (found["triage", "outcome"], found["priority", "outcome"]) == (0.0, 1.0)


async def test_a_draft_that_is_approved_edited_or_rejected_is_an_outcome(ask: ScriptedAsk, sqlite: Database) -> None:
    (outcome,) = (await process([MAIL], ask, sqlite)).outcomes
    drafts, draft = sending(sqlite), draft_id(outcome.id)
    await drafts.approve(draft, by="anna")
    assert (await words(sqlite))["response", "outcome"] == 1.0
    await drafts.edit(draft, Change(body="Dear Ann, you may."))
    await drafts.approve(draft, by="anna")
    assert (await words(sqlite))["response", "outcome"] == 0.5
    await drafts.reject(draft, by="anna")
    assert (await words(sqlite))["response", "outcome"] == 0.0
