"""Rows of the processes that do durable work. Times are the database's own, so that no host's clock matters."""

from collections.abc import Collection

from msgspec import Struct, structs
from sqlalchemy import Connection, delete, func, select, update

from chittycan.store.moment import now
from chittycan.store.upsert import insert
from chittycan.store.work_tables import tasks, workers


class Worker(Struct, frozen=True, kw_only=True):
    """One process. `boot` is the start of the machine (or container) in which `pid` and `birth` mean something."""

    id: str
    nonce: str  # tells two with one id apart
    host: str
    boot: str
    pid: int
    birth: int | None  # when the process began, in ticks of its machine; None where nobody tells
    version: str
    role: str
    region: str | None  # several are joined by commas
    started: float = 0.0
    beat: float = 0.0
    silence: float = 0.0  # seconds since it was last heard of

    @property
    def regions(self) -> tuple[str, ...]:
        return tuple(self.region.split(",")) if self.region else ()


def listing(connection: Connection) -> list[Worker]:
    """All of them, the longest at work first."""
    clock = now(connection)
    query = select(workers, (clock - workers.c.beat).label("silence")).order_by(workers.c.started, workers.c.id)
    return [Worker(**row._mapping) for row in connection.execute(query)]


def with_tasks(connection: Connection) -> list[tuple[Worker, int]]:
    """All of them, and how many tasks each is at."""
    query = select(tasks.c.worker, func.count()).where(tasks.c.status == "running").group_by(tasks.c.worker)
    busy = {worker: int(count) for worker, count in connection.execute(query)}
    return [(each, busy.get(each.id, 0)) for each in listing(connection)]


def get(connection: Connection, worker_id: str) -> Worker | None:
    clock = now(connection)
    query = select(workers, (clock - workers.c.beat).label("silence")).where(workers.c.id == worker_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else Worker(**row._mapping)


def put(connection: Connection, worker: Worker, *, instead_of: str | None) -> bool:
    """Stores a worker that begins now; False where another than `instead_of` (a nonce) has its id."""
    values = structs.asdict(worker)
    del values["silence"]
    values |= {"started": now(connection), "beat": now(connection)}
    new = insert(connection, workers).values(values)
    if instead_of is None:
        stored = new.on_conflict_do_nothing()
    else:
        stored = new.on_conflict_do_update(index_elements=["id"], set_=values, where=workers.c.nonce == instead_of)
    return connection.execute(stored.returning(workers.c.id)).first() is not None


def beat(connection: Connection, worker_id: str, nonce: str) -> bool:
    """It is alive; False where the row is not its own any more."""
    same = (workers.c.id == worker_id, workers.c.nonce == nonce)
    return connection.execute(update(workers).where(*same).values(beat=now(connection))).rowcount == 1


def remove(connection: Connection, nonces: Collection[str]) -> None:
    """Those that are gone, unless another has taken the id over."""
    connection.execute(delete(workers).where(workers.c.nonce.in_(nonces)))
