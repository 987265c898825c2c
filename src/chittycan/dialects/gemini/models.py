"""What a Gemini accepts, told from its name. Source: ai.google.dev, thinking and function calling.

Version 2.5 thinks on a budget of tokens, from 3 on at a level; asking for both, or for thinking at all from an older
model, is refused. JSON output together with functions came with 3.
"""

import re
from functools import lru_cache

from msgspec import Struct

from chittycan.chat import Json, Reasoning
from chittycan.dialects.reasoning import effort_of

_VERSION = re.compile(r"gemini-(\d{1,2})(?:\.(\d{1,2}))?(?!\d)")

BUDGETS = {"minimal": 512, "low": 2048, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
LEVELS = {"minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
MINIMAL = 1024  # tokens below which thinking is "minimal", a level that the other vendors' scale lacks
LEAST = 128  # 2.5 Pro cannot stop thinking


class Traits(Struct, frozen=True):
    budgets: bool = False
    levels: bool = False
    pro: bool = False  # has neither "minimal" nor a way to stop thinking
    early_pro: bool = False  # 3.0 Pro: only "low" and "high"
    json_with_tools: bool = False
    wants_signatures: bool = False


@lru_cache(maxsize=256)
def traits(model: str) -> Traits:
    """An unversioned alias (`gemini-flash-latest`) is taken to be the newest."""
    name = model.lower()
    found = _VERSION.search(name)
    if found is None and "gemini" not in name:
        return Traits()
    version = (int(found[1]), int(found[2] or 0)) if found else (3, 9)
    pro = "pro" in name
    new = version >= (3, 0)
    return Traits(
        budgets=(2, 5) <= version < (3, 0),
        levels=new,
        pro=pro,
        early_pro=pro and version == (3, 0),
        json_with_tools=new,
        wants_signatures=new,
    )


def thinking_config(reasoning: Reasoning | None, model: Traits) -> Json | None:
    """`generationConfig.thinkingConfig`; None leaves thinking to the model."""
    if reasoning is None or not (model.budgets or model.levels):
        return None
    if reasoning.off or reasoning.effort == "none":
        if model.levels:
            return {"thinkingLevel": "low" if model.pro else "minimal"}
        return {"thinkingBudget": LEAST if model.pro else 0}
    config: Json = {"includeThoughts": True}
    if model.levels:
        level = _level(reasoning)
        if level is not None:
            config["thinkingLevel"] = _offered(level, model)
    elif reasoning.budget is not None or reasoning.effort is not None:
        config["thinkingBudget"] = _budget(reasoning, model)
    return config


def _budget(reasoning: Reasoning, model: Traits) -> int:
    """Within what every 2.5 takes: Pro 128–32,768, Flash up to 24,576, Flash-Lite from 512."""
    wanted = reasoning.budget if reasoning.budget is not None else BUDGETS.get(reasoning.effort or "", 8192)
    return min(max(wanted, 512), 32768 if model.pro else 24576)


def _level(reasoning: Reasoning) -> str | None:
    if reasoning.effort is not None:
        return LEVELS.get(reasoning.effort, "high")
    if reasoning.budget is None:
        return None
    return "minimal" if reasoning.budget < MINIMAL else effort_of(reasoning.budget)


def _offered(level: str, model: Traits) -> str:
    if model.early_pro:
        return "high" if level in ("medium", "high") else "low"
    return "low" if model.pro and level == "minimal" else level
