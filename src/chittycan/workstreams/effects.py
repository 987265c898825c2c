"""Effects on the world outside that must not happen twice: a mail, a posted order. At most once, by design.

What is about to be done is written down before it is done, and what came of it afterwards. Whoever finds an effect
begun and its process gone cannot tell whether it happened, says so (`unknown`), and leaves the answer to a person
or to someone who can look outside. No program can do better without the other side's help: between doing and
writing down there is always a moment at which power may fail.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from chittycan.clock import Clock, SystemClock
from chittycan.errors import (
    AccessError,
    ChittyError,
    ConfigError,
    DeliveryUnknown,
    InvalidRequest,
    NotDelivered,
    NotFound,
    RequestError,
    Unavailable,
)
from chittycan.store import effects as rows
from chittycan.store.database import Database
from chittycan.store.effects import StoredEffect

State = Literal["sending", "sent", "failed", "unknown"]

# From each state, where an effect may go; it begins as `sending`. Nothing about states lives anywhere else.
TRANSITIONS: dict[State, tuple[State, ...]] = {
    "sending": ("sent", "failed", "unknown"),
    # It did not happen, so it may be tried again; `sent`: somebody only said so, and was wrong.
    "failed": ("sending", "sent"),
    "unknown": ("sent", "failed"),  # by someone who looked, or by the one who did it and was thought dead
    "sent": (),
}

RESOLVED_BY = "resolved_by"  # in an effect's `detail`: whose word it is, where that is all that is known

# Errors that say for certain that nothing happened.
CERTAIN = (NotDelivered, RequestError, AccessError, ConfigError)

# Without word from its owner, how long (seconds) an effect may be under way: longer than any single act may take.
LONGEST_ACT = 900.0
# Seconds between tries to write down what came of an act, where the database is away: a minute and a half in all.
RECORD_DELAYS = (0.2, 0.5, 1, 2, 5, 10, 15, 30, 30)

Act = Callable[[], Awaitable[Mapping[str, Any]]]
Alive = Callable[[str], Awaitable[bool | None]]


class Effect(Struct, frozen=True, kw_only=True):
    """One effect. `detail` is what `act` gave back, or `error`, `code`, `fix` and `temporary`, and who resolved it."""

    key: str
    kind: str
    state: State
    detail: dict[str, Any]
    owner: str
    created_at: float
    updated_at: float


class Effects:
    """Does things once. `owner` is this process alone: its worker's id and nonce.

    `alive` tells whether another owner still runs; where it cannot tell (None), and without it, an effect of another
    counts as abandoned after `LONGEST_ACT`.
    """

    def __init__(
        self,
        database: Database,
        *,
        owner: str,
        clock: Clock | None = None,
        alive: Alive | None = None,
    ) -> None:
        self._database = database
        self._owner = owner
        self._clock = clock or SystemClock()
        self._alive = alive
        self._acting: set[str] = set()  # keys that this process is at right now

    async def once(
        self, key: str, kind: str, act: Act, *, claiming: Callable[[Connection], None] | None = None
    ) -> Effect:
        """Do `act` unless an effect of that `key` was begun before; gives back what is known of it.

        `sent`: done, now or earlier. `failed`: certainly not done; calling again tries again. `unknown`: perhaps
        done, `resolve` it. `sending`: someone else is at it now. `act` gives back what is worth keeping, as JSON.
        Raises Unavailable without having done anything where the database is away, and whatever else `act`
        raises besides errors about the delivery (which become states); the effect is `unknown` then.

        `claiming` runs in the transaction that begins the effect, and only there: what it raises, nothing was begun.
        """
        now = self._clock.now()
        fresh = Effect(
            key=key, kind=kind, state="sending", detail={}, owner=self._owner, created_at=now, updated_at=now
        )
        if key in self._acting:
            return fresh
        self._acting.add(key)
        try:
            found = await self._claimed(fresh, claiming)
            return await self._settled(_effect(found)) if found is not None else await self._do(fresh, act)
        finally:
            self._acting.discard(key)

    async def get(self, key: str) -> Effect:
        """Raises NotFound."""
        found = await self._database.read(rows.get, key)
        if found is None:
            raise NotFound(f"no effect {key!r}", param="key")
        return _effect(found)

    async def settled(self, key: str) -> Effect:
        """Like `get`, but `unknown` where whoever was at it is gone. Raises NotFound."""
        effect = await self.get(key)
        return effect if key in self._acting else await self._settled(effect)

    async def unknown(self, limit: int = 50) -> list[Effect]:
        """Those that wait for somebody's word, the oldest first."""
        return [_effect(each) for each in await self._database.read(rows.listing, "unknown", limit)]

    async def resolve(
        self, key: str, outcome: Literal["sent", "failed"], *, by: str, since: float | None = None
    ) -> Effect:
        """Somebody looked: it was `sent`, or it `failed` and may be tried again. Saying the same twice is fine.

        Whoever said that it failed may say that it was sent after all, until it is tried again.

        `since`: when what they looked at became unknown (`updated_at`). Of what was tried again afterwards they know
        nothing. Raises NotFound, and InvalidRequest where it is still under way, the opposite is known already, or
        it is unknown anew.
        """
        effect = await self.settled(key)
        if effect.state == outcome:
            return effect
        if effect.state == "unknown" and since not in (None, effect.updated_at):
            raise InvalidRequest(f"effect {key!r}: it was tried again since, and is unknown anew", param="outcome")
        mistaken = outcome == "sent" and effect.state == "failed" and RESOLVED_BY in effect.detail
        if effect.state == "unknown" or mistaken:
            detail = {**effect.detail, RESOLVED_BY: by}
            known = replace(effect, state=outcome, detail=detail, updated_at=self._clock.now())
            effect = await self._moved(known, came_from=(effect.state,))
        if effect.state == outcome:
            return effect
        message = "it is under way just now" if effect.state == "sending" else f"it is already known as {effect.state}"
        raise InvalidRequest(f"effect {key!r}: {message}", param="outcome")

    async def _claimed(self, fresh: Effect, claiming: Callable[[Connection], None] | None) -> StoredEffect | None:
        """As `_claim`. Where nobody hears whether it is begun now, it certainly `failed`: nothing was done yet."""
        begun = False

        def claim(connection: Connection) -> StoredEffect | None:
            nonlocal begun
            begun = False
            found = _claim(connection, _stored(fresh), claiming)
            begun = found is None
            return found

        try:
            return await self._database.run(claim)
        except (Unavailable, asyncio.CancelledError):
            if begun:
                left = replace(fresh, state="failed", detail={"error": "nothing was done yet", "temporary": True})
                with suppress(Unavailable):
                    await self._moved(left, came_from=("sending",), of=self._owner)
            raise

    async def _do(self, effect: Effect, act: Act) -> Effect:
        state: State
        try:
            state, detail = "sent", dict(await act())
        except CERTAIN as error:
            state, detail = "failed", {**_said(error), "temporary": getattr(error, "temporary", False)}
        except DeliveryUnknown as error:
            state, detail = "unknown", _said(error)
        except BaseException as error:
            await self._record(effect, "unknown", {"error": f"interrupted by {type(error).__name__}"})
            raise
        return await self._record(effect, state, detail)

    async def _record(self, effect: Effect, state: State, detail: dict[str, Any]) -> Effect:
        """Even if the caller is cancelled meanwhile: what is not written down now is unknown for good."""
        return await asyncio.shield(self._written(replace(effect, state=state, detail=detail)))

    async def _written(self, effect: Effect) -> Effect:
        # `unknown` is among them: others may have thought this process dead, and we know better.
        came_from = tuple(each for each, following in TRANSITIONS.items() if effect.state in following)
        for delay in RECORD_DELAYS:
            try:
                return await self._moved(
                    replace(effect, updated_at=self._clock.now()), came_from=came_from, of=self._owner
                )
            except Unavailable:
                await self._clock.sleep(delay)
        return await self._moved(effect, came_from=came_from, of=self._owner)

    async def _settled(self, effect: Effect) -> Effect:
        """`effect`, but `unknown` where it is `sending` and nobody is left who could say more."""
        if effect.state != "sending" or not await self._abandoned(effect):
            return effect
        lost = {"error": "the process that did it ended before it could say what came of it"}
        gone = replace(effect, state="unknown", detail=lost, updated_at=self._clock.now())
        return await self._moved(gone, came_from=("sending",), of=effect.owner)

    async def _abandoned(self, effect: Effect) -> bool:
        if effect.owner == self._owner:
            return True  # asked only for keys that this process is not at
        alive = None if self._alive is None else await self._alive(effect.owner)
        if alive is not None:
            return not alive
        return self._clock.now() - effect.updated_at > LONGEST_ACT

    async def _moved(self, effect: Effect, *, came_from: tuple[State, ...], of: str | None = None) -> Effect:
        """As it is now: `effect`, or what somebody else made of it first."""
        return _effect(await self._database.run(_move, _stored(effect), came_from, of))


def _claim(
    connection: Connection, fresh: StoredEffect, claiming: Callable[[Connection], None] | None
) -> StoredEffect | None:
    """None where the effect is now ours to do: it is new, or it failed before. Else what is stored."""
    if rows.begin(connection, fresh) or rows.move(connection, fresh.key, ("failed",), fresh):
        if claiming is not None:
            claiming(connection)
        return None
    return rows.get(connection, fresh.key)


def _move(connection: Connection, to: StoredEffect, came_from: tuple[State, ...], of: str | None) -> StoredEffect:
    rows.move(connection, to.key, came_from, to, of=of)
    return rows.get(connection, to.key) or to


def _said(error: ChittyError) -> dict[str, Any]:
    said = {"error": error.message, "code": error.code}
    return {**said, "fix": error.fix} if error.fix else said


def _effect(stored: StoredEffect) -> Effect:
    return msgspec.convert({**msgspec.structs.asdict(stored), "detail": msgspec.json.decode(stored.detail)}, Effect)


def _stored(effect: Effect) -> StoredEffect:
    detail = msgspec.json.encode(effect.detail, enc_hook=str).decode()
    return StoredEffect(**{**msgspec.structs.asdict(effect), "detail": detail})
