"""What performers are made of. The composition root fills it in; a performer takes what it needs."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from chittycan.agents.acts import Acts
from chittycan.agents.invoke import Reread
from chittycan.agents.performers import response
from chittycan.agents.pipeline import Terms
from chittycan.auth.keys import Key
from chittycan.catalogue import Catalogue, Ensemble
from chittycan.chat import ChatRequest
from chittycan.clock import Clock
from chittycan.context.sessions import Sessions
from chittycan.gateway.call import Answer, Options, Trace
from chittycan.routing.decide import Decision
from chittycan.routing.ensembles.counting import Verdict
from chittycan.store.database import Database
from chittycan.workstreams.effects import Effects
from chittycan.workstreams.files import Files

READERS = 4  # documents that are read at once: each takes a process


class Assembled(Protocol):
    """The answer of an ensemble (`gateway.ensemble.EnsembleAnswer`)."""

    trace: Trace
    verdict: Verdict

    @property
    def text(self) -> str: ...
    @property
    def cost_nano(self) -> int | None: ...


class Gateway(response.Gateway, Protocol):
    @property
    def catalogue(self) -> Catalogue: ...

    async def ask(
        self, chat: ChatRequest, options: Options, key: Key | None, *, keep_answering: bool, longest_pause: float
    ) -> Answer: ...

    async def ensemble(
        self, chat: ChatRequest, ensemble: Ensemble, options: Options, key: Key | None, *, name: str | None
    ) -> Assembled: ...

    def explain(self, chat: ChatRequest, options: Options, key: Key | None, *, keep_answering: bool) -> Decision: ...


@dataclass(frozen=True, kw_only=True)
class Parts:
    """`key_of` finds a virtual key by its id (raises Unauthenticated), `terms` says how the owner wants mail handled.

    `audience` is where the events of background responses go; `enforcing` whether what is found to be private is held
    to private models. `reread` fetches a mail from where it was found.
    """

    gateway: Gateway
    database: Database
    sessions: Sessions
    key_of: Callable[[str], Awaitable[Key]]
    files: Files
    acts: Acts
    effects: Effects
    terms: Callable[[], Terms]
    audience: response.Audience
    enforcing: Callable[[], bool]
    reread: Reread
    clock: Clock
    mail_terms: Callable[[str], Terms]  # of an account, with its rules
    reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READERS))
