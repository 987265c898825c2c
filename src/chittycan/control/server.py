"""How this server is: what rests after failures, what waits to be written, what is odd in its configuration."""

from typing import TYPE_CHECKING

from msgspec import Struct

from chittycan.control.operation import operation

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key


class Resting(Struct, kw_only=True):
    """A model that rests after failures: for how many seconds, and after which class of failure."""

    model: str
    seconds: float
    why: str


class ServerStatus(Struct, kw_only=True):
    """`ledger_dropped` rows were lost because the database was away too long. Memory in MB (10⁶ bytes)."""

    version: str
    uptime_seconds: float
    providers: list[str]
    config_error: str | None
    warnings: list[str]
    ledger_pending: int
    ledger_dropped: int
    embedded_endpoint: str | None  # while it runs
    embedded_memory_mb: float | None


@operation("GET", "/status", owner=True)
async def status(network: "Network", caller: "Key | None") -> ServerStatus:
    """What an operator wants to know of a running server."""
    catalogue, error, embedded = network.gateway.catalogue, network.config_error, network.embedded
    return ServerStatus(
        version=network.version, uptime_seconds=round(network.clock.now() - network.started, 1),
        providers=list(catalogue.providers), config_error=error.message if error is not None else None,
        warnings=list(catalogue.warnings), ledger_pending=network.ledger.pending,
        ledger_dropped=network.ledger.dropped,
        embedded_endpoint=await embedded.endpoint() if embedded.running else None,
        embedded_memory_mb=embedded.memory_mb(),
    )  # fmt: skip


@operation("GET", "/circuits")
async def circuits(network: "Network", caller: "Key | None") -> list[Resting]:
    """Models that rest after failures and are passed over until then."""
    return [
        Resting(model=name, seconds=float(str(row["seconds"])), why=str(row["why"]))
        for name, row in network.gateway.health.snapshot().items()
    ]
