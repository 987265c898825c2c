"""Virtual keys: make, list, revoke, and what each has spent."""

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from chittycan.control.operation import operation, usd

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key


class KeyRow(Struct, kw_only=True):
    """One key without its secret; `hint` is its last four characters. Times are Unix seconds, budgets dollars."""

    id: str
    name: str
    hint: str
    state: Literal["active", "expired", "revoked"]
    created: float
    expires: float | None
    budget_day_usd: float | None
    budget_month_usd: float | None
    spent_day_usd: float
    spent_month_usd: float
    rpm: int | None
    tpm: int | None
    models: list[str] | None
    kinds: list[str] | None
    cache: bool


class NewKeyRow(KeyRow, kw_only=True):
    """A key just made: `key` is shown this once, and nobody can ever read it again."""

    key: str


@operation("GET", "/keys", owner=True)
async def listed(network: "Network", caller: "Key | None") -> list[KeyRow]:
    """Every key ever made, without the keys themselves."""
    from chittycan.usage.queries import Queries

    keys = await network.keys.list()
    queries = Queries(network.database, network.clock, network.ledger)
    day, month = await queries.spent_by_key("day"), await queries.spent_by_key("month")
    now = network.clock.now()
    return [_row(key, now, day.get(key.id, 0), month.get(key.id, 0)) for key in keys]


@operation("POST", "/keys", owner=True)
async def create(
    network: "Network",
    caller: "Key | None",
    *,
    name: str,
    budget: str | None = None,
    models: list[str] | None = None,
    kinds: list[str] | None = None,
    rpm: int | None = None,
    tpm: int | None = None,
    expires: str | None = None,
    cache: bool = False,
) -> NewKeyRow:
    """Makes a key: `budget` "10/day,100/month" in dollars, `expires` "30d". From the first key on, one is required."""
    from msgspec.structs import asdict

    from chittycan.auth.keys import NewKey

    key, secret = await network.keys.create(
        NewKey(
            name=name, budget=budget, models=tuple(models) if models else None, kinds=tuple(kinds) if kinds else None,
            rpm=rpm, tpm=tpm, expires=expires, cache=cache,
        )
    )  # fmt: skip
    return NewKeyRow(key=secret, **asdict(_row(key, network.clock.now(), 0, 0)))


@operation("DELETE", "/keys/{key}", owner=True)
async def revoke(network: "Network", caller: "Key | None", *, key: str) -> None:
    """Revokes a key by its name or id; every server knows within a second."""
    await network.keys.revoke(key)


def _row(key: "Key", now: float, day: int, month: int) -> KeyRow:
    state: Literal["active", "expired", "revoked"] = "active"
    if not key.usable(now):
        state = "revoked" if key.revoked is not None else "expired"
    return KeyRow(
        id=key.id, name=key.name, hint=key.hint, state=state, created=key.created, expires=key.expires,
        budget_day_usd=usd(key.budget_day), budget_month_usd=usd(key.budget_month), spent_day_usd=day / 1e9,
        spent_month_usd=month / 1e9, rpm=key.rpm, tpm=key.tpm, cache=key.cache,
        models=None if key.models is None else sorted(key.models),
        kinds=None if key.kinds is None else sorted(key.kinds),
    )  # fmt: skip
