"""What reading the mail of one account may cost: dollars a day and a month, of UTC. Beyond it rules sort the mail.

It is looked at before each mail, so that it is passed by no more than the mails in hand then.
"""

from datetime import UTC, datetime

from msgspec import Struct

from chittycan.agents.agent import Ask
from chittycan.chat import ChatRequest
from chittycan.errors import BudgetExceeded
from chittycan.gateway.call import Answer, Options
from chittycan.store import inbox
from chittycan.store.database import Database


class Budget(Struct, frozen=True, kw_only=True):
    """Nano-dollars; None is no limit."""

    day_nano: int | None = None
    month_nano: int | None = None

    def __bool__(self) -> bool:
        return self.day_nano is not None or self.month_nano is not None


async def within(budget: Budget, account: str | None, ask: Ask, database: Database, now: float) -> Ask:
    """`ask`, or, where the account has spent its budget, what raises BudgetExceeded instead."""
    if not budget or account is None:
        return ask
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    limits = ((budget.day_nano, today, "today"), (budget.month_nano, today.replace(day=1), "this month"))
    for limit, since, when in limits:
        if limit is None:
            continue
        spent = await database.read(inbox.spent, account, since.timestamp())
        if spent >= limit:
            return _refusing(f"{account} has spent its ${limit / 1e9:g} of {when}")
    return ask


def _refusing(why: str) -> Ask:
    async def refuse(_request: ChatRequest, _options: Options) -> Answer:
        raise BudgetExceeded(why)

    return refuse
