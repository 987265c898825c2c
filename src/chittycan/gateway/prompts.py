"""Legacy completions may hold several prompts in one request: one call each, and one answer of them all."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

import msgspec

from chittycan.dialects.openai_completions import join, split
from chittycan.errors import ChittyError
from chittycan.gateway.call import Call, Reply, Trace


class Gateway(Protocol):
    async def complete(self, call: Call) -> Reply: ...


def complete_each(gateway: Gateway, call: Call) -> Coroutine[Any, Any, Reply]:
    """A whole answer in the client's dialect, of several calls where there are several prompts. Raises ChittyError."""
    if call.surface != "openai_completions":
        return gateway.complete(call)
    return _completions(gateway, call)


async def _completions(gateway: Gateway, call: Call) -> Reply:
    prompts = split(call.fields)
    if len(prompts) < 2:
        return await gateway.complete(call)
    calls = [msgspec.structs.replace(call, fields=fields, body=msgspec.json.encode(fields)) for fields in prompts]
    for number, each in enumerate(calls[1:], start=1):
        each.request_id = f"{call.request_id}_{number}"
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(gateway.complete(each)) for each in calls]
    except ExceptionGroup as several:  # one prompt that fails ends them all
        raise next((each for each in several.exceptions if isinstance(each, ChittyError)), several) from None
    replies = [task.result() for task in tasks]
    body = msgspec.json.encode(join([msgspec.json.decode(reply.body) for reply in replies]))
    return Reply(body=body, trace=_together([reply.trace for reply in replies]))


def _together(traces: list[Trace]) -> Trace:
    """The trace of several prompts served as one answer."""
    costs = [trace.cost_nano for trace in traces]
    known = [cost for cost in costs if cost is not None]
    return msgspec.structs.replace(
        traces[0], cost_nano=sum(known) if len(known) == len(costs) else None, attempts=sum(t.attempts for t in traces)
    )
