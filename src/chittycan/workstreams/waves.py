"""Who of the tasks that wait for a model tries next, and when. Everything here happens inside a transaction.

A chain is what a task waits for: the models that could not serve it, joined by ", ". Of all tasks of a chain one
tries soon (the canary) and the others sleep:

    a try finds no model     →  the next in line tries after a pause that grows, this one sleeps at the line's end
    a try is served          →  each success wakes a few more, so that waves of 4, 16, 64… go to a model that is back
    a try fails meanwhile    →  successes of tries that began before it wake nobody; one tries again after a pause

Nothing of this is kept in memory: a killed worker leaves rows that say who is due when, and `waiting` mends what
the rows alone cannot.
"""

import random
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from chittycan.clock import Clock
from chittycan.store import waiting as rows
from chittycan.workstreams.engine import Engine
from chittycan.workstreams.task import Task, run_name


class Schedule(Struct, frozen=True, kw_only=True):
    """Times in seconds."""

    first: float = 2.0  # pause before a chain is tried again; the shortest, also where a provider says less
    growth: float = 1.6
    longest: float = 30.0
    patient: int = 120  # from so many failed tries on, about an hour,
    very_longest: float = 60.0  # this is the pause
    asleep: float = 3600.0  # until one that nobody woke tries by itself
    apart: float = 60.0  # of those: the line grows faster than whoever tries is taken from its head
    wave: int = 4  # how many each success wakes
    awake: int = 256  # the most that are due and not begun: who comes later with a higher priority still overtakes

    def pause(self, tries: int, jitter: float) -> float:
        """Before the next try, after `tries` that failed before this one. `jitter` is from 0 to 1."""
        if tries >= self.patient:
            longest = self.very_longest
        else:
            longest = min(self.first * self.growth ** min(tries, 64), self.longest)
        return longest * (1 - 0.15 * jitter)


SCHEDULE = Schedule()


class Waves:
    """Decides and says it to the engine. `jitter` gives a number from 0 to 1."""

    def __init__(
        self, engine: Engine, clock: Clock, schedule: Schedule = SCHEDULE, jitter: Callable[[], float] = random.random
    ) -> None:
        self._engine, self._clock, self._jitter = engine, clock, jitter
        self.schedule = schedule

    def wait(self, connection: Connection, task: Task, name: str, until: float | None) -> float:
        """A try at `task` found no model of the chain `name`, before `until` if that is known: when it tries again."""
        now, schedule = self._clock.now(), self.schedule
        chain = rows.lock(connection, name)
        look = now + schedule.pause(chain.tries, self._jitter())
        if until is not None:
            look = max(now + schedule.first, min(until, now + schedule.asleep))
        if now < chain.due <= look + schedule.first:  # somebody tries before that anyway
            rows.put(connection, replace(chain, failed=now))
            due = self._line_end(connection, name)
        else:
            rows.put(connection, replace(chain, tries=chain.tries + 1, failed=now, due=look))
            # Another one than this: what fails for a reason of its own must not keep the others waiting.
            other = rows.first(connection, name, after=look, hold=True)
            if other is not None:
                self._set(connection, [other], look)
            due = look if other is None else self._line_end(connection, name)
        return due if task.deadline is None else max(now, min(due, task.deadline))

    def served(self, connection: Connection, chain: str | None, model: str | None, began: float) -> None:
        """A try that began at `began` was served by `model`; `chain` is what its task had waited for."""
        names = {each.chain for each in rows.all_chains(connection) if model in each.chain.split(SEPARATOR)}
        for name in sorted(names if chain is None else names | {chain}):
            self._wave(connection, name, began)

    def _wave(self, connection: Connection, name: str, began: float) -> None:
        chain, now, schedule = rows.lock(connection, name), self._clock.now(), self.schedule
        if began < chain.failed:
            return
        if chain.tries:
            rows.put(connection, replace(chain, tries=0))
        room = schedule.awake - rows.awake(connection, name, now, schedule.awake)
        if room > 0:
            self._set(connection, rows.in_line(connection, name, now, min(room, schedule.wave)), now)

    def look(self, connection: Connection, name: str, *, afresh: bool = False) -> None:
        """One of the chain tries now. `afresh`: what failed before says nothing any more."""
        chain, now = rows.lock(connection, name), self._clock.now()
        rows.put(connection, replace(chain, due=now, tries=0 if afresh else chain.tries))
        other = rows.first(connection, name, after=now, hold=True)
        if other is not None:
            self._set(connection, [other], now)

    def ensure(self, connection: Connection, name: str) -> None:
        """Mends a chain that nobody tries soon, and forgets one that nobody waits for any more."""
        chain, now = rows.lock(connection, name), self._clock.now()
        other = rows.first(connection, name, hold=True)
        if other is None:
            if not rows.at_it(connection, name, 0.0) and rows.first(connection, name) is None:
                rows.remove(connection, name)
        elif self.silent(connection, chain, other):
            # No sooner than a provider wants to be asked again.
            self._set(connection, [other], max(now, chain.due))

    def silent(self, connection: Connection, chain: rows.Chain, earliest: rows.Waiter) -> bool:
        """Whether nobody tries the chain soon, who waits for it being due at `earliest`."""
        soon = self._clock.now() + self.schedule.very_longest
        begun = self._clock.now() - self.schedule.very_longest
        return earliest["due"] > max(soon, chain.due) and not rows.at_it(connection, chain.chain, begun)

    def _line_end(self, connection: Connection, name: str) -> float:
        last = rows.last_due(connection, name) or 0.0
        return max(self._clock.now() + self.schedule.asleep, last + self.schedule.apart)

    def _set(self, connection: Connection, waiters: Sequence[rows.Waiter], due: float) -> None:
        if waiters:
            rows.set_due(connection, [each["id"] for each in waiters], due)
            names = [run_name(each["id"], each["run"]) for each in waiters]
            self._engine.wake(connection, names, due - self._clock.now())


SEPARATOR = ", "  # of the models in the name of a chain
