"""The decision without the call: who would answer, and why."""

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from chittycan.control.operation import operation, usd

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.gateway.call import Call
    from chittycan.routing.decide import Decision, Reason


class Considered(Struct, kw_only=True):
    """One model: in the chain or not, and why. `resting`: it would be passed over now. `left_out`: nothing led to it.

    A model that runs in several places has a line for each; `place` (`provider/upstream`) says which. `position` in the
    chain begins at 1. Of equals it is that of this moment.
    `cost_usd` is what such a call is expected to cost, `quality` (0 to 1) what its answer is expected to be worth; null
    where nobody knows.
    """

    model: str
    provider: str | None
    kept: bool
    why: str
    resting: bool = False
    left_out: bool = False
    position: int | None = None
    place: str | None = None
    cost_usd: float | None = None
    quality: float | None = None


class Explanation(Struct, kw_only=True):
    """`chain` in the order of asking; `label` is how private the work was taken to be; `kind` the caller's, or told
    from the request. `because`: what made it private, and what binds it to a region."""

    asked: str
    route: str
    label: str
    kind: str | None
    chain: list[str]
    considered: list[Considered]
    because: list[str] = []


@operation("POST", "/explain")
async def explain(
    network: "Network",
    caller: "Key | None",
    *,
    model: str = "auto",
    prompt: str = "",
    request: dict[str, Any] | None = None,
    kind: str | None = None,
    region: str | None = None,
    private: bool = False,
    models: list[str] | None = None,
    session: str | None = None,
    max_cost_usd: float | None = None,
    named_only: bool = False,
) -> Explanation:
    """Who would answer this prompt (or this `request`, an OpenAI chat request), and why; nobody is asked.

    What a caller may ask for in `x-chitty-*` headers may also stand in the request, as its field `chitty`. The session
    counts as it would in a call: what is private in it makes the call private. `named_only`: as a client would be
    served, without the default chain that the command line adds.
    """
    import asyncio

    from chittycan.chat import ChatRequest, user
    from chittycan.dialects import load
    from chittycan.gateway.call import Call
    from chittycan.gateway.options import options_of

    fields = dict(request or {})
    wishes = {
        "kind": kind, "region": region, "private": private or None, "models": models or None, "session": session,
        "max_cost_usd": max_cost_usd,
    }  # fmt: skip
    wishes = {name: wish for name, wish in wishes.items() if wish is not None}
    written = fields.pop("chitty", None)
    options = options_of({}, {"chitty": written | wishes if isinstance(written, dict) else written or wishes})
    if request is not None:
        chat: ChatRequest = load("openai").parse_request({"model": model, **fields})
    else:
        chat = ChatRequest(model=model, messages=[user(prompt)])
    key = None if caller is None or caller.admin else caller
    call = Call(
        request_id="", model=chat.model, options=options, key=key, parsed=chat,
        keep_answering=key is None and not named_only,
    )  # fmt: skip
    because = await asyncio.to_thread(_because, network, call)
    decision = await network.gateway.explained(call)
    if decision.label == "private" and session is not None and not because:
        because = ["private: the session's document, or the mail it is about"]
    return Explanation(
        asked=chat.model, route=decision.route, label=decision.label, kind=decision.kind,
        chain=list(dict.fromkeys(candidate.model.name for candidate in decision.chain)),
        considered=_rows(network, decision), because=because,
    )  # fmt: skip


def _because(network: "Network", call: "Call") -> list[str]:
    """What makes a call private or binds it to a region, besides its session; to be asked before it is prepared."""
    from chittycan.gateway.ruling import applied_to
    from chittycan.gateway.texts import texts

    applied, gate = applied_to(call, network.rules.book), network.gateway.privacy
    said = []
    if call.options.private:
        said.append("private: the caller says so")
    if applied.values.get("private"):
        said.append(f"private: the rule {applied.why['private']}")
    if gate.mode != "off":
        kinds = dict.fromkeys(found.kind for text in texts(call.parsed) for found in gate.findings(text))
        if kinds:
            said.append(f"private: it holds {', '.join(kinds)}")
    if "region" in applied.values:
        said.append(f"region {applied.values['region']}: the rule {applied.why['region']}")
    return said


def _rows(network: "Network", decision: "Decision") -> list[Considered]:
    """In the order of the decision's reasons; where the moment orders the chain, those of the chain first."""
    rows = [_row(network, decision, reason) for reason in decision.reasons]
    return sorted(rows, key=lambda row: row.position or len(rows) + 1) if decision.equals else rows


def _row(network: "Network", decision: "Decision", reason: "Reason") -> Considered:
    found = next(
        (
            each
            for each in decision.chain
            if reason.kept
            and each.model.name == reason.model
            and reason.place in (None, each.provider.name, "/".join(each.model.place))
        ),
        None,
    )
    resting = found is not None and network.gateway.health.rests_for(found.model, found.provider) != 0
    return Considered(
        model=reason.model, provider=found.provider.name if found else None, kept=reason.kept, why=reason.why,
        position=None if found is None else decision.chain.index(found) + 1, place=reason.place, resting=resting,
        left_out=reason.left_out, cost_usd=usd(reason.cost_nano), quality=reason.quality,
    )  # fmt: skip
