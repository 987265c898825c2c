"""The calls of one task: as its key, on its own chain, within its budget, as its options say."""

from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

from msgspec.structs import replace

from chittycan.agents.performers.parts import Assembled, Parts
from chittycan.agents.performers.waits import LONGEST_PAUSE, Chain, outcome_of
from chittycan.auth.keys import Key
from chittycan.catalogue import Catalogue, Ensemble
from chittycan.chat import ChatRequest
from chittycan.errors import BudgetExceeded, ChittyError, Forbidden, ProviderError, UnknownModel
from chittycan.gateway.call import Answer, Options
from chittycan.gateway.options import allow_kind
from chittycan.routing.decide import AUTO, PRIVATE
from chittycan.routing.ensembles.seating import member_of
from chittycan.routing.privacy.placeholders import REDACTED
from chittycan.workstreams.task import Failed, Outcome, Task

T = TypeVar("T")


class Held(Exception):
    """There is no answer now; `outcome` is what the task comes to instead."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


class Calls:
    """Asks, and keeps what it cost. `instead_of`: the model that was named, where the default chain stood in for it.

    It does so only where nothing of the named model's chain can be called here at all.
    """

    def __init__(self, parts: Parts, task: Task, options: Options, key: Key | None) -> None:
        self._parts, self._task, self._options, self._key = parts, task, options, key
        self._private = options.private or task.model == PRIVATE
        self._found_private = False  # by the gateway, in some call
        self.cost_nano: int | None = None
        self.instead_of: str | None = None

    @classmethod
    async def of(cls, parts: Parts, task: Task, *, private: bool = False) -> Self:
        """`private`: besides what the task says. Raises Unauthenticated where its key may not be used any more."""
        key = None if task.key_id is None else await parts.key_of(task.key_id)
        return cls(parts, task, options_of(task, private=private), key)

    async def ask(self, request: ChatRequest, options: Options | None = None) -> Answer:
        """Of `options` the kind of task counts where the task has none, `private` in any case, and the region before
        the task's: it is what binds the very thing that is asked about.

        Raises Held where the task has to wait, ChittyError where it has failed.
        """
        wished = options or Options()
        private = self._options.private or wished.private
        asked = replace(
            self._options,
            kind=self._task.kind or wished.kind,
            region=wished.region or self._options.region,
            private=private,
        )
        self._private = self._private or private
        if request.model == AUTO:
            return await self._asked(request, asked)
        standing_in = replace(request, model=AUTO), replace(asked, models=())
        if self.instead_of is not None:
            return await self._asked(*standing_in)
        try:
            return await self._asked(request, asked)
        except UnknownModel as unknown:
            self.instead_of = request.model
            try:
                return await self._asked(*standing_in)
            except Forbidden:  # its key is for the named model alone
                raise unknown from None

    async def ensemble(self, request: ChatRequest, ensemble: Ensemble, name: str | None) -> Assembled:
        """As `ask`, of several models."""
        gateway = self._parts.gateway
        options = replace(self._options, models=())  # an ensemble has its own

        async def ask() -> Assembled:
            return await gateway.ensemble(request, ensemble, self._within(options), self._key, name=name)

        return await self._counted(ask, lambda: chain_of(ensemble, gateway.catalogue))

    def first_of_default(self, request: ChatRequest) -> str:
        """The model that answers first where none is named. Raises ChittyError."""
        options = replace(self._options, models=())
        decision = self._parts.gateway.explain(replace(request, model=AUTO), options, self._key, keep_answering=True)
        return decision.chain[0].model.name

    @property
    def marks(self) -> dict[str, Any]:
        """What a result says besides the answer, where there is something to say.

        A label that nothing follows from (the mode `warn`) is left to the ledger.
        """
        marked: dict[str, Any] = {} if self.instead_of is None else {"instead_of": self.instead_of}
        if self._private or (self._found_private and self._parts.enforcing()):
            marked["label"] = PRIVATE
        return marked

    def failed(self, error: ChittyError) -> Outcome:
        """What the task comes to where its work went wrong after it was asked."""
        return outcome_of(error, {}, self._parts.clock.now(), cost_nano=self.cost_nano)

    async def _asked(self, request: ChatRequest, options: Options) -> Answer:
        gateway = self._parts.gateway

        async def ask() -> Answer:
            return await gateway.ask(
                request, self._within(options), self._key, keep_answering=False, longest_pause=LONGEST_PAUSE
            )

        def chain() -> Chain:
            try:
                decision = gateway.explain(request, options, self._key, keep_answering=False)
            except ChittyError:
                return {}
            return {each.model.name: each.provider.name for each in decision.chain}

        return await self._counted(ask, chain)

    async def _counted(self, ask: Callable[[], Awaitable[T]], chain: Callable[[], Chain]) -> T:
        try:
            answer: Any = await ask()
        except ChittyError as error:
            self._spend(error.cost_nano if isinstance(error, ProviderError) else 0)
            outcome = outcome_of(error, chain(), self._parts.clock.now(), cost_nano=self.cost_nano)
            if isinstance(outcome, Failed):
                raise
            raise Held(outcome) from error
        self._spend(answer.cost_nano)
        if answer.trace.label in (PRIVATE, REDACTED):  # what was redacted is back in the answer
            self._found_private = True
        return answer  # type: ignore[no-any-return]

    def _spend(self, nano: int | None) -> None:
        if nano is not None:
            self.cost_nano = (self.cost_nano or 0) + nano

    def _within(self, options: Options) -> Options:
        """As the key allows, and with what is left of the money. Raises Forbidden, BudgetExceeded."""
        allow_kind(self._key, options.kind)
        if self._task.budget_nano is None:
            return options
        left = self._task.budget_nano - (self._task.cost_nano or 0) - (self.cost_nano or 0)
        if left <= 0:
            raise BudgetExceeded(f"the task's budget of ${self._task.budget_nano / 1e9:g} is spent")
        most = options.max_cost_nano
        return replace(options, max_cost_nano=left if most is None else min(left, most))


def options_of(task: Task, *, private: bool = False) -> Options:
    """What the task says of how its calls are made. Raises InvalidRequest."""
    given = task.options
    return Options(
        kind=task.kind,
        session=task.session,
        task=task.id,
        region=given.get("region"),
        private=private or bool(given.get("private")),
        max_cost_nano=given.get("max_cost_nano"),
        models=tuple(given.get("models") or ()),
        recall=given.get("recall"),
        record=given.get("record"),
    )


def chain_of(ensemble: Ensemble, catalogue: Catalogue) -> Chain:
    """Everyone who may be asked, with their providers."""
    names = [*ensemble.models, *filter(None, (ensemble.strong, ensemble.judge))]
    found = [model for name in names if (model := member_of(name, catalogue)) is not None]
    return {model.name: model.provider for model in found}
