"""When a budget's alarm is due: a share of it is spent, or all of it is and calls are refused. Pure."""

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from chittycan.store.alarms import Window
from chittycan.store.meters import Cap
from chittycan.usage.periods import window

# A call that may cost more than is left is refused, so that the last of a budget is hardly ever spent: from here on a
# refusal means that it is used up. One that is refused earlier was merely too large.
NEARLY = 0.9


class Standing(Struct, frozen=True):
    """How it stands with a budget in its window that is open now. `spent` in nano-dollars."""

    cap: Cap
    start: int
    ends: int
    spent: int
    refused: bool = False

    @property
    def share(self) -> float:
        """Of the budget that is spent; it may be a little more than all of it."""
        return self.spent / self.cap.limit if self.cap.limit else 1.0 if self.refused else 0.0

    @property
    def window(self) -> Window:
        return self.cap.scope, self.cap.period, self.start

    @property
    def alarm(self) -> Window:
        """Whose alarms are given once: a budget that is raised or lowered is another one."""
        return f"{self.cap.scope}={self.cap.limit}", self.cap.period, self.start

    def reached(self, shares: Collection[float]) -> list[int]:
        """Those of the shares that are spent, as thousandths, in ascending order."""
        full = self.refused and self.share >= NEARLY
        return sorted({round(each * 1000) for each in shares if self.share >= each or (full and each >= 1)})


def standings(
    caps: Sequence[Cap], spent: Mapping[Window, int], refused: Mapping[str, int], now: float
) -> list[Standing]:
    """Of every cap on money. `refused`: cap → start of the window in which it last refused a call."""
    found = []
    for cap in caps:
        if cap.unit == "nano":
            start, ends = window(cap.period, now)
            used = spent.get((cap.scope, cap.period, start), 0)
            found.append(Standing(cap, start, ends, used, refused.get(cap.id) == start))
    return found
