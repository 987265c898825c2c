"""Pure: what a workstream that is begun anew from one of its steps keeps of what was done."""

import re
from collections.abc import Mapping

from chittycan.errors import NotFound
from chittycan.workstreams.expressions import nearest
from chittycan.workstreams.plan import StepState
from chittycan.workstreams.recipe import Recipe, Step, every_step

_ITEM = re.compile(r"([a-z][a-z0-9_]*)\[(\d+)\]")


def fork_states(recipe: Recipe, states: Mapping[str, StepState], from_step: str) -> dict[str, StepState]:
    """The states that stand: of all that does not come after `from_step`, which is run again.

    `from_step` is an id, or a path such as `each[3].review`, which leaves the other items of the loop as they
    are. A step in another branch of a `parallel` does not come after. Raises NotFound for an unknown step.
    """
    items = {loop: int(index) for loop, index in _ITEM.findall(from_step)}
    name = _ITEM.sub(r"\1", from_step).rpartition(".")[2]
    known = {step.id for step in every_step(recipe.steps)}
    if name not in known or not items.keys() <= known:
        raise NotFound(f"the recipe has no step {from_step[:80]!r}{nearest(name, sorted(known))}", param="from")
    again, _ = _after(recipe.steps, name)
    inside = {step.id for loop in items for each in every_step(recipe.steps) if each.id == loop
              for block in each.blocks for step in every_step(block)}  # fmt: skip

    def kept(path: str) -> bool:
        id_ = _ITEM.sub(r"\1", path).rpartition(".")[2]
        if id_ not in again:
            return True
        other = any(items.get(loop, int(index)) != int(index) for loop, index in _ITEM.findall(path))
        return id_ in inside and other

    return {path: state for path, state in states.items() if kept(path)}


def _after(steps: list[Step], name: str) -> tuple[set[str], bool]:
    """The ids of `name`, of what is in it, and of what comes after it; and whether it is among `steps`."""
    for place, step in enumerate(steps):
        if step.id == name:
            return {each.id for each in every_step(steps[place:])}, True
        for block in step.blocks:
            again, found = _after(block, name)
            if found:
                return again | {each.id for each in every_step(steps[place + 1 :])}, True
    return set(), False
