"""Which performer does which type of task."""

from typing import Any, Protocol

from chittycan import chat
from chittycan.errors import AllCooling, AllFailed, AllRateLimited, UpstreamTimeout
from chittycan.gateway.call import Answer, Options
from chittycan.workstreams.task import Done, Outcome, Performers, Task, WaitForModel


class Gateway(Protocol):
    """What performers need of the gateway, which the composition root hands in."""

    async def ask(self, request: chat.ChatRequest, options: Options) -> Answer: ...


def performers(gateway: Gateway) -> Performers:
    async def task(task: Task) -> Outcome:
        return await ask(gateway, task)

    return {"task": task}


async def ask(gateway: Gateway, task: Task) -> Outcome:
    """One prompt to one model."""
    options: dict[str, Any] = {"kind": task.kind, "session": task.session, "task": task.id, **task.options}
    request = chat.ChatRequest(model=task.model or "auto", messages=[chat.user(str(task.spec.get("prompt", "")))])
    try:
        answer = await gateway.ask(request, Options(**options))
    except (AllRateLimited, AllCooling, AllFailed, UpstreamTimeout) as error:
        return WaitForModel(models=(request.model,), reason=error.message)
    return Done(result={"text": answer.text}, model=answer.model, cost_nano=answer.cost_nano)
