"""Every operation, in the order of the HTTP API's document. A new one is a function in its room and a word here."""

from typing import Any

from chittycan.control import decisions, integrations, keys, models, server, usage
from chittycan.control.operation import Operation

OPERATIONS: tuple[Operation[Any], ...] = (
    server.status,
    server.circuits,
    decisions.explain,
    models.listed,
    models.default_of,
    models.probe,
    models.fallback_chain,
    models.set_fallback_chain,
    integrations.listed,
    integrations.add,
    integrations.probe,
    integrations.remove,
    keys.listed,
    keys.create,
    keys.revoke,
    usage.summary,
    usage.of_request,
    usage.agents,
    usage.routing,
)
