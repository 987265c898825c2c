"""How much a model shall think: the words and the tokens that vendors ask for it with.

The words are OpenAI's scale, the tokens Anthropic's and Gemini's; requests cross between the two by one table. Ours:
no vendor publishes a rate.
"""

import re

# OpenAI's models that think refuse `max_tokens` and take `reasoning_effort`; its others refuse the latter.
_THINKS = re.compile(r"(?:o[134]|gpt-[5-9])(?:$|[-.](?!.*chat))")


def thinks(model: str) -> bool:
    """Whether `model` is one of OpenAI's reasoning models, by its name (`openai/gpt-5` counts too)."""
    return _THINKS.match(model.rpartition("/")[2]) is not None


def effort_of(budget: int) -> str:
    """The word for a thinking budget in tokens."""
    if budget < 4096:
        return "low"
    return "medium" if budget < 16384 else "high"
