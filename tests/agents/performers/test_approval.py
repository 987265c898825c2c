"""A person decides, or time does."""

import pytest

from bare_http import Json
from chittycan.testing import FakeClock
from chittycan.workstreams.task import Ask, Done
from performing import MakeOffice

SPEC: Json = {"title": "Send it?", "show": {"letter": "Dear Ann", "risk": 7}, "who": ["anna"], "edit": True,
              "until": 1_800_000_060.0, "on_timeout": "reject"}  # fmt: skip


async def test_the_question_is_what_the_step_shows(office: MakeOffice, clock: FakeClock) -> None:
    made = (await office()).at(clock)
    outcome = await made.perform("approval", spec=SPEC)
    assert isinstance(outcome, Ask)
    assert outcome.question == {"title": "Send it?", "show": SPEC["show"], "who": ["anna"], "edit": True}
    assert (outcome.until, outcome.reason) == (SPEC["until"], "a person's decision: Send it?")


async def test_the_decision_is_the_result_with_values_as_shown_or_changed(office: MakeOffice, clock: FakeClock) -> None:
    made = (await office()).at(clock)
    answer = {"decision": "approved", "by": "anna", "comment": None, "values": {"letter": "Dear Bob"}}
    outcome = await made.perform("approval", spec=SPEC, answer=answer)
    assert isinstance(outcome, Done)
    assert outcome.result == {**answer, "values": {"letter": "Dear Bob", "risk": 7}}


@pytest.mark.parametrize(("on_timeout", "decision"), [("reject", "rejected"), ("approve", "approved")])
async def test_after_its_time_nobody_needs_to_decide(
    office: MakeOffice, clock: FakeClock, on_timeout: str, decision: str
) -> None:
    made = (await office()).at(clock)
    clock.advance(60)
    outcome = await made.perform("approval", spec={**SPEC, "on_timeout": on_timeout})
    assert isinstance(outcome, Done)
    assert (outcome.result["decision"], outcome.result["by"], outcome.result["timed_out"]) == (decision, None, True)
    assert outcome.result["values"] == SPEC["show"]
    late = await made.perform("approval", spec=SPEC, answer={"decision": "approved", "by": "anna"})
    assert isinstance(late, Done)
    assert late.result["decision"] == "approved"
