"""What processing an inbox came to: counts, and per step who answered, how fast and for how much.

Nothing here is estimated: times are the models' own as measured, money is what the ledger holds, and where a
price is not known the report says so.
"""

from collections import Counter
from collections.abc import Iterable
from statistics import median
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from chittycan.agents.agent import AgentResult

STEPS = ("triage", "priority", "response")

State = Literal["processed", "settled", "known", "duplicate", "unreadable", "waiting", "submitted"]


class Outcome(Struct, kw_only=True):
    """What became of one mail. `settled` is why no model was needed; `waiting` means it would need one (dry run).

    `submitted`: it is stored, and whoever does durable work goes on with it.
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


class Report(Struct, kw_only=True):
    """The whole run. `seconds` is wall time; `outcomes` has one entry per mail of the source."""

    outcomes: list[Outcome]
    seconds: float = 0.0
    dry_run: bool = False

    def count(self, state: State) -> int:
        return sum(outcome.state == state for outcome in self.outcomes)

    @property
    def settled(self) -> dict[str, int]:
        """Mails that needed no model, by reason."""
        return dict(Counter(outcome.settled for outcome in self.outcomes if outcome.settled))

    @property
    def broken(self) -> int:
        """Mails that could be read only in part."""
        return sum(bool(outcome.defects) for outcome in self.outcomes)

    @property
    def drafts(self) -> int:
        return sum(outcome.draft_id is not None for outcome in self.outcomes if outcome.state == "processed")

    @property
    def steps(self) -> list[Step]:
        """Triage, priority and response, in this order."""
        results = [result for outcome in self.outcomes for result in outcome.results]
        return [step(name, [result for result in results if result.agent == name]) for name in STEPS]

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
        times = [outcome.prefilter_ms for outcome in self.outcomes if outcome.prefilter_ms]
        return median(times) if times else None

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


def step(agent: str, results: Iterable[AgentResult[Any]]) -> Step:
    """The figures of one agent."""
    results = list(results)
    answered = [result for result in results if result.model is not None]
    priced = [result.cost_nano for result in answered if result.cost_nano is not None]
    fallbacks = [result for result in results if result.fallback]
    return Step(
        agent=agent,
        runs=len(results),
        by_model=len(answered),
        by_rules=len(results) - len(answered),
        fallbacks=len(fallbacks),
        repaired=sum(result.repaired for result in answered),
        models=dict(Counter(result.model for result in answered if result.model)),
        reasons=dict(Counter((result.reason or "").partition(":")[0] for result in fallbacks)),
        median_ms=median(result.ms for result in answered) if answered else None,
        median_cost_nano=round(median(priced)) if answered and len(priced) == len(answered) else None,
        cost_nano=sum(result.cost_nano or 0 for result in results),
        unpriced=sum(result.cost_nano is None for result in results),
    )


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
