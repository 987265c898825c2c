"""One prompt to several models, as a task."""

from bare_http import Json
from chittycan.errors import AllFailed, BudgetExceeded, InvalidRequest, UnknownModel
from chittycan.workstreams.task import Done, Failed, WaitForModel
from performing import ASKED, IN, OUT, MakeOffice


async def test_the_result_says_who_said_what(office: MakeOffice) -> None:
    made = await office()
    for model, text in (("strong", "7"), ("other", "8"), ("cheap", "9")):
        made.says(model, text)
    spec: Json = {
        "prompt": "Rate it",
        "models": ["strong", "other", "cheap"],
        "mode": "median",
        "name": None,
        "weights": {},
    }
    outcome = await made.perform("ensemble", spec=spec)
    assert isinstance(outcome, Done)
    result = outcome.result
    assert (result["text"], result["value"], result["decided_by"]) == ("8", 8, "median")
    assert [each["model"] for each in result["members"]] == ["strong", "other", "cheap"]
    assert result["members"][0]["cost_nano"] == ASKED + OUT
    assert outcome.cost_nano == 3 * (ASKED + OUT)
    rows = await made.served.recorded(3)
    assert {row["task"] for row in rows} == {"task_1"}


async def test_one_of_models_json_may_be_changed_by_the_step(office: MakeOffice) -> None:
    made = await office(ensembles={"risk": {"models": ["strong", "other"], "mode": "vote"}})
    made.says("strong", "Yes")
    made.says("other", "yes.")
    outcome = await made.perform("ensemble", spec={"prompt": "?", "name": "risk", "mode": None})
    assert isinstance(outcome, Done)
    assert outcome.result["agreement"] == 1.0
    outcome = await made.perform("ensemble", spec={"prompt": "?", "name": "risk", "mode": "median"})
    assert isinstance(outcome, Failed)
    outcome = await made.perform("ensemble", spec={"prompt": "?", "name": "risk", "mode": "median", "extract": "text"})
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, InvalidRequest)


async def test_the_default_chain_answers_alone_where_none_of_them_is_here(office: MakeOffice) -> None:
    made = await office()
    made.says("cheap", "I say 6")
    spec = {"prompt": "Rate it", "models": ["gpt-4", "llama-scout"], "mode": "median", "extract": "number"}
    outcome = await made.perform("ensemble", spec=spec)
    assert isinstance(outcome, Done)
    assert (outcome.result["value"], outcome.result["instead_of"]) == (6, "gpt-4, llama-scout")
    assert [each["model"] for each in outcome.result["members"]] == ["cheap"]


async def test_one_that_is_not_here_abstains(office: MakeOffice) -> None:
    made = await office()
    spec = {"prompt": "?", "models": ["strong", "strung"], "quorum": 1, "mode": "vote"}
    outcome = await made.perform("ensemble", spec=spec)
    assert isinstance(outcome, Done)
    abstaining = {each["model"]: bool(each["error"]) for each in outcome.result["members"]}
    assert abstaining == {"strong": False, "strung": True}
    assert "instead_of" not in outcome.result


async def test_a_quorum_missed_by_outages_is_waited_for(office: MakeOffice) -> None:
    made = await office()
    made.fails("other", "unavailable")
    spec = {"prompt": "?", "models": ["strong", "other"], "mode": "vote", "quorum": 2}
    outcome = await made.perform("ensemble", spec=spec)
    assert isinstance(outcome, WaitForModel)
    assert outcome.models == ("strong", "other")
    assert outcome.cost_nano == ASKED + 2 * OUT  # the one that answered is paid nevertheless


async def test_a_quorum_missed_by_answers_that_mean_nothing_is_a_failure(office: MakeOffice) -> None:
    made = await office()
    spec = {"prompt": "?", "models": ["strong", "other"], "mode": "median"}
    outcome = await made.perform("ensemble", spec=spec)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, AllFailed)
    assert (outcome.again, outcome.cost_nano) == (True, 2 * (ASKED + 2 * OUT))


async def test_the_budget_and_the_key_hold_for_all_of_them(office: MakeOffice) -> None:
    made = await office()
    spec = {"prompt": "?", "models": ["strong", "other"], "mode": "vote"}
    outcome = await made.perform("ensemble", spec=spec, budget_nano=IN, cost_nano=IN)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, BudgetExceeded)
    key = await made.key(models=("strong",))
    outcome = await made.perform("ensemble", spec={**spec, "quorum": 2}, key_id=key)
    assert isinstance(outcome, Failed)
    assert not made.asked("other")


async def test_nobody_named_is_a_mistake(office: MakeOffice) -> None:
    made = await office()
    outcome = await made.perform("ensemble", spec={"prompt": "?"})
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, InvalidRequest | UnknownModel)
    assert not outcome.again
