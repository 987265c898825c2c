"""What the engine's own rows say, and how they are put right: DBOS has no public words for these.

`known` is DBOS's `SystemDatabase`, of which the table `workflow_status` is used: one row per workflow, PENDING while it
is run. Everything here is idempotent, and harmless for several processes at once.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import select, update

OPEN = ("PENDING", "ENQUEUED", "DELAYED")


def open_of(known: Any, ids: Collection[str]) -> set[str]:
    """Those of the ids that are to be run yet, or are being run."""
    row = known.tables.workflow_status.c
    query = select(row.workflow_uuid).where(row.workflow_uuid.in_(list(ids)), row.status.in_(OPEN))
    with known.engine.begin() as connection:
        return set(connection.execute(query).scalars())


def executors(known: Any) -> set[str]:
    """Those that something is with."""
    row = known.tables.workflow_status.c
    with known.engine.begin() as connection:
        return set(connection.execute(select(row.executor_id).where(row.status == "PENDING").distinct()).scalars())


def give_back(known: Any, workers: Collection[str], queue: str, version: str) -> int:
    """Into the queue with what these workers were at."""
    dead = list(workers)
    versions = [version, *_older(known, version)]
    found = [each for name in dead for which in versions for each in known.get_pending_workflows(name, which)]
    return sum(known.reenqueue_for_recovery(each.workflow_id, dead, queue) for each in found)


def adopt(known: Any, version: str) -> int:
    """What waits for a worker of an older version is ours to do from now on."""
    older = _older(known, version)
    if not older:
        return 0
    table = known.tables.workflow_status
    ours = (table.c.status.in_(("ENQUEUED", "DELAYED")), table.c.application_version.in_(older))
    with known.engine.begin() as connection:
        return int(connection.execute(update(table).where(*ours).values(application_version=version)).rowcount)


def mislaid(known: Any, worker: str, at_work: Collection[str], before: float) -> list[str]:
    """What has been with `worker` since `before` (Unix seconds) without being among what it is at."""
    row = known.tables.workflow_status.c
    query = select(row.workflow_uuid).where(
        row.status == "PENDING", row.executor_id == worker, row.started_at_epoch_ms < before * 1000
    )
    with known.engine.begin() as connection:
        return [each for each in connection.execute(query).scalars() if each not in at_work]


def over(known: Any, before: float, limit: int) -> list[str]:
    """Workflows that came to their end before then, those of long ago first."""
    row = known.tables.workflow_status.c
    query = select(row.workflow_uuid).where(row.completed_at < before * 1000).order_by(row.completed_at).limit(limit)
    with known.engine.begin() as connection:
        return list(connection.execute(query).scalars())


def _older(known: Any, version: str) -> list[str]:
    """The versions below this one that there have been. Versions are whole numbers."""
    names = (each["version_name"] for each in known.list_application_versions())
    return [each for each in names if each.isdigit() and int(each) < int(version)]
