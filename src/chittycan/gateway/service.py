"""The gateway: one call from admission to record. admit → decide → attempt → record.

`complete` and `open` serve clients in their own dialect, `ask` and `stream` serve callers in this process;
all four are the same walk.
"""

import asyncio
import itertools
import math
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from msgspec.structs import replace

from chittycan.auth.keys import Key
from chittycan.catalogue import ENSEMBLE, Catalogue, Ensemble, Secret
from chittycan.chat import ChatRequest, Usage
from chittycan.clock import Clock
from chittycan.dialects import load
from chittycan.errors import ChittyError
from chittycan.gateway.admission import Admission
from chittycan.gateway.attempt import (
    AttemptFailed,
    Deadlines,
    Line,
    Whole,
    deadlines,
    explain_json,
    output_limit,
    read_whole,
    translate,
)
from chittycan.gateway.cache import ResponseCache
from chittycan.gateway.call import NO_OPTIONS, Answer, Call, Options, Reply, Trace
from chittycan.gateway.chain import Attempt, Chain, T, Trail, Tried, Walk
from chittycan.gateway.decisions import Decisions, labelled
from chittycan.gateway.ensemble import EnsembleAnswer, assemble
from chittycan.gateway.ensemble_stream import ToldStream
from chittycan.gateway.facts import SMALL_BODY, facts_of, input_tokens
from chittycan.gateway.health import Health
from chittycan.gateway.hedge import Race, late
from chittycan.gateway.latency import Latency
from chittycan.gateway.open_stream import OpenStream
from chittycan.gateway.placeholders import told as with_originals
from chittycan.gateway.placeholders import told_body
from chittycan.gateway.privacy import PrivacyGate
from chittycan.gateway.recall import Recall, text_of
from chittycan.gateway.record import NOTHING, Recorder
from chittycan.gateway.relay import Continuation, continued
from chittycan.gateway.ruling import concerns, rule
from chittycan.gateway.running import Running
from chittycan.gateway.slots import Turn
from chittycan.gateway.stream import Live
from chittycan.gateway.translate import client_body, own_tool_names
from chittycan.providers.connection import ConnectionCut, TimedOut
from chittycan.providers.transport import Response, Transport
from chittycan.routing.cost.policy import Policy
from chittycan.routing.decide import PRIVATE, Candidate, Decision
from chittycan.routing.ensembles.seating import Seating, seat
from chittycan.routing.failure import Failure
from chittycan.routing.rules.book import NO_RULES, Book

CALL_SECONDS = 600.0  # a whole call, where the caller sets no limit
UNNAMED = "ensemble"  # what an ensemble is called that the configuration does not know


class Embedded(Protocol):
    """The local model that we run ourselves (`providers.local`)."""

    async def endpoint(self) -> str: ...


class Gateway:
    def __init__(
        self,
        catalogue: Catalogue,
        *,
        clock: Clock,
        transport: Transport,
        admission: Admission,
        recorder: Recorder,
        cache: ResponseCache,
        embedded: Embedded | None = None,
        recall: Recall | None = None,
    ) -> None:
        self.clock = clock
        self.health = Health(clock)
        self.latency = Latency(clock)
        self._admission, self._recorder, self._cache, self._embedded = admission, recorder, cache, embedded
        self._sessions = recall
        self.rules: Callable[[], Book] = lambda: NO_RULES
        self.privacy = PrivacyGate()  # off, until the owner's configuration says otherwise
        self._line = Line(transport, clock)
        self._chain = Chain(self.health, clock, latency=self.latency)
        self._decisions = Decisions(catalogue)
        self._catalogue = catalogue

    @property
    def catalogue(self) -> Catalogue:
        return self._catalogue

    @catalogue.setter
    def catalogue(self, catalogue: Catalogue) -> None:
        """The configuration changed: calls under way end as they began, new ones see the new catalogue."""
        self._catalogue = catalogue
        self._decisions.use(catalogue, self.policy)
        self._line.forget()

    @property
    def policy(self) -> Policy:
        return self._decisions.policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        """What is known of cost and quality changed: it counts from the next call on."""
        self._decisions.use(self._catalogue, policy)

    def decide(self, call: Call) -> Decision:
        """Raises RequestError, AccessError, LimitError or Unavailable where no model may answer."""
        if call.placeholders is None and call.detected is not False and self.privacy.redacts(call):  # not prepared
            call = self.privacy.redacted_now(call, at_home=self._at_home(call))
        return self._decided(call)

    def _decided(self, call: Call) -> Decision:
        """Of a call that is prepared, as far as it has to be."""
        found = self._held(call)
        decision = self._decisions.of(call)
        return labelled(decision, call, found) if found or call.placeholders is not None else decision

    def _held(self, call: Call) -> bool:
        """Holds the call to the owner's rules; whether something private was found in it."""
        if concerns(self.rules()):
            rule(call, self.rules())
        return self.privacy.private(call)

    async def explained(self, call: Call) -> Decision:
        """The decision without the call, with a line for every model; the call's session counts as it would."""
        call = await self._prepared(call)
        found = self._held(call)
        decision = self.latency.explained(self._decisions.explained(call), stream=call.stream)
        return labelled(decision, call, found)

    # for clients

    async def complete(self, call: Call) -> Reply:
        """A whole answer in the client's dialect. Raises ChittyError."""
        if call.options.session is not None or len(call.body) > SMALL_BODY or self.privacy.takes_time(call):
            call = await self._prepared(call)
        keep = self._cache.wanted(call)
        cached = await self._recall(call) if keep else None
        if cached is not None:
            return cached
        running = self._admit(call)
        if type(running.decision) is Seating:
            answer = await assemble(self, call, running.decision)
            body, trace, text = client_body(call, answer.response), answer.trace, answer.text
        else:
            whole = await self._whole(running)
            body = whole.body
            if call.surface != whole.candidate.provider.dialect and whole.response is not None:
                body = client_body(call, whole.response)
            trace = self.served(running, whole.candidate, whole.usage)
            text = text_of(whole) if call.answered is not None else ""
        if call.answered is not None:
            call.answered(text, trace)
        if keep:
            await self._cache.keep(call, body, trace)
        return Reply(told_body(call, body), trace)

    async def open(self, call: Call) -> OpenStream:
        """A stream whose first content has come. Raises ChittyError before that, never after."""
        if call.options.session is not None or len(call.body) > SMALL_BODY or self.privacy.takes_time(call):
            call = await self._prepared(call)
        keep = self._cache.wanted(call)
        cached = await self._recall(call) if keep else None
        if cached is not None:
            return OpenStream.replay(cached)
        running = self._admit(call)
        if type(running.decision) is Seating:
            answer = await assemble(self, call, running.decision)
            if call.answered is not None:
                call.answered(answer.text, answer.trace)
            told = ToldStream(call, with_originals(call, answer))
            if keep:
                await self._cache.keep(call, told.body, told.trace)
            return told
        live = await self._walked(running, running.decision.chain, self._streaming(running, call))
        return OpenStream.begin(self, running, live, self._cache, self.clock.monotonic())

    # for callers in this process

    async def ask(
        self,
        chat: ChatRequest,
        options: Options = NO_OPTIONS,
        key: Key | None = None,
        *,
        keep_answering: bool = True,
        longest_pause: float = math.inf,
    ) -> Answer:
        """A whole answer. With `keep_answering` the default chain ends whatever chain the model has.

        No Retry-After of more than `longest_pause` seconds is waited for. Raises ChittyError.
        """
        call = self._own_call(chat, options, key, keep_answering)
        call.longest_pause = longest_pause
        call = await self._prepared(call)
        running = self._admit(call)
        seating = running.decision
        answer = await assemble(self, call, seating) if type(seating) is Seating else await self._answer(running)
        if call.answered is not None:
            call.answered(answer.text, answer.trace)
        return with_originals(call, answer)

    async def _answer(self, running: Running) -> Answer:
        whole = await self._whole(running)
        trace = self.served(running, whole.candidate, whole.usage)
        assert whole.response is not None
        return Answer(response=whole.response, trace=trace)

    async def stream(self, chat: ChatRequest, options: Options = NO_OPTIONS, key: Key | None = None) -> OpenStream:
        """A stream for a caller in this process; iterate its `events`."""
        return await self.open(self._own_call(replace(chat, stream=True), options, key))

    async def ensemble(
        self,
        chat: ChatRequest,
        ensemble: Ensemble,
        options: Options = NO_OPTIONS,
        key: Key | None = None,
        *,
        name: str | None = None,
    ) -> EnsembleAnswer:
        """One answer of several models; `name` is the ensemble's in the configuration, if it is there as it is here.

        Raises ChittyError.
        """
        name = f"{ENSEMBLE}{name.removeprefix(ENSEMBLE)}" if name is not None else UNNAMED
        if self._catalogue.ensembles.get(name) != ensemble:
            name = UNNAMED  # a key that may call it by its name may not change who sits in it
        call = await self._prepared(self._own_call(replace(chat, model=name), options, key))
        found = self._held(call)
        seating = labelled(seat(facts_of(call), name, ensemble, self._catalogue), call, found)
        answer = await assemble(self, call, seating)
        if call.answered is not None:
            call.answered(answer.text, answer.trace)
        return with_originals(call, answer)

    async def ask_alone(self, call: Call, candidate: Candidate, decision: Decision) -> Answer:
        """One member of an ensemble: this model or nobody. Raises ChittyError."""
        ticket = self._admission.admit(call, input_tokens(call), output_limit(call))
        alone = Decision((candidate,), (), decision.route, decision.label, decision.needs)
        trail = Trail(longest_pause=call.longest_pause)
        return await self._answer(Running(call, alone, ticket, call.started + CALL_SECONDS, trail))

    def worst_nano(self, call: Call, candidate: Candidate) -> int:
        """Nano-dollars that this model may cost for this call at most; 0 where no price is known."""
        prices, given, written = self._recorder.prices, input_tokens(call), output_limit(call)
        return prices.worst_case_nano(candidate.model, candidate.provider, given, written) or 0

    def explain(
        self, chat: ChatRequest, options: Options = NO_OPTIONS, key: Key | None = None, *, keep_answering: bool = True
    ) -> Decision:
        """The decision without the call."""
        return self.decide(self._own_call(chat, options, key, keep_answering))

    def _own_call(self, chat: ChatRequest, options: Options, key: Key | None, keep_answering: bool = True) -> Call:
        return Call(
            request_id=new_request_id(self.clock), model=chat.model, stream=chat.stream, options=options, key=key,
            parsed=chat, keep_answering=keep_answering, at=self.clock.now(), started=self.clock.monotonic(),
        )  # fmt: skip

    async def _prepared(self, call: Call) -> Call:
        """With what its session knows, where that is wanted, and looked through for what is private.

        That stays in it, or is taken out of it.
        """
        if self._sessions is not None and call.options.session is not None:
            call = await self._sessions.prepared(call)
        await self.privacy.look(call)
        if self.privacy.redacts(call):
            call = await self.privacy.redacted(call, at_home=self._at_home(call))
        return call

    def _at_home(self, call: Call) -> bool:
        """Whether the call stays in the house in any case, so that nothing need be taken out of it."""
        if concerns(self.rules()):
            rule(call, self.rules())
        model = self._catalogue.resolve(call.model)
        return call.options.private or call.model == PRIVATE or (model is not None and model.private)

    # stages

    async def _recall(self, call: Call) -> Reply | None:
        self._decided(call)  # a hit must not answer what the key or the policy now forbids
        reply = await self._cache.find(call)
        if reply is not None:
            ticket = self._admission.admit(call, 0, 0)
            await self._admission.count(ticket)
            self._admission.settle(ticket, 0, 0)
            self._recorder.cached(call, reply.trace)
        return reply

    def _admit(self, call: Call) -> Running:
        decision = self._decided(call)
        if decision.equals:
            chain = self.latency.ordered(decision.chain, decision.equals, stream=call.stream)
            decision = replace(decision, chain=chain)
        ticket = self._admission.admit(call, input_tokens(call), output_limit(call))
        trail = Trail(longest_pause=call.longest_pause)
        return Running(call, decision, ticket, call.started + (call.options.timeout or CALL_SECONDS), trail)

    async def _walked(self, running: Running, candidates: Sequence[Candidate], attempt: Attempt[T]) -> T:
        """A walk that is recorded, and whose reservation is given back, where it ends without an answer."""
        after = None
        if (self._catalogue.hedge is not None or running.call.options.hedge) and len(candidates) > 1:
            after = late(running.call, self._catalogue, self.latency)
        try:
            if after is None:
                return await self._chain.walk(candidates, attempt, running.trail, running.deadline)
            walk = Walk(self._chain, candidates, attempt, running.trail, running.deadline)
            return await Race(walk, running, after, self.clock, self.latency).run()
        except asyncio.CancelledError:
            self._recorder.cancelled(running.call, running.trail, running.decision, None, NOTHING)
            self._admission.settle(running.ticket, 0, 0)
            raise
        except ChittyError as error:
            self._recorder.failed(running.call, running.trail, running.decision, error)
            self._admission.settle(running.ticket, *running.trail.spent)
            raise
        except Exception:  # a fault of ours must not keep the caller's money
            self._admission.settle(running.ticket, 0, 0)
            raise

    def _whole(self, running: Running) -> Awaitable[Whole]:
        async def attempt(candidate: Candidate, key: Secret | None, alone: bool) -> Whole:
            asked = running.trail.began
            limits, response = await self._post(running, running.call, candidate, key, alone)
            began = self.clock.monotonic()
            try:
                body = await response.body(limits.total, first=limits.first, idle=limits.idle)
            except (ConnectionCut, TimedOut) as error:
                raise translate(error, limits) from error
            finally:
                response.close()
                running.upstream += (now := self.clock.monotonic()) - began
            whole = read_whole(body, candidate, running.call)
            self.latency.answered(candidate.model.place, now - asked, whole.usage.output if whole.usage else 0)
            return whole

        return self._walked(running, running.decision.chain, attempt)

    def _streaming(self, running: Running, call: Call) -> Attempt[Live]:
        async def attempt(candidate: Candidate, key: Secret | None, alone: bool) -> Live:
            asked = self.clock.monotonic()
            limits, response = await self._post(running, call, candidate, key, alone)
            dialect = load(candidate.provider.dialect)
            if "json" in response.headers.get("content-type", ""):
                await explain_json(response, dialect, limits)
            names, forwarded = own_tool_names(call, candidate), call.surface == candidate.provider.dialect
            live = Live(candidate, response, dialect, limits, names, forwarded and call.placeholders is None)
            began = self.clock.monotonic()
            try:
                await live.begin()
            finally:
                running.upstream += (now := self.clock.monotonic()) - began
            self.latency.streamed(candidate.model.place, now - asked)
            if running.trail.first_token_ms is None:
                running.trail.first_token_ms = (now - running.call.started) * 1e3
            return live

        return attempt

    def _post(
        self, running: Running, call: Call, candidate: Candidate, key: Secret | None, alone: bool
    ) -> Awaitable[tuple[Deadlines, Response]]:
        """Covers the cost, waits for the model's turn, then sends; raises AttemptFailed or LimitError."""
        covered = self._admission.covers(running.ticket, candidate)
        if covered and not (candidate.limited or running.decision.equals):
            return self._send(running, call, candidate, key, alone)
        return self._post_in_turn(running, call, candidate, key, alone, covered)

    async def _post_in_turn(
        self, running: Running, call: Call, candidate: Candidate, key: Secret | None, alone: bool, covered: bool
    ) -> tuple[Deadlines, Response]:
        if not covered:
            await self._admission.cover(running.ticket, candidate)
        turn = Turn()
        if candidate.limited:
            left = 0.0 if running.equal_follows(candidate) else running.deadline - self.clock.monotonic()
            turn = await self._admission.turn(running.ticket, candidate, left)
        turn.hold(self.latency.began(candidate.model.place))
        try:
            limits, response = await self._send(running, call, candidate, key, alone)
        except BaseException:
            turn.release()
            raise
        response.on_close = turn.release
        return limits, response

    async def _send(
        self, running: Running, call: Call, candidate: Candidate, key: Secret | None, alone: bool
    ) -> tuple[Deadlines, Response]:
        """Raises AttemptFailed."""
        provider = candidate.provider
        began = self.clock.monotonic()  # the loop's own time has a grain of a millisecond
        try:
            endpoint = await self._own_endpoint() if provider.embedded else provider.endpoint
            left = running.deadline - self.clock.monotonic()
            limits = deadlines(call, provider.timeouts, self._line.transport.now(), alone, left)
            if running.sent is not None:
                running.sent.add(candidate.model.place)
            return limits, await self._line.post(call, candidate, key, endpoint, limits)
        finally:
            running.upstream += self.clock.monotonic() - began

    async def _own_endpoint(self) -> str:
        """Of the local model, started where it sleeps. Raises AttemptFailed."""
        if self._embedded is None:
            raise AttemptFailed.here(Failure.TRANSIENT, 503, "the local model is not run here")
        try:
            return await self._embedded.endpoint()
        except ChittyError as error:
            raise AttemptFailed.here(Failure.TRANSIENT, 503, error.message) from error

    # recovery of a broken stream

    async def take_up(self, running: Running, candidates: Sequence[Candidate], text: str) -> Continuation:
        """The next model goes on after `text`. Raises ProviderError where none can."""

        async def attempt(candidate: Candidate, key: Secret | None, alone: bool) -> Continuation:
            original = running.call
            if candidate.model.prefill:
                call = replace(original, surface=None, parsed=continued(original.chat, text))
                try:
                    live = await self._streaming(running, call)(candidate, key, alone)
                    return Continuation(live, text[len(text.rstrip()) :], optional=True)
                except AttemptFailed as failed:
                    if failed.failure is not Failure.CALLER_FAULT:
                        raise
            live = await self._streaming(running, original)(candidate, key, alone)
            return Continuation(live, text)

        return await self._chain.walk(candidates, attempt, running.trail, running.deadline)

    # endings

    def cut(self, running: Running, candidate: Candidate, failed: AttemptFailed, usage: Usage) -> Tried:
        """A stream broke off after content; the part that the client has is paid for."""
        cost = self._recorder.cost(candidate, usage)
        ms = (self.clock.monotonic() - running.trail.began) * 1e3
        tried = Tried(candidate, failed, ms, usage, cost)
        running.trail.tried.append(tried)
        if failed.by_caller:
            self.health.probe_over(candidate.model)
        else:
            self.health.failed(candidate.model, running.trail.key, failed.failure)
            self.latency.failed(candidate.model.place)
        return tried

    def served(self, running: Running, candidate: Candidate, usage: Usage | None) -> Trace:
        """Records the answer, settles its price and says what it took."""
        call, trail = running.call, running.trail
        cost = self._recorder.served(call, trail, candidate, running.decision, usage)
        return self._settled(running, candidate, usage, cost)

    def broken(self, running: Running, candidate: Candidate, error: ChittyError) -> Trace:
        """No model could finish the answer."""
        self._recorder.failed(running.call, running.trail, running.decision, error)
        return self._settled(running, candidate, None, running.trail.beside_nano)

    def left(self, running: Running, candidate: Candidate, usage: Usage) -> Trace:
        """The client left in the middle."""
        self.health.probe_over(candidate.model)
        cost = self._recorder.cancelled(running.call, running.trail, running.decision, candidate, usage)
        return self._settled(running, candidate, usage, cost)

    def _settled(self, running: Running, candidate: Candidate, usage: Usage | None, cost: int | None) -> Trace:
        trail, tokens = running.trail, usage.input + usage.output if usage else 0
        if trail.lost:
            tokens += trail.spent[1]
        self._admission.settle(running.ticket, trail.beside_nano if cost is None else cost, tokens)
        return running.trace(candidate, self.clock.monotonic(), cost, usage)


_process = secrets.token_hex(5)
_count = itertools.count()


def new_request_id(clock: Clock) -> str:
    """Unique, and sortable by time: `req_`, 12 hexadecimal digits of milliseconds, 10 of the process, a count."""
    return f"req_{int(clock.now() * 1e3):012x}{_process}{next(_count) & 0xFFFFFF:06x}"
