"""What a choice by cost and quality is told of a call: the kind of work, how hard it looks, how well each model is
expected to do it, and how much there is to read and to write.

Only what can matter is looked at. Sizes go in steps, so that one remembered decision serves many calls.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from chittycan.catalogue import Catalogue
from chittycan.chat import ChatRequest, Json, Text
from chittycan.gateway.attempt import output_limit
from chittycan.gateway.call import Call
from chittycan.gateway.facts import input_tokens, max_tokens
from chittycan.routing.assignments import assigned
from chittycan.routing.cost.policy import AUTO, NO_POLICY, Policy
from chittycan.routing.decide import CHOOSING, PRIVATE
from chittycan.routing.facts import Facts
from chittycan.routing.kinds import CODE, EXTRACTION, KINDS, LONG, MATHS, SUMMARY, TRANSLATION, WRITING, work_of
from chittycan.routing.quality.estimate import NO_QUALITY, Estimate

# Output tokens that an answer usually has, where the caller's own limit is not lower.
USUAL_OUTPUT = {CODE: 800, WRITING: 700, MATHS: 500, EXTRACTION: 200, SUMMARY: 250, LONG: 800}
OTHER_OUTPUT = 400

TERSE = 20  # characters: such a message ("yes, go on") is read with the one before it
LOOKED_AT = 16_000  # characters of a message


class Weighing(Struct, frozen=True):
    """`reads`: whether what `auto` decides depends on the words; `names`: the models whose quality may be known."""

    policy: Policy = NO_POLICY
    reads: bool = False
    names: tuple[str, ...] = ()

    def concerns(self, call: Call) -> bool:
        """Whether more has to be known of this call than its plain facts."""
        if call.model == AUTO:
            return self.reads or call.options.max_cost_nano is not None
        return call.model in CHOOSING or call.options.max_cost_nano is not None


def weighing(catalogue: Catalogue, policy: Policy) -> Weighing:
    """What has to be looked at under this policy."""
    learnt = policy.quality is not NO_QUALITY
    own = {kind: model for kind, model in catalogue.assignments.items() if kind not in ("*", PRIVATE)}
    reads = learnt or bool(policy.tiered) or any(assigned(own, kind) for kind in KINDS)
    scored = policy.quality.learnt.models
    names = tuple(name for name, model in catalogue.models.items() if name in scored and not model.embeddings)
    return Weighing(policy, reads, names)


def weighed(call: Call, facts: Facts, known: Weighing, *, spoken: bool = False) -> Facts:
    """The facts, with what the choice is made from. `spoken`: also what the kind was told from, which few share."""
    tokens = input_tokens(call)
    kind, signals, difficulty = facts.kind, "", None
    estimates: tuple[tuple[str, Estimate], ...] = ()
    if facts.model in CHOOSING and not facts.embeddings:
        text = words_of(call)
        work = work_of(
            text, images=facts.vision, tokens=tokens, schema=facts.schema, tools=facts.tools, kind=facts.kind
        )
        if facts.kind is None and work.kind is not None:
            kind, signals = work.kind, work.why if spoken else ""
        difficulty = work.difficulty
        if known.names and not facts.private:  # private work has a chain of its own, and leaves no words here
            expected = known.policy.quality.estimates(text, kind, known.names)
            estimates = tuple((name, _rounded(each)) for name, each in expected.items())
    usual = tokens if kind == TRANSLATION else USUAL_OUTPUT.get(kind or "", OTHER_OUTPUT)
    limit = max_tokens(call)
    found = replace(
        facts, kind=kind, inferred=kind != facts.kind, signals=signals, difficulty=difficulty,
        estimates=estimates, size=_step(tokens), written=_step(usual if limit is None else min(usual, limit)),
    )  # fmt: skip
    if call.options.max_cost_nano is None:
        return found
    return replace(
        found, max_cost_nano=call.options.max_cost_nano, at_most=(tokens, output_limit(call)),
        of_task=call.options.task is not None,
    )  # fmt: skip


def _rounded(estimate: Estimate) -> Estimate:
    return replace(estimate, quality=round(estimate.quality, 2))


def _step(count: int) -> int:
    """The nearest of four steps between one power of two and the next, downwards: never more than there is."""
    grain = 1 << max(count.bit_length() - 3, 0)
    return max(count // grain * grain, 1)


def words_of(call: Call) -> str:
    """What the user said last; a terse message with the one before it. "" where nobody said anything."""
    said: list[str] = []
    for text in _of_chat(call.parsed) if call.parsed is not None else _of_fields(call.fields):
        if text.strip():
            said.append(_ends(text))
            if len(said) > 1 or len(text) >= TERSE:
                break
    return "\n".join(reversed(said))


def _of_chat(chat: ChatRequest) -> Iterator[str]:
    """The user's messages, the last one first."""
    for message in reversed(chat.messages):
        if message.role == "user":
            yield "\n".join(part.text for part in message.parts if isinstance(part, Text))


def _of_fields(fields: Json) -> Iterator[str]:
    """The same of a body in any dialect: `messages`, `input` or `prompt`, each a text or made of parts with one."""
    given = fields.get("messages") or fields.get("input") or fields.get("prompt")
    for message in reversed(given if isinstance(given, list) else [given]):
        if isinstance(message, str):
            yield message
        elif isinstance(message, dict) and message.get("role") == "user":
            yield _text(message.get("content"))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    found = [part.get("text") for part in parts if isinstance(part, dict)]
    return "\n".join(each for each in found if isinstance(each, str))


def _ends(text: str) -> str:
    return text if len(text) <= LOOKED_AT else f"{text[: LOOKED_AT // 2]}\n{text[-LOOKED_AT // 2 :]}"
