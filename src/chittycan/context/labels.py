"""What is known of a value beyond its content: how private it is, and whether it came from outside.

Labels only get stricter by writing; lowering one is an act of its own (`Sessions.label`).
"""

from collections.abc import Iterable
from typing import Literal, get_args

from msgspec import Struct

Privacy = Literal["public", "internal", "private"]
Trust = Literal["inside", "outside"]
# From the weakest to the strictest.
PRIVACY: tuple[Privacy, ...] = get_args(Privacy)
TRUST: tuple[Trust, ...] = get_args(Trust)


class Label(Struct, frozen=True):
    """`private` work goes to private models alone; what is `outside` was written by strangers: data, never orders."""

    privacy: Privacy = "public"
    trust: Trust = "inside"


UNLABELLED = Label()


def strictest(labels: Iterable[Label]) -> Label:
    """The strictest of both words; `UNLABELLED` of none."""
    found = list(labels)
    return Label(
        max((label.privacy for label in found), key=PRIVACY.index, default="public"),
        max((label.trust for label in found), key=TRUST.index, default="inside"),
    )
