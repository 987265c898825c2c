"""The one signature of all agents: a frozen description, and `run`, which asks, checks, repairs once, or uses rules.

What an agent reads came from outside and is not trusted. It goes to the model as one JSON object in a user
message of its own, cut to length; the model has no tools; only values that fit the schema come back, and
code decides what they may do.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from chittycan.agents.schema import AnswerError, read_answer, schema_of
from chittycan.chat import ChatRequest, Message, ResponseFormat, Text, system, user
from chittycan.errors import LimitError, NoPrivateModel, ProviderError, Unavailable
from chittycan.gateway.call import Answer, Options, Trace

# The gateway, as an agent sees it.
Ask = Callable[[ChatRequest, Options], Awaitable[Answer]]

In = TypeVar("In")
Said = TypeVar("Said", bound=Struct)
Out = TypeVar("Out", bound=Struct)

# When no model can answer now, rules do. Everything else that `Ask` raises is a mistake someone must see.
NO_ANSWER = (ProviderError, LimitError, NoPrivateModel, Unavailable)

AUTO = "auto"  # the virtual model whose chain is found from the kind of task
SMALL = 4.0  # billions of parameters
MORE_ROOM = 4  # times `max_tokens`, for the second try of a model that thought until it had no room to answer
# `3b`, `1.5b` and `360m`; `1m` is the length of a context.
_SIZE = re.compile(r"(?<![a-z0-9.])a?(\d+(?:\.\d+)?(?=b)|\d{3}(?=m))([bm])(?![a-z0-9])")
_SHOWN_OF_BAD = 600  # characters of a bad answer that are sent back


@dataclass(frozen=True, kw_only=True)
class Agent(Generic[In, Said, Out]):
    """Instructions and schema for one kind of task.

    `weighed` is what becomes of the value where it is a small model's, which is one sign among others.
    `view` is what of the input the model sees; `finish` makes the value from what the model said, checks it
    against the input and raises `AnswerError` where that fails; `rules` gives the value without a model.
    """

    name: str
    kind: str  # kind of task, e.g. "email.triage": finds the assignment and its chain
    instructions: str
    said: type[Said]
    view: Callable[[In], Struct]
    finish: Callable[[In, Said], Out]
    rules: Callable[[In], Out]
    examples: tuple[tuple[Struct, Said], ...] = ()
    weighed: Callable[[In, Out], Out] | None = None
    max_tokens: int = 800  # schemas bound the answer; this leaves room to a model that thinks first

    @property
    def schema(self) -> dict[str, Any]:
        return schema_of(self.said)

    @cached_property
    def version(self) -> str:
        """Changes whenever what the model is told changes."""
        told = msgspec.json.encode([self.instructions, self.schema, self.examples])
        return hashlib.sha256(told).hexdigest()[:8]

    def request(self, value: In, model: str) -> ChatRequest:
        """The call that asks `model` about `value`."""
        messages = [system(self.instructions)]
        for seen, said in self.examples:
            messages += [user(_json(seen)), assistant(_json(said))]
        messages.append(user(_json(self.view(value))))
        form = ResponseFormat("schema", schema=self.schema, name=self.name)
        return ChatRequest(model=model, messages=messages, max_tokens=self.max_tokens, response_format=form)


class AgentResult(Struct, Generic[Out], kw_only=True):
    """One run of an agent. `fallback`: the value is from rules, because of `reason`; `model` is then None.

    `cost_nano` is nano-dollars, None where a price is unknown; `ms` is the models' time, over `attempts` calls.
    """

    agent: str
    kind: str
    version: str
    value: Out
    fallback: bool = False
    reason: str | None = None
    repaired: bool = False
    model: str | None = None
    cost_nano: int | None = 0
    ms: float = 0.0
    attempts: int = 0
    request_ids: tuple[str, ...] = ()

    @property
    def output(self) -> dict[str, Any]:
        """The value as plain JSON types."""
        made = msgspec.to_builtins(self.value)
        assert isinstance(made, dict)
        return made


def by_rules(agent: Agent[In, Said, Out], value: Out) -> AgentResult[Out]:
    """A result that needed no model: not a fallback, for nothing failed."""
    return AgentResult(agent=agent.name, kind=agent.kind, version=agent.version, value=value)


async def run(
    agent: Agent[In, Said, Out],
    value: In,
    ask: Ask,
    *,
    model: str | None = None,
    options: Options | None = None,
) -> AgentResult[Out]:
    """Ask a model about `value`; after one repair, or where no model can answer, the agent's rules.

    `options` carries region, privacy, session and the like; its kind is the agent's. Raises only what is not
    the model's failing: an unknown model, a refused key of ours.
    """
    request = agent.request(value, model or AUTO)
    options = msgspec.structs.replace(options or Options(), kind=agent.kind)
    answers: list[Answer] = []
    reason = ""
    for _ in range(2):
        try:
            answer = await ask(request, options)
        except NO_ANSWER as error:
            reason = f"{error.code}: {error.message}"
            break
        answers.append(answer)
        try:
            made = agent.finish(value, read_answer(answer.text, agent.said))
        except AnswerError as error:
            reason = f"bad_answer: {error}"
            request = _again(agent, value, request, answer, str(error))
        else:
            if agent.weighed is not None and is_small(answer.trace):
                made = agent.weighed(value, made)
            return _result(agent, made, answers, model=answer.model, repaired=len(answers) > 1)
    return _result(agent, agent.rules(value), answers, fallback=True, reason=reason[:300])


def is_small(trace: Trace) -> bool:
    """Whether the model is the embedded one, or its name says that it has no more than SMALL parameters.

    `qwen2.5:3b` says so, and `gpt-4o-mini` nothing: of what is not known to be small the word holds, and of what its
    owner gave another name as well.
    """
    sizes = [float(number) * (1.0 if unit == "b" else 1e-3) for number, unit in _SIZE.findall(trace.model.lower())]
    return trace.embedded or (bool(sizes) and max(sizes) <= SMALL)


def _again(agent: Agent[In, Said, Out], value: In, request: ChatRequest, answer: Answer, problem: str) -> ChatRequest:
    """The second and last request: with more room if thinking took it all, else with the problem named."""
    second = agent.request(value, request.model)
    thought = len(answer.text) < agent.max_tokens  # a token of text is seldom less than two characters
    if answer.response.stop_reason == "length" and thought:
        second.max_tokens = agent.max_tokens * MORE_ROOM
        return second
    complaint = f"That is not a valid answer: {problem}. Answer again, with only the JSON object."
    second.messages += [assistant(answer.text[:_SHOWN_OF_BAD] or "(nothing)"), user(complaint)]
    return second


def _result(agent: Agent[In, Said, Out], value: Out, answers: list[Answer], **facts: Any) -> AgentResult[Out]:
    costs = [answer.cost_nano for answer in answers]
    return AgentResult(
        agent=agent.name,
        kind=agent.kind,
        version=agent.version,
        value=value,
        cost_nano=None if None in costs else sum(cost for cost in costs if cost is not None),
        ms=sum(answer.ms for answer in answers),
        attempts=len(answers),
        request_ids=tuple(answer.trace.request_id for answer in answers),
        **facts,
    )


def assistant(text: str) -> Message:
    return Message("assistant", [Text(text)])


def _json(value: Struct) -> str:
    return msgspec.json.encode(value).decode()
