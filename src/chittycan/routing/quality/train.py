"""From scored answers to what `auto` chooses by."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from chittycan.routing.quality.checking import Checked, check
from chittycan.routing.quality.estimate import Quality
from chittycan.routing.quality.fitting import fitted
from chittycan.routing.quality.prompts import Prompt, Scored, collected


def train(rows: Iterable[Scored]) -> Quality:
    """What these rows teach."""
    prompts = collected(rows)
    return trained(prompts, check(prompts))


def trained(prompts: Sequence[Prompt], checked: Checked) -> Quality:
    """The same, where it is known how well it holds."""
    learnt = fitted(prompts, words=checked.words)
    familiar = checked.familiar if checked.words else 0.0
    return Quality(
        replace(
            learnt, familiar=familiar, told=checked.told, transfer=checked.transfer, lengths=checked.lengths,
            frontier=checked.frontier,
        )
    )  # fmt: skip
