"""What a Claude model accepts, told from its name, where the API refuses what an older or newer model takes.

Sources: the vendor's model migration guides, and the pages on thinking, effort, structured outputs and
mid-conversation system messages (platform.claude.com). A name that is not a Claude's (other vendors serve this API
too) gets the traits that were common before the generations differed.
"""

import re
from functools import lru_cache

from msgspec import Struct

_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_ALWAYS_THINKS = re.compile(r"claude-(?:mythos|fable)")


class Traits(Struct, frozen=True):
    known: bool = False  # the name tells; else what the caller said for this very API is believed
    budgets: bool = True  # `thinking: enabled` with a budget; gone since 4.7
    adaptive: bool = False  # `thinking: adaptive` with `output_config.effort`; since 4.6
    sampling: bool = True  # temperature, top_p, top_k; refused since 4.7
    one_sampling: bool = False  # temperature or top_p, not both; since 4.1
    top_efforts: bool = False  # "xhigh"; since 4.7 ("max" came with 4.6)
    schemas: bool = False  # `output_config.format`; since 4.5
    late_system: bool = False  # role "system" inside the conversation; since 4.8
    may_stop_thinking: bool = True  # takes `thinking: disabled`


@lru_cache(maxsize=256)
def traits(model: str) -> Traits:
    name = model.lower()
    found = _VERSION.search(name)
    always = _ALWAYS_THINKS.search(name) is not None
    if found is None and not always:
        return Traits()
    version = (int(found[1]), int(found[2] or 0)) if found else (5, 0)
    return Traits(
        known=True,
        budgets=version < (4, 7),
        adaptive=version >= (4, 6),
        sampling=version < (4, 7),
        one_sampling=version >= (4, 1),
        top_efforts=version >= (4, 7),
        schemas=version >= (4, 5),
        late_system=version >= (4, 8),
        may_stop_thinking=not always,
    )
