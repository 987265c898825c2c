"""Ensembles: which there are, and one answer of several models with who said what."""

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from chittycan.control.operation import operation, usd
from chittycan.errors import Forbidden, InvalidRequest

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.routing.ensembles.counting import Member

SECONDS = 660.0  # the gateway gives a call up after 600
ROUTE = "ensembles"  # what a key's `routes` call this


class EnsembleRow(Struct, kw_only=True):
    """An ensemble of models.json; `model` is what clients call. `why`: what is wrong, where it cannot be called."""

    model: str
    models: list[str] = []
    mode: str = ""
    extract: str = ""
    quorum: int = 0
    why: str | None = None


class MemberRow(Struct, kw_only=True):
    """One model's part. `error`: why it abstained. `value`: what was read of its `text`."""

    model: str
    role: Literal["member", "strong", "judge"]
    text: str | None
    value: Any
    cost_usd: float | None
    ms: float
    error: str | None
    request_id: str | None


class EnsembleResult(Struct, kw_only=True):
    """`text` is the answer and `value` what was read of it. `agreement`: the share that says the same, 0 to 1;
    `dissent`: who says something else. `decided_by`: agreement, majority, tie, weights, median, mean, strong, judge
    or fuse. `cost_usd` is the sum, null where a price is unknown."""

    model: str
    text: str
    value: Any
    mode: str
    agreement: float
    decided_by: str
    dissent: list[str]
    notes: list[str]
    members: list[MemberRow]
    cost_usd: float | None
    ms: float
    tokens: int
    route: str
    request_id: str


@operation("GET", "/ensembles")
async def listed(network: "Network", caller: "Key | None") -> list[EnsembleRow]:
    """The ensembles of models.json."""
    from chittycan.catalogue import ENSEMBLE

    catalogue = network.gateway.catalogue
    rows = [
        EnsembleRow(
            model=name, models=list(found.models), mode=found.mode, extract=found.reads, quorum=found.needed
        )
        for name, found in catalogue.ensembles.items()
        if caller is None or caller.models is None or name in caller.models
    ]  # fmt: skip
    broken = {name: why for name, why in catalogue.unavailable.items() if name.startswith(ENSEMBLE)}
    return rows + [EnsembleRow(model=name, why=why) for name, why in broken.items()]


@operation("POST", "/ensembles", seconds=SECONDS)
async def ask(
    network: "Network",
    caller: "Key | None",
    *,
    prompt: str = "",
    request: dict[str, Any] | None = None,
    name: str | None = None,
    models: list[str] | None = None,
    mode: str | None = None,
    extract: str | None = None,
    weights: dict[str, float] | None = None,
    tolerance: float | None = None,
    quorum: int | None = None,
    judge: str | None = None,
    strong: str | None = None,
    budget_usd: float | None = None,
    timeout: float | None = None,
    kind: str | None = None,
    session: str | None = None,
    region: str | None = None,
    private: bool = False,
) -> EnsembleResult:
    """One answer of several models to this prompt (or this `request`, an OpenAI chat request).

    Either `models` are named (models or providers), or `name` is an ensemble of models.json, of which the other
    fields then change what they say. `timeout`: seconds for the members, and again for who has the last word.
    """
    from chittycan.chat import ChatRequest, user
    from chittycan.dialects import load
    from chittycan.gateway.call import Options
    from chittycan.routing.ensembles.seating import chosen

    _admit(caller, kind)
    if request is None and not prompt.strip():
        raise InvalidRequest("There is no prompt.", param="prompt")
    if request is not None:
        chat: ChatRequest = load("openai").parse_request({**request, "model": ROUTE})
    else:
        chat = ChatRequest(model=ROUTE, messages=[user(prompt)])
    shape = {
        "mode": mode, "extract": extract, "weights": weights, "tolerance": tolerance, "quorum": quorum,
        "judge": judge, "strong": strong, "timeout": timeout,
        "budget_nano": None if budget_usd is None else round(budget_usd * 1e9),
    }  # fmt: skip
    ensemble = chosen(network.gateway.catalogue, name, models or (), shape)
    options = Options(kind=kind, session=session, region=region, private=private)
    key = None if caller is None or caller.admin else caller
    answer = await network.gateway.ensemble(chat, ensemble, options, key, name=name)
    verdict, usage = answer.verdict, answer.trace.usage
    return EnsembleResult(
        model=answer.model, text=answer.text, value=verdict.value, mode=ensemble.mode, agreement=verdict.agreement,
        decided_by=verdict.decided_by, dissent=list(verdict.dissent), notes=list(verdict.notes),
        members=[_row(member) for member in verdict.members], cost_usd=answer.cost_usd, ms=round(answer.ms, 1),
        tokens=usage.input + usage.output if usage is not None else 0, route=answer.trace.route,
        request_id=answer.trace.request_id,
    )  # fmt: skip


def _admit(caller: "Key | None", kind: str | None) -> None:
    """A key for certain routes or kinds of task is for no other."""
    if caller is None:
        return
    if caller.routes is not None and ROUTE not in caller.routes:
        raise Forbidden(f"This key may not use the route '{ROUTE}'.", code="route_not_allowed")
    if caller.kinds is not None and kind not in caller.kinds:
        raise Forbidden(f"This key is for {', '.join(sorted(caller.kinds))} only.", code="kind_not_allowed")


def _row(member: "Member") -> MemberRow:
    return MemberRow(
        model=member.model, role=member.role, text=member.text, value=member.value, cost_usd=usd(member.cost_nano),
        ms=member.ms, error=member.error, request_id=member.request_id,
    )  # fmt: skip
