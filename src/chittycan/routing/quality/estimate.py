"""What a model's answer to a prompt is likely to be worth."""

from collections.abc import Mapping, Sequence

from msgspec import Struct


class Estimate(Struct, frozen=True):
    """`quality`: 0 to 1, what a scored answer of this model to such a prompt is worth on average."""

    quality: float
    scored: int  # scored calls of this kind that back it
    why: str  # "maths, 230 scored calls"


class Quality:
    """What was learnt; immutable. `NO_QUALITY` knows nothing."""

    def estimates(self, text: str, kind: str | None, models: Sequence[str]) -> Mapping[str, Estimate]:
        """By model. One that nobody scored is absent; {} where the prompt is unlike anything seen."""
        return {}

    def averages(self) -> Mapping[str, Estimate]:
        """Of every model that was scored, over all it was scored on: who is dearer and worse is told from these."""
        return {}

    @classmethod
    def load(cls, data: bytes) -> "Quality":
        return cls()

    def dump(self) -> bytes:
        return b""


NO_QUALITY = Quality()
