"""Thinking: the neutral effort or budget, and what this API wants to hear about it.

Three generations: budgets only (before 4.6), either (4.6), and "adaptive" with an effort only (from 4.7 on). The two
scales meet in one table. Where thinking cannot go with something the caller demands (a forced tool, a prefill, a
history that lacks the signed blocks, an answer too short for the smallest budget), thinking gives way.
Sources: the pages on extended thinking, adaptive thinking and effort (platform.claude.com).
"""

from msgspec import Struct

from chittycan.chat import ChatRequest, Json, Reasoning
from chittycan.dialects.anthropic_messages.models import Traits
from chittycan.dialects.anthropic_messages.signatures import NAME
from chittycan.dialects.reasoning import effort_of

MIN_BUDGET = 1024
DEFAULT_MAX_TOKENS = 4096
# Tokens that a budget must leave for the answer itself, where the answer's limit allows.
ANSWER = 1024

BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32000, "max": 32000}
OUR_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "max": "max"}


class Plan(Struct):
    """What goes into the request. `thinking` None: the field is left out."""

    max_tokens: int
    thinking: Json | None = None
    effort: str | None = None

    @property
    def thinks(self) -> bool:
        return self.thinking is not None and self.thinking["type"] != "disabled"


class ThinkingField(Struct):
    type: str
    budget_tokens: int | None = None


def parse_thinking(field: ThinkingField | None, effort: str | None) -> Reasoning | None:
    if field is None:
        return None
    if field.type == "disabled":
        return Reasoning(off=True)
    return Reasoning(effort=effort, budget=field.budget_tokens)


def plan(chat: ChatRequest, traits: Traits, forced: bool, unsigned: bool) -> Plan:
    """How the model is asked to think.

    `forced`: a forced tool or a prefill, which forbid thinking; `unsigned`: the turn that goes on has tool calls
    without the thinking that led to them, which forbids thinking on a budget.
    """
    reasoning = chat.reasoning
    limit = chat.max_tokens
    if reasoning is None:
        return Plan(DEFAULT_MAX_TOKENS if limit is None else limit)
    if reasoning.off or reasoning.effort == "none":
        stop = {"type": "disabled"} if traits.may_stop_thinking else None
        return Plan(DEFAULT_MAX_TOKENS if limit is None else limit, stop)
    asked = chat.extra.get("thinking") if chat.origin == NAME else None
    if asked is not None and not traits.known and asked["type"] != "enabled":
        return Plan(DEFAULT_MAX_TOKENS if limit is None else limit, asked, reasoning.effort)
    if traits.adaptive and (reasoning.budget is None or not traits.budgets):
        return _adaptive(reasoning, limit, traits, asked, forced)
    return _budgeted(reasoning, limit, forced or unsigned)


def _adaptive(reasoning: Reasoning, limit: int | None, traits: Traits, asked: Json | None, forced: bool) -> Plan:
    effort = _effort(reasoning)
    if effort == "xhigh" and not traits.top_efforts:
        effort = "high"
    thinking: Json | None = {"type": "adaptive", "display": "summarized"}
    if asked is not None:
        thinking = {"type": "adaptive"} if asked["type"] == "enabled" else asked
    if limit is None:
        limit = DEFAULT_MAX_TOKENS + BUDGETS[effort if effort in BUDGETS else "medium"]
    return Plan(limit, None if forced else thinking, effort)


def _effort(reasoning: Reasoning) -> str | None:
    """The effort in this API's words; None leaves it to the model."""
    if reasoning.effort is not None:
        return OUR_EFFORTS.get(reasoning.effort, reasoning.effort)
    return None if reasoning.budget is None else effort_of(reasoning.budget)


def _budgeted(reasoning: Reasoning, limit: int | None, forced: bool) -> Plan:
    budget = reasoning.budget or BUDGETS.get(reasoning.effort or "medium", BUDGETS["medium"])
    budget = max(budget, MIN_BUDGET)
    if limit is None:
        limit = DEFAULT_MAX_TOKENS + (0 if forced else budget)
    elif budget >= limit:
        budget = max(limit - ANSWER, MIN_BUDGET)
    if forced or budget >= limit:
        return Plan(limit)
    return Plan(limit, {"type": "enabled", "budget_tokens": budget})
