"""What a call holds while it runs: reservations of its caller's limits and of the models' own."""

from collections.abc import Sequence

from msgspec import Struct, field

from chittycan.routing.decide import Candidate
from chittycan.store.meters import Cap
from chittycan.usage.meters import Reservation


class Ticket(Struct, eq=False):
    """What one call holds of its caller's limits. The first reservation is under every cap, later ones money only.

    `racing`: the models that are asked at the same time, which have to be paid for together.
    """

    input_tokens: int
    output_limit: int
    max_cost: int | None  # nano-dollars
    caps: Sequence[Cap]
    held: list[Reservation] = field(default_factory=list)
    covered: int = 0  # nano-dollars reserved
    racing: tuple[Candidate, ...] = ()
    rates: dict[tuple[str, str], Reservation] | None = None  # of models being asked, under their own limits
