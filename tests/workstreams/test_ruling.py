"""The owner's rules over tasks, when they are submitted."""

from typing import Any

import pytest

from chittycan.errors import Forbidden
from chittycan.routing.rules.book import Book, Rule
from chittycan.workstreams.recipe_file import parse
from chittycan.workstreams.ruling import LEVELS, Ruling, facts_of, ruled, ruled_stream
from chittycan.workstreams.task import Task
from chittycan.workstreams.workstream import Workstream

RECIPE = """
name: release
steps:
  - id: one
    task: Write the notes.
"""


def ruling(condition: str, action: str) -> Ruling:
    book = Book([Rule(id="r1", name="r1", condition=condition, action=action)])
    return book.apply


def task(**more: Any) -> Task:
    return Task(id="t", **more)


def test_the_promised_rules_work_on_tasks() -> None:
    found = ruled(task(), {"branch": "main"}, ruling("branch:main", "priority:high"))
    assert found.priority == LEVELS["high"]
    found = ruled(task(priority=-20), {}, ruling("priority:low", "model:llama-scout"))
    assert found.model == "llama-scout"
    assert ruled(task(), {"branch": "dev"}, ruling("branch:main", "priority:high")) == task()


def test_what_whoever_submitted_said_stands_but_private_always_holds() -> None:
    asked = task(model="gpt-4", priority=5)
    found = ruled(asked, {}, ruling("source:task", "model:small, priority:critical, private"))
    assert (found.model, found.priority, found.options) == ("gpt-4", 5, {"private": True})


@pytest.mark.parametrize(
    ("priority", "level"), [(-100, "low"), (-1, "low"), (0, "normal"), (10, "high"), (50, "critical")]
)
def test_numbers_have_a_level(priority: int, level: str) -> None:
    assert facts_of(task(priority=priority), {})["priority"] == level


def test_nobody_passes_for_something_else_by_its_facts() -> None:
    assert facts_of(task(kind="code"), {"kind": "email.triage", "source": "mail", "private": "x"}) == facts_of(
        task(kind="code"), {}
    )


def test_a_rule_binds_to_a_region_and_nobody_asks_for_another_one() -> None:
    bind = ruling("branch:main", "region:eu-west, label:release")
    found = ruled(task(), {"branch": "main"}, bind)
    assert found.options == {"region": "eu-west", "labels": ["release"]}
    assert ruled(task(options={"region": "eu-west"}), {"branch": "main"}, bind).region == "eu-west"
    with pytest.raises(Forbidden, match="region eu-west, and us-east was asked for") as refused:
        ruled(task(options={"region": "us-east"}), {"branch": "main"}, bind)
    assert refused.value.code == "region_conflict"


def test_of_a_workstream_rules_can_ask_what_its_inputs_say() -> None:
    stream = Workstream(id="w", name="release", recipe=parse(RECIPE), inputs={"branch": "main", "count": 3})
    found = ruled_stream(stream, ruling("branch:main", "priority:high, region:eu-west, private"))
    assert (found.priority, found.options.region, found.options.private) == (LEVELS["high"], "eu-west", True)
    assert ruled_stream(stream, ruling("branch:dev", "private")) == stream
    assert ruled_stream(stream, ruling("kind:release", "private")).options.private


def test_rules_ask_of_each_text_of_a_list() -> None:
    stream = Workstream(id="w", name="release", recipe=parse(RECIPE), inputs={"label": ["web", "court"], "branch": []})
    assert ruled_stream(stream, ruling("label:court", "private")).options.private
    assert ruled_stream(stream, ruling("label:legal", "private")) == stream
