"""The agents that read mail: which there are, who answers for them, and what they said."""

from typing import TYPE_CHECKING

from msgspec import Struct

from chittycan.control.inbox import AgentRun, run_row
from chittycan.control.operation import operation
from chittycan.errors import ChittyError, NotFound

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.catalogue import Catalogue


class AgentRow(Struct, kw_only=True):
    """One agent. `model`: who would be asked first now; `why` says why nobody can be. `ms_mean`: of model answers.

    `version` changes whenever what the model is told changes. `last`: Unix seconds of the last run.
    """

    name: str
    kind: str
    version: str
    model: str | None
    why: str | None = None
    runs: int = 0
    fallbacks: int = 0
    repaired: int = 0
    ms_mean: float | None = None
    cost_usd: float = 0.0
    last: float | None = None


@operation("GET", "/agents", owner=True)
async def listed(network: "Network", caller: "Key | None") -> list[AgentRow]:
    """Every agent, the model that would answer for it now, and what it did so far."""
    from chittycan.agents.invoke import AGENTS
    from chittycan.store import inbox

    done = {each.agent: each for each in await network.database.read(inbox.summaries)}
    rows = []
    for agent in AGENTS.values():
        model, why = _first(network.gateway.catalogue, agent.kind)
        row = AgentRow(name=agent.name, kind=agent.kind, version=agent.version, model=model, why=why)
        if (found := done.get(agent.name)) is not None:
            row.runs, row.fallbacks, row.repaired = found.invocations, found.fallbacks, found.repaired
            row.ms_mean, row.cost_usd, row.last = found.mean_ms, found.cost_nano / 1e9, found.last
        rows.append(row)
    return rows


@operation("GET", "/agents/{name}/history", owner=True)
async def history(network: "Network", caller: "Key | None", *, name: str, limit: int = 20) -> list[AgentRun]:
    """The last runs of one agent, newest first."""
    from chittycan.agents.invoke import AGENTS
    from chittycan.store import inbox

    if name not in AGENTS:
        raise NotFound(f"no agent {name[:80]!r}", param="name", fix=f"Use one of: {', '.join(AGENTS)}.")
    return [run_row(run) for run in await network.database.read(inbox.history, name, limit=max(0, limit))]


def _first(catalogue: "Catalogue", kind: str) -> tuple[str | None, str | None]:
    """Who is asked first for this kind of task; else why nobody is."""
    from chittycan.routing.decide import AUTO, decide
    from chittycan.routing.facts import Facts

    try:
        decision = decide(Facts(model=AUTO, kind=kind, schema=True, keep_answering=True), catalogue)
    except ChittyError as error:
        return None, error.message
    return decision.chain[0].model.name, None
