"""The type `mail`: everything that is to be done with one mail of the inbox."""

from typing import Any

from msgspec.structs import replace

from chittycan.agents.budget import Budget, spent
from chittycan.agents.performers.calls import Calls, Held
from chittycan.agents.performers.material import mail_of
from chittycan.agents.performers.parts import Parts
from chittycan.agents.pipeline import Terms, go_on, sort_for_now
from chittycan.chat import ChatRequest
from chittycan.errors import ChittyError, Unavailable
from chittycan.gateway.call import Answer, Options
from chittycan.store.inbox import StoredMail
from chittycan.workstreams.task import Done, Later, Outcome, Task, WaitForModel
from chittycan.workstreams.waves import SEPARATOR

ELSEWHERE_SECONDS = 15.0  # before a mail that another process is at is looked at again


async def perform(parts: Parts, task: Task) -> Outcome:
    """Triage, priority, reply; what is done already is not done again.

    Where no model can serve the mail waits for one as long as `inbox.patience` says, then rules answer. Where the
    account's budget is spent it waits until there is more. What waits is shown as rules sort it: nobody's mail lies
    unsorted for hours. `result`: `json`, what the mail is.
    """
    stored, _ = await mail_of(parts, task, task.spec["mail"])
    calls = await Calls.of(parts, task, private=stored.privacy is not None)
    terms, now = _terms(parts, task, stored), parts.clock.now()
    purse, empty = f"the budget of {stored.account}", None
    if terms.budget.beyond == "wait":
        empty = await spent(terms.budget, stored.account, parts.database, now)
        terms = replace(terms, budget=Budget())
    until = _patient_since(task, stored, purse, now) + terms.patience

    async def ask(request: ChatRequest, options: Options) -> Answer:
        if empty is not None:
            reason = f"{empty.why}, and goes on at {empty.ends}"
            raise Held(WaitForModel(models=(purse,), reason=reason, until=empty.until))
        try:
            return await calls.ask(request, options)
        except Held as held:
            if parts.clock.now() >= until or not isinstance(held.outcome, WaitForModel | Later):
                raise Unavailable(f"no model could answer: {_reason(held.outcome)}") from held
            raise Held(_by(held.outcome, until)) from held
        except ChittyError as error:  # e.g. a model that there is not: no reason to leave the mail unsorted
            raise Unavailable(error.message, code=error.code) from error

    try:
        found = await go_on(stored, ask, parts.database, terms, clock=parts.clock)
    except Held as held:
        why, tell = _reason(held.outcome), empty is not None
        await sort_for_now(stored, why, parts.database, terms, tell=tell, clock=parts.clock)
        raise
    except ChittyError as error:
        return calls.failed(error)
    if found.state == "elsewhere":
        return Later(reason="another process, which asks models about it", until=now + ELSEWHERE_SECONDS)
    said: dict[str, Any] = {
        "mail": stored.id, "state": found.state, "category": found.category, "priority": found.level,
        "settled": found.settled, "draft": found.draft_id, "review": found.review, "doubt": found.doubt,
    }  # fmt: skip
    served = next((each.model for each in found.results if each.model is not None), None)
    return Done(result={"json": said} | calls.marks, model=served, cost_nano=calls.cost_nano)


def _terms(parts: Parts, task: Task, stored: StoredMail) -> Terms:
    terms = parts.mail_terms(stored.account or "")
    return replace(
        terms,
        model=task.model or terms.model,
        region=task.options.get("region", terms.region),
        local=terms.local or bool(task.options.get("private")),
        template=task.spec.get("template", terms.template),
    )


def _patient_since(task: Task, stored: StoredMail, purse: str, now: float) -> float:
    """Since when it waits for a model, rather than for money."""
    if task.chain is None:
        return stored.added
    return now if purse in task.chain.split(SEPARATOR) else task.since


def _by(outcome: WaitForModel | Later, until: float) -> Outcome:
    """The same, but no later than `until`."""
    if isinstance(outcome, WaitForModel):
        return replace(outcome, latest=until)
    return replace(outcome, until=until if outcome.until is None else min(outcome.until, until))


def _reason(outcome: Outcome) -> str:
    return outcome.reason if isinstance(outcome, WaitForModel | Later) else type(outcome).__name__
