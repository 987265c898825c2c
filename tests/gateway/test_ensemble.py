"""Several models at once: who is asked when, who abstains, what it costs, and what the answer is."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from chittycan.catalogue import Catalogue, Ensemble, Model, Provider
from chittycan.chat import ChatRequest, ChatResponse, Part, Refusal, Text, Usage, user
from chittycan.errors import AllFailed, ChittyError, RateLimited, UpstreamRefused, UpstreamTimeout
from chittycan.gateway.call import Answer, Call, Options, Trace
from chittycan.gateway.ensemble import EnsembleAnswer, assemble
from chittycan.routing.decide import Candidate, Decision
from chittycan.routing.ensembles.seating import seat
from chittycan.routing.facts import Facts
from chittycan.testing import FakeClock

HANGS = "…"
NAMES = ("gpt-small", "gpt-large", "claude", "llama")
CATALOGUE = Catalogue(
    providers={name: Provider(name=name, dialect="openai", endpoint="x") for name in NAMES},
    models={name: Model(name=name, provider=name, upstream=name) for name in NAMES},
)


class Scripted:
    """Models that say what they are told to: a text, an answer, an error; or nothing, for ever."""

    def __init__(self, clock: FakeClock, lines: Mapping[str, Any], worst: Mapping[str, int] | None = None) -> None:
        self.clock, self._lines, self._worst = clock, lines, worst or {}
        self.calls: list[Call] = []
        self.stopped: list[str] = []

    @property
    def asked(self) -> list[str]:
        return [call.model for call in self.calls]

    async def ask_alone(self, call: Call, candidate: Candidate, decision: Decision) -> Answer:
        self.calls.append(call)
        line = self._lines[candidate.model.name]
        if line == HANGS:
            try:
                await asyncio.Event().wait()
            finally:
                self.stopped.append(call.model)
        if isinstance(line, Exception):
            raise line
        parts: list[Part] = [Text(line)] if isinstance(line, str) else [Refusal("no")]
        response = ChatResponse(id="1", model=call.model, parts=parts, stop_reason="length")
        usage = Usage(input=10, output=2)
        cost = None if call.model == "llama" else 5
        trace = Trace(request_id=call.request_id, model=call.model, attempts=1, cost_nano=cost, usage=usage, ms=40.0)
        return Answer(response=response, trace=trace)

    def worst_nano(self, call: Call, candidate: Candidate) -> int:
        return self._worst.get(candidate.model.name, 0)


def call(**options: Any) -> Call:
    chat = ChatRequest(model="ensemble:e", messages=[user("Rate it")])
    return Call(request_id="req_1", model="ensemble:e", parsed=chat, options=Options(**options))


async def asked(models: Scripted, ensemble: Ensemble, **options: Any) -> EnsembleAnswer:
    seating = seat(Facts(model="ensemble:e"), "ensemble:e", ensemble, CATALOGUE)
    return await assemble(models, call(**options), seating)


def errors(answer: EnsembleAnswer) -> dict[str, str]:
    return {member.model: member.error for member in answer.verdict.members if member.error}


VOTE = Ensemble(models=("gpt-small", "gpt-large", "claude"), mode="vote", extract="number")


async def test_every_member_is_a_call_of_its_own(clock: FakeClock) -> None:
    models = Scripted(clock, {"gpt-small": "7", "gpt-large": "8", "claude": "7"})
    answer = await asked(models, VOTE, kind="risk", session="s")
    assert [each.request_id for each in models.calls] == ["req_1_1", "req_1_2", "req_1_3"]
    assert {(each.options.kind, each.options.session, each.options.task) for each in models.calls} == {
        ("risk", "s", "req_1")
    }
    assert answer.text == "7"
    assert (answer.cost_nano, answer.trace.usage, answer.trace.attempts) == (15, Usage(input=30, output=6), 3)
    assert answer.trace.route == "vote:majority:2/3"


async def test_a_task_of_the_caller_s_stays_the_task(clock: FakeClock) -> None:
    models = Scripted(clock, {"gpt-small": "7", "gpt-large": "8", "claude": "7"})
    await asked(models, VOTE, task="task_1")
    assert {each.options.task for each in models.calls} == {"task_1"}


async def test_an_unknown_price_makes_the_sum_unknown(clock: FakeClock) -> None:
    answer = await asked(
        Scripted(clock, {"claude": "a", "llama": "a"}), Ensemble(models=("claude", "llama"), mode="vote")
    )
    assert answer.cost_nano is None
    assert [member.cost_nano for member in answer.verdict.members] == [5, None]


async def test_who_says_nothing_of_use_abstains(clock: FakeClock) -> None:
    models = Scripted(clock, {"gpt-small": "between 7 and 8", "gpt-large": None, "claude": "7"})
    with pytest.raises(AllFailed) as caught:
        await asked(models, VOTE)
    assert caught.value.code == "ensemble_quorum_missed"
    assert "1 of 3" in caught.value.message
    assert "gpt-small: no single number in its answer" in caught.value.message
    assert "gpt-large: gave no text" in caught.value.message
    answer = await asked(models, Ensemble(models=VOTE.models, mode="vote", extract="number", quorum=1))
    assert answer.text == "7"
    assert set(errors(answer)) == {"gpt-small", "gpt-large"}


async def test_stragglers_are_stopped_when_the_time_is_over(clock: FakeClock) -> None:
    models = Scripted(clock, {"gpt-small": "7", "gpt-large": HANGS, "claude": "7"})
    task = asyncio.create_task(asked(models, VOTE))
    await clock.run(59.0)
    assert not task.done()
    await clock.run(1.0)
    answer = await task
    assert models.stopped == ["gpt-large"]
    assert errors(answer) == {"gpt-large": "no answer within 60 s"}
    assert answer.trace.upstream_ms == pytest.approx(60_000)


async def test_the_caller_s_own_timeout_is_for_all_of_it(clock: FakeClock) -> None:
    lines = {"gpt-small": "7", "gpt-large": HANGS, "claude": "9"}
    models = Scripted(clock, lines)
    task = asyncio.create_task(asked(models, Ensemble(models=VOTE.models, extract="number"), timeout=10.0))
    await clock.run(10.0)
    answer = await task
    assert models.asked == ["gpt-small", "gpt-large"]
    assert errors(answer) == {"gpt-large": "no answer within 10 s", "claude": "no time was left"}
    assert answer.text == "7"


async def test_where_all_are_too_slow_it_is_a_timeout(clock: FakeClock) -> None:
    models = Scripted(clock, {"gpt-small": HANGS, "gpt-large": HANGS, "claude": HANGS})
    task = asyncio.create_task(asked(models, VOTE))
    await clock.run(60.0)
    with pytest.raises(UpstreamTimeout):
        await task


async def test_a_caller_who_leaves_stops_everyone(clock: FakeClock) -> None:
    models = Scripted(clock, {"gpt-small": HANGS, "gpt-large": HANGS, "claude": "7"})
    task = asyncio.create_task(asked(models, VOTE))
    await clock.until_asleep()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(models.stopped) == ["gpt-large", "gpt-small"]
    assert clock.sleepers == 0


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ([RateLimited("slow down", retry_after=3)] * 3, RateLimited),
        ([UpstreamRefused("temperature", status=400)] * 3, UpstreamRefused),
        ([UpstreamRefused("down", status=500)] * 3, AllFailed),
        ([RateLimited("slow down"), UpstreamTimeout("late"), UpstreamTimeout("late")], AllFailed),
    ],
)
async def test_what_all_failed_of_alike_is_the_caller_s_error(
    clock: FakeClock, failures: list[ChittyError], expected: type[ChittyError]
) -> None:
    models = Scripted(clock, dict(zip(VOTE.models, failures, strict=True)))
    with pytest.raises(ChittyError) as caught:
        await asked(models, VOTE)
    assert type(caught.value) is expected


async def test_a_fault_of_ours_is_not_an_abstention(clock: FakeClock) -> None:
    models = Scripted(clock, {"gpt-small": "7", "gpt-large": ZeroDivisionError(), "claude": "7"})
    with pytest.raises(ZeroDivisionError):
        await asked(models, VOTE)


# the strong model


CASCADE = Ensemble(models=("gpt-small", "llama", "claude"))


async def test_two_that_agree_are_enough(clock: FakeClock) -> None:
    models = Scripted(clock, {"gpt-small": "Paris", "llama": "**paris**", "claude": "London"})
    answer = await asked(models, CASCADE)
    assert models.asked == ["gpt-small", "llama"]
    assert (answer.text, answer.verdict.decided_by, answer.verdict.agreement) == ("**paris**", "agreement", 1.0)
    assert answer.response.stop_reason == "length"  # as its author's


async def test_where_they_differ_or_one_is_silent_the_strong_one_decides(clock: FakeClock) -> None:
    for other in ("Rome", None, RateLimited("later")):
        models = Scripted(clock, {"gpt-small": "Paris", "llama": other, "claude": "London"})
        answer = await asked(models, CASCADE)
        assert (answer.text, answer.verdict.decided_by) == ("London", "strong")
        assert answer.trace.route.startswith("cascade:strong:1/3")


async def test_where_the_strong_one_is_silent_too_a_cheap_answer_is_better_than_none(clock: FakeClock) -> None:
    models = Scripted(clock, {"gpt-small": "Paris", "llama": "Rome", "claude": RateLimited("later")})
    answer = await asked(models, CASCADE)
    assert (answer.text, answer.verdict.decided_by, answer.verdict.dissent) == ("Rome", "tie", ("gpt-small",))


async def test_a_quorum_of_all_asks_the_strong_one_whatever_the_others_say(clock: FakeClock) -> None:
    models = Scripted(clock, {"gpt-small": "a", "llama": "a", "claude": "a"})
    answer = await asked(models, Ensemble(models=CASCADE.models, quorum=3))
    assert len(models.asked) == 3
    assert answer.verdict.agreement == 1.0


async def test_what_may_pass_the_budget_is_not_asked(clock: FakeClock) -> None:
    models = Scripted(
        clock, {"gpt-small": "a", "llama": "b", "claude": "c"}, {"gpt-small": 30, "llama": 30, "claude": 60}
    )
    answer = await asked(models, Ensemble(models=CASCADE.models, budget_nano=64))
    assert models.asked == ["gpt-small", "llama"]
    assert "of the budget is left" in errors(answer)["claude"]
    models.calls.clear()
    answer = await asked(models, CASCADE, max_cost_nano=59)  # the smaller of both limits counts
    assert models.asked == ["gpt-small"]
    models.calls.clear()
    answer = await asked(models, Ensemble(models=CASCADE.models, budget_nano=65))  # what was spent, not what might be
    assert answer.text == "c"


# judge and fuse


JUDGE = Ensemble(models=("gpt-small", "claude"), mode="judge", judge="llama")


async def test_the_judge_s_letter_decides(clock: FakeClock) -> None:
    models = Scripted(clock, {"gpt-small": "one", "claude": "two", "llama": "Answer: B"})
    answer = await asked(models, JUDGE)
    assert answer.verdict.decided_by == "judge"
    assert answer.verdict.author in ("gpt-small", "claude")
    assert [(member.model, member.role, member.text) for member in answer.verdict.members][-1] == (
        "llama", "judge", "Answer: B",
    )  # fmt: skip
    assert answer.trace.route == "judge:judge:1/2"
    assert answer.trace.attempts == 3


@pytest.mark.parametrize("verdict", ["I like both", "Answer: C", "", None, RateLimited("later")])
async def test_without_a_verdict_the_votes_are_counted(clock: FakeClock, verdict: Any) -> None:
    models = Scripted(clock, {"gpt-small": "one", "claude": "two", "llama": verdict})
    answer = await asked(models, JUDGE)
    assert (answer.text, answer.verdict.decided_by) == ("one", "tie")
    assert answer.verdict.notes == ("the judge gave no verdict, so the votes were counted",)


async def test_where_all_say_the_same_nobody_has_to_judge(clock: FakeClock) -> None:
    for mode in ("judge", "fuse"):
        models = Scripted(clock, {"gpt-small": "one", "claude": "One.", "llama": "A"})
        answer = await asked(models, Ensemble(models=("gpt-small", "claude"), mode=mode, judge="llama"))
        assert models.asked == ["gpt-small", "claude"]
        assert answer.verdict.decided_by == "agreement"


async def test_a_judge_of_a_member_s_family_is_noted(clock: FakeClock) -> None:
    models = Scripted(clock, {"gpt-small": "one", "claude": "two", "gpt-large": "A"})
    answer = await asked(models, Ensemble(models=("gpt-small", "claude"), mode="judge", judge="gpt-large"))
    assert answer.verdict.notes == ("gpt-large judged its own family: gpt-small",)


async def test_one_answer_made_of_all(clock: FakeClock) -> None:
    models = Scripted(clock, {"gpt-small": "one", "claude": "two", "llama": "one and two"})
    answer = await asked(models, Ensemble(models=("gpt-small", "claude"), mode="fuse", judge="llama"))
    assert (answer.text, answer.verdict.decided_by, answer.verdict.author) == ("one and two", "fuse", "llama")
    assert (answer.verdict.agreement, answer.verdict.dissent) == (0.0, ("gpt-small", "claude"))
    assert answer.response.stop_reason == "length"


async def test_an_answer_that_could_not_be_made_leaves_the_votes(clock: FakeClock) -> None:
    models = Scripted(clock, {"gpt-small": "7", "claude": "8", "llama": "seven or eight"})
    fuse = Ensemble(models=("gpt-small", "claude"), mode="fuse", judge="llama", extract="number")
    answer = await asked(models, fuse)
    assert answer.text == "7"
    assert "could not be made into one" in answer.verdict.notes[0]
