"""Sketches of what `auto` was asked, for the owner who wants it to learn: hashes of words, never the words.

A call only hands its text over; hashing and writing happen within a second, on other threads. Of private work nothing
is kept, and after `KEPT_SECONDS` nothing of any.
"""

import asyncio
import logging
from collections.abc import Callable

from chittycan.clock import Clock
from chittycan.errors import ChittyError
from chittycan.gateway.call import Call
from chittycan.gateway.weighing import words_of
from chittycan.routing.decide import CHOOSING, Decision
from chittycan.routing.quality.features import sketch
from chittycan.store import feedback
from chittycan.store.database import Database
from chittycan.store.feedback import Sketch

log = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
SWEEP_SECONDS = 3_600.0
KEPT_SECONDS = 90 * 86_400.0
MOST = 1_000  # that wait to be written; beyond that calls are not learnt from

Noted = tuple[str, str | None, float, str]  # request id, kind, when, text


class Sketches:
    """`wanted`: whether the owner wants any. `run` must be running."""

    def __init__(self, database: Database, clock: Clock, wanted: Callable[[], bool]) -> None:
        self._database, self._clock, self._wanted = database, clock, wanted
        self._noted: list[Noted] = []
        self._swept = float("-inf")

    def note(self, call: Call, decision: Decision) -> None:
        """An answered call; the text of one that `auto` chose for, and that is not private, is remembered for now."""
        asked = CHOOSING if call.ruled is None else ()
        if not self._wanted() or call.model not in asked or decision.label != "public" or len(self._noted) >= MOST:
            return
        if text := words_of(call):
            self._noted.append((call.request_id, decision.kind, self._clock.now(), text))

    async def run(self) -> None:
        """Writes until cancelled, then once more. What cannot be written is let go: it is nobody's record."""
        try:
            while True:
                await self._clock.sleep(FLUSH_SECONDS)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Writes all that was noted before this call, and forgets what is old."""
        noted, self._noted = self._noted, []
        try:
            if noted:
                rows = await asyncio.to_thread(_sketched, noted)
                await self._database.run(feedback.keep, rows)
            now = self._clock.now()
            if now >= self._swept + SWEEP_SECONDS:
                await self._database.run(feedback.forget, now - KEPT_SECONDS)
                self._swept = now
        except ChittyError as error:
            log.warning("sketches_lost", extra={"fields": {"count": len(noted), "error": error.message}})


def _sketched(noted: list[Noted]) -> list[Sketch]:
    return [Sketch(request_id=request, kind=kind, sketch=sketch(text), at=at) for request, kind, at, text in noted]
