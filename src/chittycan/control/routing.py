"""What was learnt of the models' quality: learn it anew, look at it, forget it."""

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from chittycan.control.operation import operation
from chittycan.routing.quality.report import Report

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.routing.quality.prompts import Scored

TRAINING_SECONDS = 900.0


class Training(Struct, kw_only=True):
    """The training in use: when it was (Unix seconds) and what came of it; null where that is not known."""

    at: float | None
    report: Report | None


class Forgotten(Struct, kw_only=True):
    """How many trainings were deleted."""

    trainings: int


@operation("GET", "/routing/quality", owner=True)
async def shown(network: "Network", caller: "Key | None") -> Training:
    """What `auto` knows of the models' quality: who was scored how often and how well, and how far it holds."""
    from chittycan.store.quality import newest

    row = await network.database.read(newest)
    if row is None:
        return Training(at=None, report=None)
    try:
        report = msgspec.json.decode(row["facts"], type=Report)
    except msgspec.DecodeError:  # written by another version
        report = None
    return Training(at=row["at"], report=report)


@operation("POST", "/routing/train", owner=True, seconds=TRAINING_SECONDS)
async def train(network: "Network", caller: "Key | None", *, since: str = "90d", dry_run: bool = False) -> Training:
    """Learns from the answers that were scored since then (24h, 7d, 90d): feedback, outcomes, checks.

    What virtual keys say of their answers counts where `routing.learn` is on: it moves what everybody's `auto` chooses.
    It is used at once by every server on this database. With `dry_run` nothing is kept. It runs in a process of its
    own, and takes about a minute for 100,000 scores.
    """
    import asyncio
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial
    from multiprocessing import get_context

    from chittycan.auth.limits import parse_duration
    from chittycan.routing.quality.report import learn

    now = network.clock.now()
    await network.ledger.flush()
    learns = network.settings.routing.learn
    rows = await network.database.read(own_scores, now - parse_duration(since), of_keys=learns)
    if not rows:
        return Training(at=None, report=None)
    names = frozenset(network.gateway.catalogue.models)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        data, report = await asyncio.get_running_loop().run_in_executor(pool, partial(learn, rows, pool=names))
    if not dry_run:
        await network.database.run(kept, data, report, now)
    return Training(at=None if dry_run else now, report=report)


@operation("DELETE", "/routing/quality", owner=True)
async def forget(network: "Network", caller: "Key | None") -> Forgotten:
    """Deletes what was learnt: `auto` chooses by tiers and chains again."""
    from chittycan.store import quality

    return Forgotten(trainings=await network.database.run(quality.forget))


def own_scores(connection: "Connection", since: float, *, of_keys: bool) -> "list[Scored]":
    """The scored answers of this network since then (Unix seconds). `of_keys`: by the words of virtual keys too."""
    from chittycan.routing.quality.prompts import Scored
    from chittycan.store.feedback import scored

    found = scored(connection, since, of_keys=of_keys)
    return [Scored(row.model, row.kind, row.sketch, row.score, row.cost_nano) for row in found]


def kept(connection: "Connection", data: bytes, report: Report, now: float) -> None:
    """Makes it what is in use."""
    from chittycan.store import quality

    quality.keep(connection, data, msgspec.json.encode(report).decode(), now)
