"""What a call holds while it runs: reservations of its caller's limits and of the models' own."""

from collections.abc import Sequence

from chittycan.routing.decide import Candidate
from chittycan.store.meters import Cap
from chittycan.usage.meters import Reservation


class Ticket:
    """What one call holds of its caller's limits. The first reservation is under every cap, later ones money only.

    `racing`: the models that are asked at the same time, which have to be paid for together.
    """

    __slots__ = ("caps", "covered", "held", "input_tokens", "max_cost", "output_limit", "racing", "rates")

    def __init__(self, input_tokens: int, output_limit: int, max_cost: int | None, caps: Sequence[Cap]) -> None:
        self.input_tokens, self.output_limit, self.max_cost, self.caps = input_tokens, output_limit, max_cost, caps
        self.held: list[Reservation] = []
        self.covered = 0  # nano-dollars reserved
        self.racing: tuple[Candidate, ...] = ()
        self.rates: dict[tuple[str, str], Reservation] | None = None  # of models being asked, under their own limits
