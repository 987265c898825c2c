"""Virtual keys: who may call, what for, and how much. Known to every process within a second of a change."""

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from chittycan.auth.limits import parse_budget, parse_duration
from chittycan.clock import Clock
from chittycan.errors import ChittyError, NotFound, Unauthenticated, UsageError
from chittycan.store import keys as rows
from chittycan.store.database import Database
from chittycan.store.meters import Cap
from chittycan.store.revisions import current

log = logging.getLogger(__name__)

PREFIX = "sk-chitty-"
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_CHARACTERS = 40  # 238 bits
POLL_SECONDS = 0.5
LONGEST_NAME = 100
LONGEST_BEARER = 512  # characters; ours have far fewer
KEPT_DIGESTS = 1024


class Key(Struct, frozen=True, kw_only=True):
    """One key without its secret. `models`, `kinds`, `routes` None: all. Times are Unix seconds, budgets
    nano-dollars. `hint` is the last four characters of the key."""

    id: str
    name: str
    hint: str = ""
    created: float = 0.0
    expires: float | None = None
    revoked: float | None = None
    budget_day: int | None = None
    budget_month: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    models: frozenset[str] | None = None
    kinds: frozenset[str] | None = None
    routes: frozenset[str] | None = None
    cache: bool = False
    admin: bool = False
    rate_caps: tuple[Cap, ...] = ()
    budget_caps: tuple[Cap, ...] = ()

    @property
    def caps(self) -> tuple[Cap, ...]:
        """All limits, those that pass soonest first."""
        return self.rate_caps + self.budget_caps

    def usable(self, now: float) -> bool:
        return self.revoked is None and (self.expires is None or now < self.expires)


class NewKey(Struct, frozen=True, kw_only=True):
    """What a person asks for, as they write it: `budget` "10/day,100/month", `expires` "30d"."""

    name: str
    budget: str | None = None
    models: tuple[str, ...] | None = None
    kinds: tuple[str, ...] | None = None
    routes: tuple[str, ...] | None = None
    rpm: int | None = None
    tpm: int | None = None
    expires: str | None = None
    cache: bool = False


class Keys:
    """The keys, in memory. `refresh` before the first `authenticate`; `run` keeps them fresh.

    `admin` is the credential of this machine's own `can` (see `auth.admin`): it passes as a key without limits
    and does not count for `required`.
    """

    def __init__(self, database: Database, clock: Clock, admin: str | None = None) -> None:
        self._database = database
        self._clock = clock
        self._by_digest: dict[str, Key] = {}
        self._admin = None if admin is None else _digest(admin)
        self._keys: tuple[Key, ...] = ()
        self._revision = -1
        self._refreshing = asyncio.Lock()

    @property
    def required(self) -> bool:
        """Whether callers need a key: true as soon as there was one. Revoking the last does not open the server."""
        return bool(self._keys)

    def authenticate(self, bearer: str | None) -> Key | None:
        """The caller's key; None for anybody while no key exists. Raises `Unauthenticated`."""
        if bearer is None:
            if not self.required:
                return None
            raise Unauthenticated("this server needs a key", fix="send it as `Authorization: Bearer sk-chitty-…`")
        digest = _digest(bearer) if len(bearer) <= LONGEST_BEARER else ""
        if self._admin is not None and hmac.compare_digest(digest, self._admin):
            return ADMIN
        if not self.required:
            return None
        # Looked up by digest: how long that takes tells nothing about any key, since nobody can choose a digest.
        key = self._by_digest.get(digest)
        if key is None:
            raise Unauthenticated("this key is not known here", fix="can keys create --name NAME")
        if not key.usable(self._clock.now()):
            state = "revoked" if key.revoked is not None else "expired"
            raise Unauthenticated(f"the key '{key.name}' is {state}", fix="can keys create --name NAME")
        return key

    async def of_id(self, key_id: str) -> Key:
        """The key of what was submitted earlier. Raises `Unauthenticated` where it is unknown, revoked or expired."""
        key = self._with_id(key_id)
        if key is None:
            await self.refresh()
            key = self._with_id(key_id)
        if key is None:
            raise Unauthenticated(f"the key {key_id} is not known here")
        if not key.usable(self._clock.now()):
            raise Unauthenticated(f"the key '{key.name}' is {'expired' if key.revoked is None else 'revoked'}")
        return key

    def _with_id(self, key_id: str) -> Key | None:
        return next((key for key in self._keys if key.id == key_id), None)

    def name_of(self, key_id: str) -> str | None:
        """None where it is not known (yet)."""
        key = self._with_id(key_id)
        return None if key is None else key.name

    async def create(self, new: NewKey) -> tuple[Key, str]:
        """The new key and its secret, which nobody can ever read again.

        Raises `UsageError` for a name in use or a limit that cannot be read.
        """
        values, secret = _values(new, self._clock.now())
        if not await self._database.run(rows.add, values):
            raise UsageError(f"a key named '{new.name}' exists", fix=f"can keys revoke {new.name}, or another name")
        await self.refresh()
        return _key(values), secret

    async def revoke(self, name_or_id: str) -> None:
        """At once here, within a second in every other process. Raises `NotFound`."""
        if not await self._database.run(rows.revoke, name_or_id, self._clock.now()):
            raise NotFound(f"no key in use is called '{name_or_id}'", fix="can keys list")
        await self.refresh()

    async def list(self) -> tuple[Key, ...]:
        """Every key ever made, in order of creation."""
        await self.refresh()
        return self._keys

    @property
    def known(self) -> tuple[Key, ...]:
        """Every key ever made, as of the last look."""
        return self._keys

    async def refresh(self) -> None:
        """Load the keys anew if any process changed them."""
        async with self._refreshing:  # a slow look must not undo a newer one
            if await self._database.read(current, rows.REVISION) == self._revision:
                return
            revision, found = await self._database.read(rows.load)
            self._by_digest = {row.digest: _key(row._asdict()) for row in found}
            self._keys = tuple(self._by_digest.values())
            self._revision = revision

    async def run(self) -> None:
        """Refresh until cancelled. While the database is away the known keys keep working."""
        away = False
        while True:
            await self._clock.sleep(POLL_SECONDS)
            try:
                await self.refresh()
                away = False
            except ChittyError as error:
                if not away:
                    log.warning("keys could not be refreshed: %s", error)
                away = True


ADMIN = Key(id="admin", name="admin", admin=True)


def new_secret() -> str:
    return PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_CHARACTERS))


@lru_cache(KEPT_DIGESTS)
def _digest(secret: str) -> str:
    # A plain hash is right for 238 random bits: there is nothing to guess that slow hashing would make dearer.
    # Remembered in memory only, where the connections' buffers are. Odd characters are hashed like any other text.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _values(new: NewKey, now: float) -> tuple[dict[str, Any], str]:
    """The row of a new key, and its secret."""
    name = new.name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(f"a key's name has 1 to {LONGEST_NAME} printable characters", fix="--name laptop")
    for flag, value in (("rpm", new.rpm), ("tpm", new.tpm)):
        if value is not None and not 0 <= value < 2**31:
            raise UsageError(f"--{flag} {value} is out of range", fix=f"a number of 0 or more, as in --{flag} 60")
    budget, secret = parse_budget(new.budget), new_secret()
    return {
        "id": f"key_{secrets.token_hex(6)}",
        "name": name,
        "digest": _digest(secret),
        "hint": secret[-4:],
        "created": now,
        "expires": None if new.expires is None else now + parse_duration(new.expires),
        "revoked": None,
        "budget_day": budget.day,
        "budget_month": budget.month,
        "rpm": new.rpm,
        "tpm": new.tpm,
        "models": _listed(new.models),
        "kinds": _listed(new.kinds),
        "routes": _listed(new.routes),
        "cache": new.cache,
    }, secret


def _listed(names: tuple[str, ...] | None) -> str | None:
    return None if names is None else msgspec.json.encode(sorted(set(names))).decode()


def _key(row: Mapping[str, Any]) -> Key:
    fields: dict[str, Any] = {name: row[name] for name in row if name != "digest"}
    for name in ("models", "kinds", "routes"):
        if fields[name] is not None:
            fields[name] = frozenset(msgspec.json.decode(fields[name]))
    scope, label = f"key:{row['id']}", f"key '{row['name']}'"
    rates = [Cap(scope, "requests", "minute", row["rpm"], label)] if row["rpm"] is not None else []
    if row["tpm"] is not None:
        rates.append(Cap(scope, "tokens", "minute", row["tpm"], label))
    budgets = [Cap(scope, "nano", "day", row["budget_day"], label)] if row["budget_day"] is not None else []
    if row["budget_month"] is not None:
        budgets.append(Cap(scope, "nano", "month", row["budget_month"], label))
    return Key(**fields, rate_caps=tuple(rates), budget_caps=tuple(budgets))
