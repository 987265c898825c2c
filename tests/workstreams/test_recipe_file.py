"""Recipes from YAML, JSON and Python files; what is wrong with their shape, by line."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.errors import ConfigError, NotFound
from chittycan.workstreams.problems import Problem
from chittycan.workstreams.recipe import Recipe
from chittycan.workstreams.recipe_file import check, load_file, parse, shipped, shipped_text

SHORT = """\
name: short
inputs: {who: text}
steps:
  - {id: a, task: "Hi ${inputs.who}"}
  - {id: b, agent: {name: triage, mail: "${inputs.mail}"}}
"""


def problems(text: str) -> list[tuple[int | None, str, str]]:
    return [(each.line, each.where, each.what) for each in check(text)[1]]


def test_yaml_json_and_the_stored_form_are_the_same_recipe() -> None:
    recipe = parse("name: x\nsteps: [{id: a, task: Hi}, {id: w, wait: 2h}]")
    steps = [{"id": "a", "task": "Hi"}, {"id": "w", "wait": {"for": "2h"}}]
    assert parse(json.dumps({"name": "x", "steps": steps})) == recipe
    assert msgspec.json.decode(msgspec.json.encode(recipe), type=Recipe) == recipe
    assert parse(msgspec.json.encode(recipe).decode()) == recipe


def test_scalars_are_what_they_look_like_and_dates_and_clocks_are_text() -> None:
    text = """
name: x
inputs:
  all:
    type: object
    default:
      {clock: 12:30, day: 2026-12-01, no: no, yes: true, nil: null, n: 07, m: 7, f: 1.5, e: 1e3, inf: 1e999, q: "7"}
steps: [{id: a, task: Hi}]
"""
    assert parse(text).inputs["all"].default == {
        "clock": "12:30", "day": "2026-12-01", "no": "no", "yes": True, "nil": None, "n": "07", "m": 7, "f": 1.5,
        "e": 1000.0, "inf": "1e999", "q": "7",
    }  # fmt: skip


def test_every_problem_is_named_with_its_line_at_once() -> None:
    text = """\
name: x
stepz: 3
inputs: {n: numbr}
steps:
  - id: A
    task: Hi
    modle: x
  - id: b
    task: {prompt: 3}
    wait: 2h
  - task: Hi
    id: c
    on_failure: ignore
    budget_usd: 0
  - id: d
"""
    assert problems(text) == [
        (2, "stepz", "unknown key 'stepz'"),
        (3, "inputs.n.type", "'numbr' is not a choice"),
        (5, "steps[0].id", "'A' cannot be a name"),
        (7, "steps[0].modle", "unknown key 'modle'"),
        (8, "steps[1]", "the step has 2 kinds of work: task, wait"),
        (9, "steps[1].task.prompt", "text is needed, this is a number"),
        (13, "steps[2].on_failure", "'ignore' is not a choice"),
        (14, "steps[2].budget_usd", "must be more than 0"),
        (15, "steps[3]", "the step has no work"),
    ]


def test_the_fix_suggests_what_was_meant() -> None:
    fixes = {each.where: each.fix for each in check("name: x\nsteps: [{id: a, taks: Hi}]\nprivat: true")[1]}
    assert fixes["steps[0].taks"] == "Did you mean 'task'?"
    assert fixes["privat"] == "Did you mean 'private'?"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "'name' is missing"),
        ("- a", 1, "an object is needed, this is a list"),
        ("name: x\nsteps: [{id: a, task: Hi}", 2, "broken YAML"),
        ("name: x\nname: y\nsteps: [{id: a, task: Hi}]", 2, "the key 'name' is written twice"),
        ("name: x\nsteps: []", 2, "there is nothing in it"),
        ("name: x\nsteps: [{id: a, agent: {name: triage, mail: ${inputs.mail}}}]", 2, "broken YAML"),
        ("name: &n x\nsteps: &s [{id: a, steps: *s}]", 2, "aliases make it endless"),
        ("a" * 300_000, None, "longer than"),
        ("name: x\nsteps: [{id: a, task: }]", 2, "nothing is given"),
    ],
)
def test_a_broken_text_is_refused_where_it_breaks(text: str, line: int | None, says: str) -> None:
    recipe, found = check(text)
    assert recipe is None
    assert found[0].line == line
    assert says in found[0].what


def test_a_small_text_cannot_become_huge() -> None:
    levels = "\n".join(f"_{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 9))
    found = check(f"_0: &a0 [x]\n{levels}\nname: x\nsteps: [{{id: a, task: Hi}}]")[1]
    assert "too large" in found[0].what


def test_the_error_names_the_file_the_first_line_and_all_the_rest() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("name: x\nsteps: [{id: a, taks: Hi}]\nprivat: true", "flows/x.yaml")
    assert str(caught.value) == "flows/x.yaml:2:1: steps[0].taks: unknown key 'taks'"
    assert "flows/x.yaml:3: privat" in (caught.value.fix or "")


def test_a_warning_keeps_nothing_from_running() -> None:
    text = "name: x\nsteps: [{id: a, task: Hi}, {id: b, send: {to: x@y.test, subject: s, body: '${a.text}'}}]"
    recipe, found = check(text)
    assert recipe is not None
    assert [each.level for each in found] == ["warning"]
    assert parse(text) == recipe


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("\ufeffname: x\nsteps: [{id: a, task: Grüß}]", "utf-8")
    assert load_file(file).steps[0].work.prompt == "Grüß"


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no recipe at"):
        load_file(tmp_path / "gone.yaml")
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_file(tmp_path / "x.yaml")


PYTHON = """\
from chittycan.workstreams.recipe import Recipe, Step, Task
recipe = Recipe(name="py", steps=[Step(id=f"s{n}", task=Task(prompt="Hi")) for n in range(3)])
"""


def test_a_python_file_makes_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text(PYTHON)
    assert [step.id for step in load_file(tmp_path / "x.py").steps] == ["s0", "s1", "s2"]


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("x = 1\n1 / 0\n", r"x\.py:2:1: the program failed: ZeroDivisionError"),
        ("recipe = {}", "sets no `recipe`"),
        (PYTHON.replace("s{n}", "s"), "two steps are called 's'"),
    ],
)
def test_a_python_file_that_makes_none_is_refused(tmp_path: Path, program: str, says: str) -> None:
    (tmp_path / "x.py").write_text(program)
    with pytest.raises(ConfigError, match=says):
        load_file(tmp_path / "x.py")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["task", "Hi ${a.text}", "2h"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "task", "steps", "for_each", "in", "when", "if", "then", "wait", "x"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_steps_make_a_recipe_or_problems_and_never_a_crash(steps: Any) -> None:
    recipe, found = check(json.dumps({"name": "x", "steps": steps}))
    assert recipe is not None or found
    assert all(isinstance(each, Problem) and each.fix for each in found)


@given(st.text(max_size=80))
def test_any_text_makes_problems_and_never_a_crash(text: str) -> None:
    assert check(text)[1]


def test_the_recipes_that_come_along_are_right() -> None:
    assert shipped() == ["document-folder", "inbox-digest", "legal-pipeline", "nightly-digest"]
    for name in shipped():
        assert check(shipped_text(name)) == (parse(shipped_text(name)), [])
        assert parse(shipped_text(name)).name == name


def test_an_unknown_recipe_is_refused_with_the_nearest() -> None:
    with pytest.raises(NotFound, match="did you mean 'legal-pipeline'"):
        shipped_text("legal-pipelin")


def test_the_legal_pipeline_has_four_models_in_their_order_and_a_person_before_anything_goes_out() -> None:
    steps = parse(shipped_text("legal-pipeline")).steps
    assert [step.model for step in steps if step.model] == ["llama-scout", "claude-sonnet-4-5", "gpt-4", "smollm2"]
    kinds = [step.kind for step in steps]
    assert kinds.index("approval") < kinds.index("when")
