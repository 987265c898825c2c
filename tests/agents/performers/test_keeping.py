"""A task's result in its session's document."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chittycan.agents.performers.keeping import replacing
from chittycan.context.labels import Label
from chittycan.context.merge import merge
from chittycan.errors import Forbidden
from chittycan.workstreams.task import Done, Failed
from performing import MakeOffice


async def test_the_result_is_stored_under_its_key_by_the_task(office: MakeOffice) -> None:
    made = await office()
    made.says("strong", '{"risk": 7}', '{"level": 2}', "plain")
    fields: Any = {"model": "strong", "session": "case", "store": "review", "title": "The review"}
    await made.network.context.store("case", {"other": 1})
    for text in ({"risk": 7}, {"level": 2}, "plain"):
        assert isinstance(await made.perform(**fields), Done)
        context = await made.network.context.retrieve("case")
        assert context.document == {"other": 1, "review": text}
    last = (await made.network.context.history("case"))[0]
    assert (last.by.kind, last.by.name, last.by.task) == ("task", "The review", "task_1")
    assert "review" not in context.labels


async def test_what_was_read_from_outside_and_what_is_private_is_labelled(office: MakeOffice) -> None:
    made = await office(models={"mine": {"proxy": "home", "upstream": "cheap", "private": True}})
    mail = await made.mail("01")
    fields: Any = {"session": "case", "store": "x", "spec": {"prompt": "?", "files": [mail]}}
    assert isinstance(await made.perform(model="mine", options={"private": True}, **fields), Done)
    context = await made.network.context.retrieve("case")
    assert context.labels["x"] == Label("private", "outside")


async def test_another_keys_session_is_out_of_reach_and_the_cost_is_kept(office: MakeOffice) -> None:
    made = await office()
    await made.network.context.store("mine", {})
    outcome = await made.perform(model="strong", session="mine", store="x", key_id=await made.key())
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, Forbidden)
    assert outcome.cost_nano


async def test_an_approval_is_kept_as_a_whole(office: MakeOffice) -> None:
    made = await office()
    answer = {"decision": "approved", "by": "anna"}
    await made.perform("approval", spec={"show": {"a": 1}}, answer=answer, session="case", store="said")
    document = (await made.network.context.retrieve("case")).document
    assert document["said"] == {"decision": "approved", "by": "anna", "values": {"a": 1}}


json_values = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, json_values)
def test_the_patch_leaves_nothing_of_what_was_there(old: Any, new: Any) -> None:
    assert merge({"key": old}, {"key": replacing(old, new)}) == {"key": new}
