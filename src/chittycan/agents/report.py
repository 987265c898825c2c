"""What processing an inbox came to: counts, and per step who answered, how fast and for how much.

Nothing here is estimated: times are the models' own as measured, money is what the ledger holds, and where a
price is not known the report says so.
"""

from array import array
from collections import Counter
from statistics import median
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from chittycan.agents.agent import AgentResult

STEPS = ("triage", "priority", "response")

State = Literal["processed", "settled", "known", "duplicate", "unreadable", "waiting", "submitted", "elsewhere"]


class Outcome(Struct, kw_only=True):
    """What became of one mail. `settled` is why no model was needed; `waiting` means it would need one (dry run).

    `submitted`: it is stored, and whoever does durable work goes on with it. `elsewhere`: another process is at it.
    """

    key: str
    state: State
    id: str = ""
    sender: str = ""
    subject: str = ""
    category: str | None = None
    level: str | None = None
    settled: str | None = None
    draft_id: str | None = None
    defects: tuple[str, ...] = ()
    problem: str | None = None  # why it is unreadable
    results: list[AgentResult[Any]] = field(default_factory=list)
    prefilter_ms: float = 0.0
    rules: tuple[str, ...] = ()  # ids of the owner's rules that held
    labels: tuple[str, ...] = ()  # that they gave it
    account: str | None = None
    message_id: str | None = None
    privacy: str | None = None  # local: private models only; metadata: only its headers were read
    review: str | None = None  # pending | auto_approved
    doubt: str | None = None  # why a person should look


class Step(Struct, kw_only=True):
    """One agent over all mails. Times in milliseconds, money in nano-dollars; medians are per mail."""

    agent: str
    runs: int = 0
    by_model: int = 0
    by_rules: int = 0
    fallbacks: int = 0  # of `by_rules`, where a model should have answered
    repaired: int = 0
    models: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)  # of the fallbacks
    median_ms: float | None = None
    median_cost_nano: int | None = None
    cost_nano: int = 0
    unpriced: int = 0  # answers whose price is not known

    @property
    def line(self) -> str:
        """`✓ Triage: llama-scout (127ms, $0.001)`."""
        name = self.agent.capitalize()
        if self.median_ms is None:
            return f"✗ {name}: rules only ({self.fallbacks} fallbacks)" if self.fallbacks else f"– {name}: not needed"
        first, *others = sorted(self.models, key=lambda model: -self.models[model])
        served = f"{first} +{len(others)}" if others else first
        cost = "price unknown" if self.median_cost_nano is None else dollars(self.median_cost_nano)
        rules = f"; {self.fallbacks} of {self.runs} by rules" if self.fallbacks else ""
        return f"✓ {name}: {served} ({duration(self.median_ms)}, {cost}{rules})"


class Tally(Struct):
    """One agent's figures while they are counted. A run takes sixteen bytes: medians are exact."""

    runs: int = 0
    fallbacks: int = 0
    repaired: int = 0
    models: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    ms: "array[float]" = field(default_factory=lambda: array("d"))  # of what models answered
    priced: "array[int]" = field(default_factory=lambda: array("q"))  # and cost, where that is known
    cost_nano: int = 0
    unpriced: int = 0

    def add(self, result: AgentResult[Any]) -> None:
        self.runs += 1
        self.cost_nano += result.cost_nano or 0
        self.unpriced += result.cost_nano is None
        if result.fallback:
            self.fallbacks += 1
            self.reasons[(result.reason or "").partition(":")[0]] += 1
        if result.model is None:
            return
        self.models[result.model] += 1
        self.repaired += result.repaired
        self.ms.append(result.ms)
        if result.cost_nano is not None:
            self.priced.append(result.cost_nano)

    def step(self, agent: str) -> Step:
        answered = len(self.ms)
        return Step(
            agent=agent,
            runs=self.runs,
            by_model=answered,
            by_rules=self.runs - answered,
            fallbacks=self.fallbacks,
            repaired=self.repaired,
            models=dict(self.models),
            reasons=dict(self.reasons),
            median_ms=median(self.ms) if answered else None,
            median_cost_nano=round(median(self.priced)) if answered and len(self.priced) == answered else None,
            cost_nano=self.cost_nano,
            unpriced=self.unpriced,
        )


class Report(Struct, kw_only=True):
    """The whole run, counted mail by mail with `add`. `seconds` is wall time.

    `outcomes` has one entry per mail of the source, some kilobytes each; without `keep` it stays empty, and the rest
    takes some bytes per mail.
    """

    keep: bool = True
    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    dry_run: bool = False
    mails: int = 0
    worked: int = 0  # mails that some agent looked at
    settled: dict[str, int] = field(default_factory=dict)  # mails that needed no model, by reason
    broken: int = 0  # mails that could be read only in part
    drafts: int = 0
    states: Counter[State] = field(default_factory=Counter)
    tallies: dict[str, Tally] = field(default_factory=lambda: {name: Tally() for name in STEPS})
    prefilter_ms: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, outcome: Outcome) -> None:
        """One mail more."""
        self.mails += 1
        self.states[outcome.state] += 1
        self.worked += bool(outcome.results)
        self.broken += bool(outcome.defects)
        self.drafts += outcome.draft_id is not None and outcome.state == "processed"
        if outcome.settled:
            self.settled[outcome.settled] = self.settled.get(outcome.settled, 0) + 1
        if outcome.prefilter_ms:
            self.prefilter_ms.append(outcome.prefilter_ms)
        for result in outcome.results:
            if result.agent in self.tallies:
                self.tallies[result.agent].add(result)
        if self.keep:
            self.outcomes.append(outcome)

    def count(self, state: State) -> int:
        return self.states[state]

    @property
    def steps(self) -> list[Step]:
        """Triage, priority and response, in this order."""
        return [tally.step(name) for name, tally in self.tallies.items()]

    @property
    def answers_from_model(self) -> int:
        return sum(step.by_model for step in self.steps)

    @property
    def answers_from_rules(self) -> int:
        return sum(step.by_rules for step in self.steps)

    @property
    def cost_nano(self) -> int:
        """Everything that was spent, as far as prices are known."""
        return sum(step.cost_nano for step in self.steps)

    @property
    def prefilter_median_ms(self) -> float | None:
        return median(self.prefilter_ms) if self.prefilter_ms else None

    @property
    def lines(self) -> list[str]:
        """The steps and their total, for a typical mail: medians, added up."""
        steps = [step for step in self.steps if step.runs]
        total_ms = sum(step.median_ms or 0 for step in steps)
        known = all(step.median_cost_nano is not None for step in steps if step.by_model)
        total = dollars(sum(step.median_cost_nano or 0 for step in steps)) if known else "price unknown"
        return [*(step.line for step in steps), f"Total: {duration(total_ms, 2)}, {total}"]

    @property
    def summary(self) -> dict[str, Any]:
        """The run as plain JSON types, for `--json`."""
        steps = self.steps
        return {
            "processed": self.count("processed") + self.count("settled"),
            "triaged": sum(step.runs for step in steps if step.agent == "triage"),
            "responded": self.drafts,
            "settled": self.settled,
            "known": self.count("known") + self.count("duplicate"),
            "unreadable": self.count("unreadable"),
            "waiting": self.count("waiting"),
            "submitted": self.count("submitted"),
            "broken": self.broken,
            "answersFromModel": self.answers_from_model,
            "answersFromRules": self.answers_from_rules,
            "costUsd": self.cost_nano / 1e9,
            "unpriced": sum(step.unpriced for step in steps),
            "seconds": round(self.seconds, 3),
            "dryRun": self.dry_run,
            "steps": msgspec.to_builtins(steps),
        }


def duration(ms: float, digits: int = 1) -> str:
    """`127ms` below a second, `1.2s` above."""
    return f"{ms:.0f}ms" if ms < 1000 else f"{ms / 1000:.{digits}f}s"


def dollars(nano: int) -> str:
    """`$0.048`; below a tenth of a cent with two significant digits, and nothing is `$0`."""
    if nano == 0:
        return "$0"
    amount = nano / 1e9
    return (
        f"${amount:.3f}" if amount >= 0.001 else f"${amount:.2g}" if amount >= 0.0001 else f"${amount:.9f}".rstrip("0")
    )
