"""The SQL of the exact-match response cache. What belongs into a key is the gateway's business."""

from msgspec import Struct
from sqlalchemy import Connection, bindparam, delete, func, insert, select

from chittycan.store.tables import responses


class Entry(Struct, frozen=True, kw_only=True):
    """One stored answer; `key` is a SHA-256 over all that shapes it, times are Unix seconds."""

    key: str
    body: bytes
    content_type: str
    stream: bool
    model: str
    created: float
    expires: float


_GET = select(*(responses.c[name] for name in Entry.__struct_fields__)).where(
    responses.c.key == bindparam("wanted"), responses.c.expires > bindparam("now")
)


def get(connection: Connection, key: str, now: float) -> Entry | None:
    """The answer stored under `key`, unless it has expired."""
    row = connection.execute(_GET, {"wanted": key, "now": now}).first()
    return None if row is None else Entry(**row._mapping)


def put(connection: Connection, entry: Entry, total: int) -> None:
    """Store an answer, replacing its predecessor; the oldest go until all bodies have at most `total` bytes."""
    size = len(entry.body)
    connection.execute(delete(responses).where(responses.c.key == entry.key))
    connection.execute(delete(responses).where(responses.c.expires <= entry.created))
    over = _bytes(connection) + size - total
    if over > 0:
        _evict(connection, over)
    if size <= total:
        values = {name: getattr(entry, name) for name in Entry.__struct_fields__}
        connection.execute(insert(responses).values(size=size, **values))


def purge(connection: Connection, now: float | None = None) -> int:
    """Forget what has expired by `now`, or (None) everything; the number of answers forgotten."""
    forget = delete(responses)
    return connection.execute(forget if now is None else forget.where(responses.c.expires <= now)).rowcount


def _bytes(connection: Connection) -> int:
    return int(connection.scalar(select(func.coalesce(func.sum(responses.c.size), 0))) or 0)


def _evict(connection: Connection, over: int) -> None:
    freed, gone = 0, []
    for key, size in connection.execute(select(responses.c.key, responses.c.size).order_by(responses.c.created)):
        gone.append(key)
        freed += size
        if freed >= over:
            break
    connection.execute(delete(responses).where(responses.c.key.in_(gone)))
