"""What `auto` goes by: the owner's wishes, prices, and what was learnt of the models' quality.

Kept in memory, known to every process within a second of a training or an edit, and never looked up within a call.
"""

import logging

from sqlalchemy import Connection

from chittycan.catalogue import Model, Provider
from chittycan.chat import Usage
from chittycan.clock import Clock
from chittycan.config import Settings
from chittycan.errors import ChittyError, Unavailable
from chittycan.gateway.service import Gateway
from chittycan.routing.cost.policy import Policy
from chittycan.routing.quality.estimate import NO_QUALITY, Quality
from chittycan.store.database import Database
from chittycan.store.quality import REVISION, newest
from chittycan.store.revisions import current, kept_fresh
from chittycan.usage.prices import Prices

log = logging.getLogger(__name__)


class RoutingPolicy:
    """Gives the gateway its policy. `refresh` before it is used first; `run` keeps it fresh."""

    def __init__(self, gateway: Gateway, database: Database, clock: Clock, prices: Prices, settings: Settings) -> None:
        self._gateway, self._database, self._clock, self._prices = gateway, database, clock, prices
        self._revision = -1
        self.quality = NO_QUALITY
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """The configuration was edited."""
        self._settings = settings
        self._gateway.policy = policy_of(settings, self.quality, self._prices)

    async def refresh(self) -> None:
        """Takes up what was learnt, by whichever process."""
        revision = await self._database.read(current, REVISION)
        if revision == self._revision:
            return
        try:
            self.quality = await self._database.read(learnt)
            self.use(self._settings)
        except Unavailable:
            raise
        except (ChittyError, ValueError) as error:  # of a newer version: what was in use stays in use
            log.warning("quality_kept", extra={"error": str(error)})
        self._revision = revision

    async def run(self) -> None:
        """Keeps it fresh, as long as it runs."""
        await kept_fresh(self.refresh, self._clock)


def policy_of(settings: Settings, quality: Quality, prices: Prices) -> Policy:
    """What `auto` goes by, of its parts."""

    def cost(model: Model, provider: Provider, given: int, written: int) -> int | None:
        return prices.cost_nano(model, provider, Usage(input=given, output=written))

    wishes = settings.routing
    tiered = frozenset(name for name, model in settings.models.items() if model.tier is not None)
    return Policy(
        quality=quality, target=wishes.target, strong=wishes.strong, tiered=tiered, cost=cost,
        worst=prices.worst_case_nano,
    )  # fmt: skip


def learnt(connection: Connection) -> Quality:
    """What is in use. Raises ChittyError or ValueError where this version cannot read it."""
    row = newest(connection)
    return NO_QUALITY if row is None else Quality.load(row["data"])
