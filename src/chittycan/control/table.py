"""Every operation, in the order of the HTTP API's document. A new one is a function in its room and a word here."""

from typing import Any

from chittycan.control import (
    agents,
    decisions,
    drafts,
    ensembles,
    inbox,
    integrations,
    keys,
    models,
    server,
    templates,
    usage,
)
from chittycan.control.operation import Operation

OPERATIONS: tuple[Operation[Any], ...] = (
    server.status,
    server.circuits,
    decisions.explain,
    ensembles.listed,
    ensembles.ask,
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
    inbox.listed,
    inbox.stats,
    inbox.shown,
    inbox.mark_read,
    agents.listed,
    agents.history,
    drafts.listed,
    drafts.shown,
    templates.listed,
    templates.shown,
    templates.rendered,
)
