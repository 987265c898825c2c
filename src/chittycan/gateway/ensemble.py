"""Several models asked at once, and their answers made into one.

Every member is a call of its own: admitted, priced, recorded, and asked alone, since a stand-in would vote twice.
Whoever fails, is too slow, too dear, or writes what cannot be read, abstains. What counts, and how, is pure:
`routing.ensembles`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from chittycan.catalogue import NUMERIC
from chittycan.chat import ChatRequest, ChatResponse, Text, Usage
from chittycan.clock import Clock
from chittycan.errors import AllFailed, ChittyError, ProviderError, UpstreamRefused, UpstreamTimeout
from chittycan.gateway.call import Answer, Call, Trace
from chittycan.routing.decide import Candidate, Decision
from chittycan.routing.ensembles.counting import Ballot, Member, Verdict, count, led_by, settled
from chittycan.routing.ensembles.extraction import choice, read
from chittycan.routing.ensembles.prompts import asking, family, fusing, judging
from chittycan.routing.ensembles.seating import Seat, Seating

QUORUM_MISSED = "ensemble_quorum_missed"


class EnsembleAnswer(Answer, kw_only=True):
    """An answer with who said what. `trace` covers all calls; its `route` says how the answer came about."""

    verdict: Verdict


class Models(Protocol):
    """What an ensemble needs of the gateway."""

    @property
    def clock(self) -> Clock: ...

    async def ask_alone(self, call: Call, candidate: Candidate, decision: Decision) -> Answer: ...

    def worst_nano(self, call: Call, candidate: Candidate) -> int: ...


async def assemble(models: Models, call: Call, seating: Seating) -> EnsembleAnswer:
    """The answer of several. Raises ChittyError where too few answered."""
    return await _Assembly(models, call, seating).answer()


class _Assembly:
    """One ensemble at work. `ballots` are the answers that could be read, in the order of the seats."""

    def __init__(self, models: Models, call: Call, seating: Seating) -> None:
        self._models, self._call, self._seating, self._ensemble = models, call, seating, seating.ensemble
        self._chat = call.chat
        self._members: list[Member] = []
        self._ballots: list[Ballot] = []
        self._answers: dict[str, Answer] = {}  # by request id
        self._errors: list[ChittyError] = []
        self._notes: list[str] = []
        self._calls = 0
        self._waited = 0.0  # seconds for models
        limits = [limit for limit in (self._ensemble.budget_nano, call.options.max_cost_nano) if limit is not None]
        self._budget = min(limits) if limits else None

    async def answer(self) -> EnsembleAnswer:
        await self._vote(self._seats("member"))
        verdict = settled(self._ballots, self._ensemble) if self._ensemble.mode == "cascade" else None
        if verdict is None or len(self._ballots) < self._ensemble.needed:
            verdict = await self._last_word()
        if len(self._ballots) < self._ensemble.needed:
            raise self._quorum_missed()
        unanimous = not count(self._ballots, self._ensemble).dissent
        if self._ensemble.mode == "judge" and not unanimous:
            verdict = await self._judged()
        elif self._ensemble.mode == "fuse" and not unanimous:
            verdict = await self._fused()
        return self._whole(verdict or count(self._ballots, self._ensemble))

    def _seats(self, role: str) -> list[Seat]:
        return [seat for seat in self._seating.seats if seat.role == role]

    # asking

    async def _vote(self, seats: Sequence[Seat]) -> None:
        """Asks all of them at once; notes the ballots, and why others abstain."""
        asked = asking(self._chat, self._ensemble)
        heard = await self._ask([(seat, asked) for seat in seats])
        for seat in seats:
            answer = heard.get(seat.name)
            if answer is None:
                continue
            reading = read(answer.text, self._ensemble.reads, numeric=self._ensemble.mode in NUMERIC)
            error = None
            if reading is None:
                error = _unreadable(answer, self._ensemble.reads)
            else:
                weight = self._ensemble.weights.get(seat.name, 1.0)
                self._ballots.append(Ballot(model=seat.model, reading=reading, text=answer.text, weight=weight))
            self._note(seat, answer, reading.value if reading is not None else None, error)

    def _note(self, seat: Seat, answer: Answer, value: object = None, error: str | None = None) -> None:
        self._members.append(
            Member(
                model=seat.model, role=seat.role, text=answer.text, value=value, cost_nano=answer.cost_nano,
                ms=round(answer.ms, 1), error=error, request_id=answer.trace.request_id,
            )
        )  # fmt: skip

    def _abstains(self, seat: Seat, why: str, ms: float = 0.0, request_id: str | None = None) -> None:
        member = Member(model=seat.model, role=seat.role, error=why, ms=round(ms, 1), request_id=request_id)
        self._members.append(member)

    async def _ask(self, wanted: Sequence[tuple[Seat, ChatRequest]]) -> Mapping[str, Answer]:
        """The answers that came in time, by the seat's name. Everyone else is noted as abstaining."""
        began, seconds = self._models.clock.monotonic(), self._seconds()
        calls: dict[str, tuple[Call, asyncio.Task[Answer]]] = {}
        planned = sum(answer.cost_nano or 0 for answer in self._answers.values())
        loop = asyncio.get_running_loop()
        for seat, chat in wanted:
            if seat.candidate is None:
                self._abstains(seat, seat.why)
                continue
            call = self._own_call(chat, seat.candidate)
            worst = self._models.worst_nano(call, seat.candidate) if self._budget is not None else 0
            if self._budget is not None and planned + worst > self._budget:
                left = max(0, self._budget - planned) / 1e9
                self._abstains(seat, f"may cost ${worst / 1e9:.6f}, and ${left:.6f} of the budget is left")
            elif seconds <= 0:
                self._abstains(seat, "no time was left")
            else:
                planned += worst
                asking_it = self._models.ask_alone(call, seat.candidate, self._seating)
                calls[seat.name] = call, loop.create_task(asking_it)
        await self._wait([task for _, task in calls.values()], seconds)
        self._waited += self._models.clock.monotonic() - began
        return self._heard({seat.name: seat for seat, _ in wanted}, calls, seconds)

    def _seconds(self) -> float:
        """How long the next ones may take."""
        timeout = self._call.options.timeout
        if timeout is None:
            return self._ensemble.timeout
        return min(self._ensemble.timeout, self._call.started + timeout - self._models.clock.monotonic())

    def _own_call(self, chat: ChatRequest, candidate: Candidate) -> Call:
        """A member's call: its id is the ensemble's with a number, and without a task of the caller's, that is its."""
        self._calls += 1
        whole = self._call
        options = msgspec.structs.replace(
            whole.options, task=whole.options.task or whole.request_id, models=(), timeout=None, max_cost_nano=None
        )
        return Call(
            request_id=f"{whole.request_id}_{self._calls}", model=candidate.model.name, options=options, key=whole.key,
            parsed=msgspec.structs.replace(chat, model=candidate.model.name),
            at=self._models.clock.now(), started=self._models.clock.monotonic(),
        )  # fmt: skip

    async def _wait(self, tasks: Sequence[asyncio.Task[Answer]], seconds: float) -> None:
        """Until all are done or the time is over; stragglers are stopped, and so are all where the client leaves."""
        if not tasks:
            return
        timer = asyncio.get_running_loop().create_task(self._models.clock.sleep(seconds))
        waiting = set(tasks)
        try:
            while waiting and not timer.done():
                done, _ = await asyncio.wait({*waiting, timer}, return_when=asyncio.FIRST_COMPLETED)
                waiting -= done
        finally:
            for task in (*tasks, timer):
                task.cancel()
            await asyncio.gather(*tasks, timer, return_exceptions=True)

    def _heard(
        self, seats: Mapping[str, Seat], calls: Mapping[str, tuple[Call, asyncio.Task[Answer]]], seconds: float
    ) -> Mapping[str, Answer]:
        heard = {}
        for name, (call, task) in calls.items():
            seat, ms = seats[name], (self._models.clock.monotonic() - call.started) * 1e3
            error = UpstreamTimeout(f"no answer within {seconds:g} s") if task.cancelled() else task.exception()
            if error is None:
                heard[name] = self._answers[call.request_id] = task.result()
            elif isinstance(error, ChittyError):
                self._errors.append(error)
                self._abstains(seat, error.message, ms, call.request_id)
            else:
                raise error
        return heard

    # having the last word

    async def _last_word(self) -> Verdict | None:
        """The strong model's verdict; None where there is none, or it abstains."""
        strong = self._seats("strong")
        before = len(self._ballots)
        await self._vote(strong)
        if len(self._ballots) == before:
            return None
        return led_by(self._ballots[-1], self._ballots, self._ensemble, "strong")

    async def _judged(self) -> Verdict | None:
        """The verdict of the ballot that the judge prefers; None where it says nothing of use."""
        asked, lettered = judging(self._chat, self._ballots)
        answer = await self._ask_judge(asked)
        winner = lettered.get(choice(answer.text) or "") if answer is not None else None
        if winner is None:
            self._notes.append("the judge gave no verdict, so the votes were counted")
            return None
        return led_by(winner, self._ballots, self._ensemble, "judge")

    async def _fused(self) -> Verdict | None:
        """The verdict of an answer made from all; None where none came, or it cannot be read."""
        answer = await self._ask_judge(fusing(self._chat, self._ballots))
        reading = read(answer.text, self._ensemble.reads) if answer is not None else None
        if answer is None or reading is None:
            self._notes.append("the answers could not be made into one, so the votes were counted")
            return None
        fused = Ballot(model=answer.model, reading=reading, text=answer.text)
        return led_by(fused, self._ballots, self._ensemble, "fuse")

    async def _ask_judge(self, chat: ChatRequest) -> Answer | None:
        (judge,) = self._seats("judge")
        if judge.candidate is not None:
            own = family(judge.candidate.model.upstream)
            members = [seat for seat in self._seats("member") if seat.candidate is not None]
            kin = [seat.model for seat in members if seat.candidate and family(seat.candidate.model.upstream) == own]
            if kin:
                self._notes.append(f"{judge.model} judged its own family: {', '.join(kin)}")
        answer = (await self._ask([(judge, chat)])).get(judge.name)
        if answer is not None:
            self._note(judge, answer)
        return answer

    # the outcome

    def _whole(self, verdict: Verdict) -> EnsembleAnswer:
        answered = self._answers.values()
        traces = [answer.trace for answer in answered]
        costs = [answer.cost_nano for answer in answered]
        known = [cost for cost in costs if cost is not None]
        usage = _sum([trace.usage for trace in traces if trace.usage is not None])
        seats = len([member for member in self._members if member.role != "judge"])
        agreeing = len(self._ballots) - len(verdict.dissent)
        trace = Trace(
            request_id=self._call.request_id, model=self._seating.route, label=self._seating.label,
            route=f"{self._ensemble.mode}:{verdict.decided_by}:{agreeing}/{seats}",
            attempts=sum(trace.attempts for trace in traces) + sum(len(_attempts(error)) for error in self._errors),
            cost_nano=sum(known) if len(known) == len(costs) else None, usage=usage,
            ms=(self._models.clock.monotonic() - self._call.started) * 1e3, upstream_ms=self._waited * 1e3,
        )  # fmt: skip
        author = next((answer for answer in answered if answer.model == verdict.author), None)
        response = ChatResponse(
            id=self._call.request_id, model=self._seating.route, parts=[Text(verdict.answer)], usage=usage,
            stop_reason=(author.response.stop_reason if author is not None else None) or "stop",
            created=int(self._call.at),
        )  # fmt: skip
        verdict = msgspec.structs.replace(verdict, members=tuple(self._members), notes=tuple(self._notes))
        return EnsembleAnswer(response=response, trace=trace, verdict=verdict)

    def _quorum_missed(self) -> ChittyError:
        """As one error where all failed alike; else with everybody's reason."""
        asked = [member for member in self._members if member.role != "judge"]
        if len(self._errors) == len(asked) and len({type(error) for error in self._errors}) == 1:
            first = self._errors[0]
            if not isinstance(first, UpstreamRefused | AllFailed) or getattr(first, "status", 500) < 500:
                return first
        reasons = "; ".join(f"{member.model}: {member.error}" for member in asked if member.error)
        return AllFailed(
            f"{len(self._ballots)} of {len(asked)} models of {self._seating.route} gave an answer that counts, and "
            f"{self._ensemble.needed} are needed ({reasons}).",
            code=QUORUM_MISSED, attempts=[attempt for error in self._errors for attempt in _attempts(error)],
            fix="Lower its `quorum`, or name models that can answer.",
            cost_nano=sum(answer.cost_nano or 0 for answer in self._answers.values()),
        )  # fmt: skip


def _attempts(error: ChittyError) -> list[dict[str, object]]:
    return error.attempts if isinstance(error, ProviderError) else []


def _unreadable(answer: Answer, reads: str) -> str:
    """Why an answer does not count."""
    if not answer.text.strip():
        return "gave no text" if answer.response.stop_reason != "content_filter" else "refused"
    kind, _, detail = reads.partition(":")
    sought = {"number": "no single number", "choice": "no single choice", "json": "no JSON"}.get(kind, "nothing")
    return f"{sought}{f' ({detail})' if detail else ''} in its answer"


def _sum(usages: Sequence[Usage]) -> Usage:
    names = Usage.__struct_fields__
    return Usage(**{name: sum(getattr(usage, name) for usage in usages) for name in names})
