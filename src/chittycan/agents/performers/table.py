"""Which performer does which type of task, and what is the same for all of them."""

from collections.abc import Awaitable, Callable, Mapping

from chittycan.agents.performers import agent, approval, ensemble, mail, outward, prompt, wait
from chittycan.agents.performers.calls import Held
from chittycan.agents.performers.keeping import keep
from chittycan.agents.performers.parts import Parts
from chittycan.agents.performers.response import response
from chittycan.agents.performers.waits import outcome_of
from chittycan.errors import ChittyError
from chittycan.workstreams.responses import TYPE as RESPONSE
from chittycan.workstreams.task import Done, Outcome, Performer, Performers, Task

Perform = Callable[[Parts, Task], Awaitable[Outcome]]

TABLE: Mapping[str, Perform] = {
    "task": prompt.perform,
    "ensemble": ensemble.perform,
    "agent": agent.perform,
    "approval": approval.perform,
    "wait": wait.perform,
    "call": outward.call,
    "send": outward.send,
    "deliver": outward.deliver,
    "mail": mail.perform,
}


def performers(parts: Parts) -> Performers:
    """Every type of task with who does it."""
    background = response(parts.gateway, parts.audience, parts.clock, parts.key_of, parts.enforcing)
    return {type: _performer(parts, perform) for type, perform in TABLE.items()} | {RESPONSE: background}


def _performer(parts: Parts, perform: Perform) -> Performer:
    async def performed(task: Task) -> Outcome:
        try:
            outcome = await perform(parts, task)
        except Held as held:
            return held.outcome
        except ChittyError as error:
            return outcome_of(error, {}, parts.clock.now())
        if isinstance(outcome, Done):
            try:
                await keep(parts, task, outcome.result)
            except ChittyError as error:
                return outcome_of(error, {}, parts.clock.now(), cost_nano=outcome.cost_nano)
        return outcome

    return performed
