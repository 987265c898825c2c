"""What `auto` goes by is known to every process, and a model that cannot be read changes nothing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from chittycan.catalogue import Model, PriceRow, Provider
from chittycan.clock import Clock
from chittycan.config.settings import ModelSettings, RoutingSettings, Settings
from chittycan.policy import RoutingPolicy, policy_of
from chittycan.routing.cost.policy import NO_POLICY, Policy
from chittycan.routing.quality.estimate import NO_QUALITY, Quality
from chittycan.routing.quality.learnt import Learnt, Mean
from chittycan.store import quality as rows
from chittycan.store.database import Database
from chittycan.store.revisions import POLL_SECONDS
from chittycan.testing import FakeClock
from chittycan.usage.prices import Prices

TAUGHT = Quality(Learnt(models={"small": Mean(0.5, 70)}))
SETTINGS = Settings(folder=Path("nowhere"), routing=RoutingSettings(target=0.9, strong="large"))


class Held:
    """What a gateway is to its policy."""

    policy: Policy = NO_POLICY


def _policy(database: Database, clock: Clock) -> tuple[RoutingPolicy, Held]:
    held: Any = Held()
    return RoutingPolicy(held, database, clock, Prices(clock), SETTINGS), held


async def _train(database: Database, data: bytes) -> None:
    await database.run(rows.keep, data, "{}", 1.0)


async def test_what_one_process_learnt_others_go_by_within_a_second(database: Database) -> None:
    clock = FakeClock()
    policy, held = _policy(database, clock)
    await policy.refresh()
    assert (held.policy.target, held.policy.strong) == (0.9, "large")
    assert held.policy.quality is NO_QUALITY
    watching = asyncio.ensure_future(policy.run())
    await _train(database, TAUGHT.dump())
    await clock.until_asleep()
    clock.advance(POLL_SECONDS)
    await clock.until_asleep()
    assert held.policy.quality.learnt.models["small"].scored == 70
    watching.cancel()


async def test_forgetting_is_taken_up_too(database: Database) -> None:
    policy, held = _policy(database, FakeClock())
    await _train(database, TAUGHT.dump())
    await policy.refresh()
    assert held.policy.quality is not NO_QUALITY
    await database.run(rows.forget)
    await policy.refresh()
    assert held.policy.quality is NO_QUALITY


async def test_what_cannot_be_read_changes_nothing(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    policy, held = _policy(database, FakeClock())
    await _train(database, TAUGHT.dump())
    await policy.refresh()
    await _train(database, b"of a version to come")
    await policy.refresh()
    assert held.policy.quality.learnt.models["small"].scored == 70
    assert [record.message for record in caplog.records] == ["quality_kept"]


async def test_an_edit_keeps_what_was_learnt(database: Database) -> None:
    policy, held = _policy(database, FakeClock())
    await _train(database, TAUGHT.dump())
    await policy.refresh()
    policy.use(replace(SETTINGS, routing=RoutingSettings(target=0.5)))
    assert (held.policy.target, held.policy.strong) == (0.5, None)
    assert held.policy.quality is not NO_QUALITY


def test_costs_are_those_of_the_price_list_and_tiers_those_that_the_owner_wrote() -> None:
    written = replace(SETTINGS, models={"small": ModelSettings(tier="simple"), "large": ModelSettings()})
    policy = policy_of(written, NO_QUALITY, Prices(FakeClock()))
    lab = Provider(name="lab", dialect="openai", endpoint="http://lab.test/v1")
    priced = Model(name="m", provider="lab", upstream="m", price=PriceRow(input=2, output=10))
    assert policy.cost(priced, lab, 1000, 100) == 3_000_000
    assert policy.cost(Model(name="m", provider="lab", upstream="m"), lab, 1000, 100) is None
    assert policy.tiered == {"small"}
