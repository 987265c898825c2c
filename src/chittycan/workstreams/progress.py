"""Pure: how far a workstream has come, step by step, for whoever watches."""

import re
from collections.abc import Mapping

from msgspec import Struct

from chittycan.workstreams.plan import StepState
from chittycan.workstreams.recipe import LEAVES, Recipe, Step


class Node(Struct, kw_only=True):
    """A step, or an item of a loop (type `item`). Times are Unix seconds; cost is nano-dollars, with all inside.

    `model` served, or was asked for while nobody has; `instead_of` is whom it stood in for.
    `status` of a leaf is its task's, or `pending`, or `skipped`; a block is pending, running, done, failed or
    skipped.
    """

    path: str
    title: str
    type: str
    status: str
    model: str | None = None
    instead_of: str | None = None
    waiting_for: str | None = None
    error: str | None = None
    started_at: float | None = None
    ended_at: float | None = None
    cost_nano: int = 0
    children: list["Node"] = []


class Progress(Struct, kw_only=True):
    """The tree, and of its leaves how many there are so far, and how many are over."""

    steps: list[Node]
    total: int
    over: int
    cost_nano: int


def progress(recipe: Recipe, states: Mapping[str, StepState], *, ended: bool = False) -> Progress:
    """The state of every step. `ended`: the workstream is over, so that what has not run never will."""
    nodes = _Tree(states, ended).sequence(recipe.steps, "")
    leaves = [leaf for node in nodes for leaf in _leaves(node)]
    over = sum(leaf.status in _OVER for leaf in leaves)
    return Progress(steps=nodes, total=len(leaves), over=over, cost_nano=sum(node.cost_nano for node in nodes))


_OVER = ("done", "failed", "cancelled", "skipped")


class _Tree:
    def __init__(self, states: Mapping[str, StepState], ended: bool) -> None:
        self._states, self._ended = states, ended

    def sequence(self, steps: list[Step], at: str) -> list[Node]:
        nodes = [self._node(step, at) for step in steps]
        passed = self._ended
        for node in reversed(nodes):  # a later step has begun: what has not run before it never will
            if passed and node.status == "pending":
                _skip(node)
            passed = passed or node.status not in ("pending", "skipped")
        return nodes

    def _node(self, step: Step, at: str) -> Node:
        path, title = at + step.id, step.title or step.id
        if step.kind in LEAVES:
            return _leaf(path, title, step, self._states.get(path))
        if step.for_each is not None:
            children = [self._item(step, f"{path}[{index}]") for index in range(self._items(path))]
        elif step.parallel is not None:
            children = [self._node(each, at) for each in step.parallel]
        elif step.when is not None:
            children = self._cases(step, at)
        else:
            children = self.sequence(step.steps or [], at)
        return _block(path, title, step.kind, children)

    def _cases(self, step: Step, at: str) -> list[Node]:
        """Once one case has begun, the other one's steps are skipped."""
        cases = [self.sequence(block, at) for block in step.blocks]
        begun = [any(node.status not in ("pending", "skipped") for node in case) for case in cases]
        if any(begun):
            for case, mine in zip(cases, begun, strict=True):
                for node in () if mine else case:
                    _skip(node)
        return [node for case in cases for node in case]

    def _item(self, step: Step, path: str) -> Node:
        assert step.for_each is not None
        return _block(path, f"{step.title or step.id}[{path[path.rfind('[') + 1 : -1]}]", "item",
                      self.sequence(step.for_each.steps, f"{path}."))  # fmt: skip

    def _items(self, path: str) -> int:
        """How many items have begun."""
        begun = re.compile(re.escape(path) + r"\[(\d+)\]\.")
        return max((int(found[1]) + 1 for name in self._states if (found := begun.match(name))), default=0)


def _leaf(path: str, title: str, step: Step, state: StepState | None) -> Node:
    if state is None:
        model = step.model or step.policy or step.assignment
        return Node(path=path, title=title, type=step.kind, status="pending", model=model)
    return Node(
        path=path,
        title=title,
        type=step.kind,
        status=state.status,
        model=state.model or step.model or step.policy or step.assignment,
        instead_of=state.result.get("instead_of"),
        waiting_for=state.waiting_for,
        error=state.error,
        started_at=state.started_at,
        ended_at=state.ended_at,
        cost_nano=state.cost_nano or 0,
    )


def _block(path: str, title: str, kind: str, children: list[Node]) -> Node:
    begun = [node.started_at for node in children if node.started_at is not None]
    over = all(node.status in _OVER for node in children)
    ends = [node.ended_at for node in children if node.ended_at is not None]
    return Node(
        path=path,
        title=title,
        type=kind,
        status=_together([node.status for node in children]),
        error=next((node.error for node in children if node.error), None),
        started_at=min(begun, default=None),
        ended_at=max(ends, default=None) if over else None,
        cost_nano=sum(node.cost_nano for node in children),
        children=children,
    )


def _together(statuses: list[str]) -> str:
    if all(status == "pending" for status in statuses):
        return "pending"
    if all(status == "skipped" for status in statuses):
        return "skipped"
    if any(status not in _OVER for status in statuses):
        return "running"
    return "failed" if any(status in ("failed", "cancelled") for status in statuses) else "done"


def _skip(node: Node) -> None:
    node.status = "skipped"
    for child in node.children:
        if child.status == "pending":
            _skip(child)


def _leaves(node: Node) -> list[Node]:
    if node.type in LEAVES:
        return [node]
    return [leaf for child in node.children for leaf in _leaves(child)]
