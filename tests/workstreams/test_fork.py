"""What is kept when a workstream is begun anew from one of its steps."""

import pytest

from chittycan.errors import NotFound
from chittycan.workstreams.fork import fork_states
from chittycan.workstreams.plan import StepState
from chittycan.workstreams.recipe_file import parse

RECIPE = parse("""
name: test
steps:
  - {id: a, task: Hi}
  - id: both
    parallel:
      - id: left
        steps: [{id: b, task: Hi}, {id: c, task: Hi}]
      - {id: d, task: Hi}
  - id: each
    for_each: {in: [1, 2], steps: [{id: e, task: Hi}, {id: f, task: Hi}]}
  - {id: g, task: Hi}
""")
PATHS = ["a", "b", "c", "d", "each[0].e", "each[0].f", "each[1].e", "each[1].f", "g"]
STATES = {path: StepState(path=path, status="done") for path in PATHS}


@pytest.mark.parametrize(
    ("begin", "kept"),
    [
        ("a", []),
        ("b", ["a", "d"]),
        ("c", ["a", "b", "d"]),
        ("d", ["a", "b", "c"]),
        ("both", ["a"]),
        ("each", ["a", "b", "c", "d"]),
        ("f", ["a", "b", "c", "d", "each[0].e", "each[1].e"]),
        ("each[1].f", ["a", "b", "c", "d", "each[0].e", "each[0].f", "each[1].e"]),
        ("each[0].e", ["a", "b", "c", "d", "each[1].e", "each[1].f"]),
        ("g", PATHS[:-1]),
    ],
)
def test_what_does_not_come_after_is_kept(begin: str, kept: list[str]) -> None:
    assert list(fork_states(RECIPE, STATES, begin)) == kept


def test_an_unknown_step_is_refused_with_what_there_is() -> None:
    with pytest.raises(NotFound, match="no step 'bothe'; did you mean 'both'"):
        fork_states(RECIPE, STATES, "bothe")
