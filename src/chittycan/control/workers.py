"""The processes that do durable work, on whichever machine."""

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from chittycan.control.operation import operation

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key


class WorkerRow(Struct, kw_only=True):
    """One worker. `silent`: nothing was heard of it for too long, and others take over what it was at within seconds.

    `role` is `all` for a server that answers too, `worker`, or `temporary` for a command that waits. `tasks`: how many
    it is at. `started` in Unix seconds, `heard` in seconds ago, both by the database's clock.
    """

    id: str
    state: Literal["working", "silent"]
    role: str
    host: str
    pid: int
    version: str
    tasks: int
    started: float
    heard: float
    regions: list[str]


@operation("GET", "/workers", owner=True)
async def listed(network: "Network", caller: "Key | None") -> list[WorkerRow]:
    """Who does the durable work now; the longest at work first."""
    from chittycan.workstreams.workers import dead

    return [
        WorkerRow(
            id=each.id, state="silent" if dead(each) else "working", role=each.role, host=each.host, pid=each.pid,
            version=each.version, tasks=tasks, started=each.started, heard=round(max(0.0, each.silence), 1),
            regions=list(each.regions),
        )
        for each, tasks in await network.durable.workers()
    ]  # fmt: skip
