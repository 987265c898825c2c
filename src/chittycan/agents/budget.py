"""What reading the mail of one account may cost: dollars a day and a month, of UTC.

Beyond it mail whose work is durable waits for the next day or month, shown as rules sort it; all other mail is sorted
by rules. It is looked at before each mail, so that it is passed by no more than the mails in hand then.
"""

from datetime import UTC, datetime, timedelta
from typing import Literal

from msgspec import Struct

from chittycan.agents.agent import Ask
from chittycan.chat import ChatRequest
from chittycan.errors import BudgetExceeded
from chittycan.gateway.call import Answer, Options
from chittycan.store import inbox
from chittycan.store.database import Database

Beyond = Literal["wait", "rules"]


class Budget(Struct, frozen=True, kw_only=True):
    """Nano-dollars; None is no limit. `beyond`: what becomes of mail beyond it, where it can wait."""

    day_nano: int | None = None
    month_nano: int | None = None
    beyond: Beyond = "wait"

    def __bool__(self) -> bool:
        return self.day_nano is not None or self.month_nano is not None


class Spent(Struct, frozen=True):
    """Why nothing may be spent, and until when: Unix seconds."""

    why: str
    until: float

    @property
    def ends(self) -> str:
        return f"{datetime.fromtimestamp(self.until, UTC):%Y-%m-%d %H:%M} UTC"


async def spent(budget: Budget, account: str | None, database: Database, now: float) -> Spent | None:
    """None where the account may spend."""
    if not budget or account is None:
        return None
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    month = today.replace(day=1)
    limits = (  # the longer one first: it is the one to wait for
        (budget.month_nano, month, (month + timedelta(days=32)).replace(day=1), "this month"),
        (budget.day_nano, today, today + timedelta(days=1), "today"),
    )
    for limit, since, until, when in limits:
        if limit is not None and await database.read(inbox.spent, account, since.timestamp()) >= limit:
            return Spent(f"{account} has spent its ${limit / 1e9:g} of {when}", until.timestamp())
    return None


async def within(budget: Budget, account: str | None, ask: Ask, database: Database, now: float) -> Ask:
    """`ask`, or, where the account has spent its budget, what raises BudgetExceeded instead."""
    found = await spent(budget, account, database, now)
    return ask if found is None else _refusing(found.why)


def _refusing(why: str) -> Ask:
    async def refuse(_request: ChatRequest, _options: Options) -> Answer:
        raise BudgetExceeded(why)

    return refuse
