"""The type `ensemble`: one prompt to several models, one answer."""

from typing import Any

from msgspec.structs import replace

from chittycan.agents.performers.calls import Calls, chain_of
from chittycan.agents.performers.material import gathered, request_of
from chittycan.agents.performers.parts import Assembled, Parts
from chittycan.agents.performers.prompt import plain
from chittycan.catalogue import Ensemble
from chittycan.chat import ChatRequest
from chittycan.errors import ChittyError, UnknownModel
from chittycan.routing.decide import AUTO
from chittycan.routing.ensembles.counting import Member
from chittycan.routing.ensembles.seating import SHAPE, chosen
from chittycan.workstreams.task import Done, Outcome, Task


async def perform(parts: Parts, task: Task) -> Outcome:
    """Asks all of `models`, or those of the ensemble `name` of models.json, which the other fields then change.

    Where none of them can be called here at all, the first model of the default chain answers alone, and `instead_of`
    says for whom. A member of an unknown name abstains. `result`: `text`, `value`, `json`, `agreement`, `decided_by`,
    `dissent`, `members` (each with model, role, text, value, cost_nano, ms, error), `notes`. Files and the results of
    earlier tasks are given along as in `prompt`.
    """
    material = await gathered(parts, task)
    calls = await Calls.of(parts, task, private=material.private)
    request = request_of(task, AUTO, material)
    try:
        ensemble, name = _seated(parts, task, calls, request)
        answer = await calls.ensemble(request, ensemble, name)
    except ChittyError as error:
        return calls.failed(error)
    return Done(result=_told(answer, calls), model=answer.verdict.author, cost_nano=calls.cost_nano)


def _seated(parts: Parts, task: Task, calls: Calls, request: ChatRequest) -> tuple[Ensemble, str | None]:
    """Who is asked, and the ensemble's own name. Raises ChittyError where it makes no sense."""
    catalogue, spec = parts.gateway.catalogue, task.spec
    shape = {name: spec[name] for name in SHAPE if spec.get(name)}
    name, models = spec.get("name"), tuple(spec.get("models") or ())
    try:
        ensemble = chosen(catalogue, name, models, shape, all_known=False)
    except UnknownModel:
        ensemble = chosen(catalogue, None, models or (AUTO,), shape, all_known=False)
    if chain_of(ensemble, catalogue):
        return ensemble, name
    calls.instead_of = name or ", ".join(ensemble.models)
    alone = calls.first_of_default(request)
    return replace(ensemble, models=(alone,), strong=None, judge=None, weights={}, quorum=None), None


def _told(answer: Assembled, calls: Calls) -> dict[str, Any]:
    verdict = answer.verdict
    json = verdict.value if isinstance(verdict.value, dict | list) else plain(answer.text)
    return {
        "text": answer.text,
        "value": verdict.value,
        "json": json,
        "agreement": verdict.agreement,
        "decided_by": verdict.decided_by,
        "dissent": list(verdict.dissent),
        "members": [_member(each) for each in verdict.members],
        "notes": list(verdict.notes),
        **calls.marks,
    }


def _member(member: Member) -> dict[str, Any]:
    return {name: getattr(member, name) for name in ("model", "role", "text", "value", "cost_nano", "ms", "error")}
