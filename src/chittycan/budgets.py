"""Watches budgets, and tells their owner before they are used up: in the log, in the metrics, by a webhook.

Each process looks every few seconds; an alarm is given by the one that is first to write it down.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from chittycan.auth.keys import Key
from chittycan.clock import Clock
from chittycan.durable import Durable
from chittycan.errors import Unavailable
from chittycan.gateway.admission import Admission
from chittycan.store import alarms as rows
from chittycan.store.database import Database
from chittycan.store.meters import Cap
from chittycan.telemetry import Telemetry
from chittycan.usage.alarms import Standing, standings
from chittycan.usage.meters import Meters
from chittycan.workstreams.events import Event

LOOK_SECONDS = 5.0
EVENT = "budget.alarm"


class BudgetWatch:
    """`keys` gives every key; `shares` those of a budget at which an alarm is given. `run` must be running."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        keys: Callable[[], tuple[Key, ...]],
        shares: Callable[[], tuple[float, ...]],
        admission: Admission,
        meters: Meters,
        durable: Durable,
        telemetry: Telemetry,
    ) -> None:
        self._database, self._clock, self._durable, self._telemetry = database, clock, durable, telemetry
        self._keys, self._shares, self._admission, self._meters = keys, shares, admission, meters
        self._given: set[tuple[rows.Window, int]] = set()  # by whomever

    async def run(self) -> None:
        """Looks until cancelled; while the database is away nobody can spend anyway."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Unavailable:
                continue

    async def look(self) -> list[Standing]:
        """How it stands with every budget; gives the alarms that are due."""
        now = self._clock.now()
        caps = self._caps(now)
        if not caps:
            self._telemetry.budgets = {}
            return []
        spent = await self._database.read(rows.spending, now)
        found = standings(caps, spent, self._meters.refused, now)
        self._telemetry.budgets = {(each.cap.label, each.cap.period): each.share for each in found}
        self._given = {each for each in self._given if each[0] in {standing.alarm for standing in found}}
        for standing in found:
            due = [share for share in standing.reached(self._shares()) if (standing.alarm, share) not in self._given]
            if due:
                await self._give(standing, due, now)
        return found

    def _caps(self, now: float) -> list[Cap]:
        usable = (key for key in self._keys() if key.usable(now))
        return [*self._admission.totals, *(cap for key in usable for cap in key.budget_caps)]

    async def _give(self, standing: Standing, due: list[int], now: float) -> None:
        """All that are due are written down; of those that are new the highest is told."""
        telling = await self._can_tell()
        highest = await self._database.run(self._claimed, standing, due, now, telling)
        self._given |= {(standing.alarm, each) for each in due}
        if highest is not None:
            self._telemetry.warn("budget_alarm", **_said(standing, highest))

    def _claimed(
        self, connection: Connection, standing: Standing, due: list[int], now: float, telling: bool
    ) -> int | None:
        claimed = [each for each in due if rows.claim(connection, standing.alarm, each, now)]
        if not claimed:
            return None
        if telling:
            self._durable.recorder.tell(connection, event_of(standing, claimed[-1], now))
        return claimed[-1]

    async def _can_tell(self) -> bool:
        """Whether anybody wants to be told and this installation can. Raises Unavailable: the database is away."""
        if not self._durable.recorder.audience(EVENT):
            return False
        try:
            self._durable.engine.check()
        except Unavailable as error:
            self._telemetry.warn("budget_alarm_not_told", why=error.message, fix=error.fix)
            return False
        await self._durable.engine.prepare()
        return True


def event_of(standing: Standing, per_mille: int, now: float) -> Event:
    """What receivers of webhooks are told; the same for whichever process tells it."""
    scope, period, start = standing.alarm
    name = scope.replace(":", ".").replace("=", ".")
    return Event(
        type=EVENT, key=f"budget.{name}.{period}.{start}.{per_mille}", thing=standing.cap.label, at=now,
        data=dict(_said(standing, per_mille)),
    )  # fmt: skip


def _said(standing: Standing, per_mille: int) -> Mapping[str, Any]:
    cap = standing.cap
    key = cap.scope.removeprefix("key:") if cap.scope.startswith("key:") else None
    return {
        "budget": cap.label, "key": key, "period": cap.period, "share": per_mille / 1000,
        "spent_usd": standing.spent / 1e9, "budget_usd": cap.limit / 1e9, "refusing": standing.refused,
        "resets_at": standing.ends,
    }  # fmt: skip
