"""The decision without the call: who would answer, and why."""

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from chittycan.control.operation import operation

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key


class Considered(Struct, kw_only=True):
    """One model that was considered: in the chain or not, and why. `resting`: it would be passed over now."""

    model: str
    provider: str | None
    kept: bool
    why: str
    resting: bool = False


class Explanation(Struct, kw_only=True):
    """`chain` in the order of asking; `label` is how private the work was taken to be."""

    asked: str
    route: str
    label: str
    chain: list[str]
    considered: list[Considered]


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
    named_only: bool = False,
) -> Explanation:
    """Who would answer this prompt (or this `request`, an OpenAI chat request), and why; nobody is asked.

    `named_only`: as a client would be served, without the default chain that the command line adds.
    """
    from chittycan.chat import ChatRequest, user
    from chittycan.dialects import load
    from chittycan.gateway.call import Call, Options

    if request is not None:
        chat: ChatRequest = load("openai").parse_request({"model": model, **request})
    else:
        chat = ChatRequest(model=model, messages=[user(prompt)])
    options = Options(kind=kind, region=region, private=private, models=tuple(models or ()))
    key = None if caller is None or caller.admin else caller
    call = Call(
        request_id="", model=chat.model, options=options, key=key, parsed=chat,
        keep_answering=key is None and not named_only,
    )  # fmt: skip
    decision = network.gateway.decide(call)
    providers = {candidate.model.name: candidate for candidate in decision.chain}
    rows = []
    for reason in decision.reasons:
        found = providers.get(reason.model)
        resting = found is not None and network.gateway.health.rests_for(found.model, found.provider) != 0
        provider = found.provider.name if found else None
        rows.append(
            Considered(model=reason.model, provider=provider, kept=reason.kept, why=reason.why, resting=resting)
        )
    return Explanation(
        asked=chat.model, route=decision.route, label=decision.label, considered=rows,
        chain=[candidate.model.name for candidate in decision.chain],
    )  # fmt: skip
