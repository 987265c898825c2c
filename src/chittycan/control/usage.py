"""What the ledger says: one request, sums per provider, model, key or kind, and how agents and routing do."""

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from chittycan.control.operation import operation, owns, usd
from chittycan.errors import NotFound

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.usage.queries import By, Group, Queries

Grouping = Literal["provider", "model", "provider/model", "key", "kind", "agent", "session", "task", "decision"]


class AttemptUsage(Struct, kw_only=True):
    """One try at one model.

    `outcome`: ok, absorbed (another model made it good), failed, cancelled, cached, hedged (another one was quicker).
    """

    model: str
    provider: str
    outcome: str
    failure: str | None
    status: int | None
    ms: float
    input: int
    output: int
    cached: int
    cache_write: int
    reasoning: int
    cost_usd: float | None


class RequestUsage(Struct, kw_only=True):
    """One request and its attempts in order. `cost_usd` is null where a price is unknown; times in milliseconds.

    `embedded`: the model that comes with the program answered, whatever it is called.
    """

    request_id: str
    outcome: str
    model: str
    provider: str
    decision: str | None
    ms: float
    first_token_ms: float | None
    input: int
    output: int
    cached: int
    cost_usd: float | None
    embedded: bool
    attempts: list[AttemptUsage]


class UsageGroup(Struct, kw_only=True):
    """What one group did. Attempts that another model made good are in `absorbed`, not in calls or errors.

    `unpriced` counts calls whose price is unknown and which `cost_usd` therefore lacks. Latencies: milliseconds.
    """

    name: str | None
    calls: int
    errors: int
    absorbed: int
    cancelled: int
    cache_hits: int
    input: int
    output: int
    cached: int
    cost_usd: float
    unpriced: int
    ms_p50: float | None
    ms_p95: float | None
    first_token_ms_p50: float | None


class AgentUsage(Struct, kw_only=True):
    """How one agent (or kind of task) did."""

    agent: str
    invocations: int
    success_rate: float | None
    ms_p50: float | None
    cost_usd: float
    unpriced: int


class RoutingUsage(Struct, kw_only=True):
    """How requests were routed. `saved` answers came although a model failed; `by_decision` has one row per route."""

    total_routed: int
    answered: int
    failed: int
    cancelled: int
    saved: int
    cache_hits: int
    ms_p50: float | None
    ms_p95: float | None
    cost_usd: float
    by_decision: list[UsageGroup]


@operation("GET", "/usage/{request_id}")
async def of_request(network: "Network", caller: "Key | None", *, request_id: str) -> RequestUsage:
    """One request: its attempts, tokens, times and cost."""
    found = await _queries(network).request(request_id)
    if found is None or not (owns(caller) or (caller and found.attempts[-1].key_id == caller.id)):
        raise NotFound(f"No request is called '{request_id[:80]}'.", param="request_id")
    attempts = [
        AttemptUsage(
            model=each.model, provider=each.provider, outcome=each.outcome, failure=each.failure, status=each.status,
            ms=each.ms, input=each.input, output=each.output, cached=each.cached, cache_write=each.cache_write,
            reasoning=each.reasoning, cost_usd=usd(each.cost_nano),
        )
        for each in found.attempts
    ]  # fmt: skip
    provider = network.gateway.catalogue.providers.get(found.provider)
    return RequestUsage(
        request_id=found.request_id, outcome=found.outcome, model=found.model, provider=found.provider,
        decision=found.attempts[-1].decision, ms=found.ms, first_token_ms=found.first_token_ms, input=found.input,
        output=found.output, cached=sum(each.cached for each in found.attempts), cost_usd=usd(found.cost_nano),
        embedded=provider is not None and provider.embedded, attempts=attempts,
    )  # fmt: skip


@operation("GET", "/usage")
async def summary(
    network: "Network", caller: "Key | None", *, since: str = "30d", by: Grouping = "provider"
) -> list[UsageGroup]:
    """Calls, tokens, cost and latency per group, the busiest first. A virtual key sees its own calls only."""
    return [_group(found) for found in await _summary(network, caller, since, by)]


@operation("GET", "/analytics/agents")
async def agents(network: "Network", caller: "Key | None", *, since: str = "7d") -> list[AgentUsage]:
    """How each agent (or kind of task) did."""
    found = [each for each in await _summary(network, caller, since, "agent") if each.name is not None]
    return [
        AgentUsage(
            agent=each.name or "", invocations=each.calls, ms_p50=each.ms_p50, cost_usd=each.cost_nano / 1e9,
            success_rate=round(1 - each.errors / each.calls, 4) if each.calls else None, unpriced=each.unpriced,
        )
        for each in found
    ]  # fmt: skip


@operation("GET", "/analytics/routing")
async def routing(network: "Network", caller: "Key | None", *, since: str = "7d") -> RoutingUsage:
    """How requests were routed, and how many answers were saved by another model."""
    groups = await _summary(network, caller, since, "decision")
    everything = await _summary(network, caller, since, "all")
    total = everything[0] if everything else None
    calls = sum(each.calls for each in groups)
    saved = await _queries(network).saved(since_moment(network, since), _key_id(caller))
    failed, cancelled = sum(each.errors for each in groups), sum(each.cancelled for each in groups)
    return RoutingUsage(
        total_routed=calls, answered=calls - failed - cancelled, failed=failed, cancelled=cancelled,
        saved=saved, cache_hits=sum(each.cache_hits for each in groups),
        ms_p50=total.ms_p50 if total else None, ms_p95=total.ms_p95 if total else None,
        cost_usd=sum(each.cost_nano for each in groups) / 1e9, by_decision=[_group(each) for each in groups],
    )  # fmt: skip


async def _summary(network: "Network", caller: "Key | None", since: str, by: "By") -> "list[Group]":
    return await _queries(network).summary(since_moment(network, since), by, key_id=_key_id(caller))


def _key_id(caller: "Key | None") -> str | None:
    return None if owns(caller) or caller is None else caller.id


def since_moment(network: "Network", text: str) -> float:
    """When so long ago was, in Unix seconds. Raises InvalidRequest."""
    from chittycan.auth.limits import parse_duration

    return network.clock.now() - parse_duration(text)


def _queries(network: "Network") -> "Queries":
    from chittycan.usage.queries import Queries

    return Queries(network.database, network.clock, network.ledger)


def _group(found: "Group") -> UsageGroup:
    return UsageGroup(
        name=found.name, calls=found.calls, errors=found.errors, absorbed=found.absorbed, cancelled=found.cancelled,
        cache_hits=found.cache_hits, input=found.input, output=found.output, cached=found.cached,
        cost_usd=found.cost_nano / 1e9, unpriced=found.unpriced, ms_p50=found.ms_p50, ms_p95=found.ms_p95,
        first_token_ms_p50=found.first_token_ms_p50,
    )  # fmt: skip
