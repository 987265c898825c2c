"""A recipe: the steps of a workstream, as values. YAML, JSON and Python recipes are these same structs.

A step is a `Step` with an `id` and exactly one kind of work. Texts may hold `${…}`, filled in when the step
starts (`values`). Durations are text, "90s", "15m", "24h", "2d" (`durations`). Money is in US dollars.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from chittycan.catalogue import Mode

InputType = Literal["text", "number", "boolean", "list", "object", "file", "folder", "mail", "inbox"]
OnFailure = Literal["fail", "continue"]

BLOCKS = ("steps", "parallel", "for_each", "when")
LEAVES = ("task", "ensemble", "agent", "approval", "wait", "call", "send")
KINDS = (*LEAVES, *BLOCKS)
ASKS_MODELS = ("task", "ensemble", "agent")

# What `${id.…}` can name of a step, besides what is true of all.
OF_ALL = ("status", "error", "model", "cost_usd")
RESULTS: Mapping[str, tuple[str, ...]] = {
    "task": ("text", "json"),
    "ensemble": ("text", "value", "json", "agreement", "decided_by", "dissent", "members"),
    "agent": ("json", "fallback"),
    "approval": ("decision", "by", "comment", "values"),
    "wait": ("json", "at"),
    "call": ("code", "text", "json"),
    "send": ("state",),
    "steps": (),
    "parallel": (),
    "for_each": ("results", "failed"),
    "when": ("chosen",),
}

# What a bound input (`inputs`) has inside; of other types anything. TRUSTED: what may say where something goes.
MAIL_FIELDS = (
    "id", "from", "name", "reply_to", "subject", "date", "message_id", "category", "priority", "draft"
)  # fmt: skip
FILE_FIELDS = ("name", "path", "id")
INPUT_FIELDS: Mapping[str, tuple[str, ...]] = {"file": FILE_FIELDS, "mail": MAIL_FIELDS}
TRUSTED_OF_MAIL = ("id", "from", "reply_to", "message_id")
ITEMS = {"folder": "file", "inbox": "mail"}  # types that are lists of another

# Where a bare text stands for an object: the field that it fills.
SHORTHANDS = {
    "inputs": "type",
    "task": "prompt",
    "ensemble": "prompt",
    "agent": "name",
    "approval": "title",
    "wait": "for",
    "call": "url",
}


def said(text: str) -> Meta:
    """What the published schema says of a field."""
    return Meta(description=text)


class _Part(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    pass


class Input(_Part, frozen=True, kw_only=True):
    """What whoever starts the workstream gives. Without a default it must be given, unless `required` is false."""

    type: Annotated[InputType, said("`folder` becomes a list of files, `inbox` a list of mails")] = "text"
    required: bool = True
    default: Any = None
    description: str = ""


class Task(_Part, frozen=True, kw_only=True):
    """One prompt to one model. Gives `text`, `json` (the parsed answer, where it is JSON) and `model`."""

    prompt: str
    system: str | None = None
    files: Annotated[list[Any], said("inputs to be read along: files, or a mail with its attachments")] = []
    schema: Annotated[dict[str, Any] | None, said("JSON Schema that the answer must fit")] = None
    json: Annotated[bool, said("the answer must be JSON")] = False
    max_tokens: Annotated[int, Meta(ge=1)] | None = None


class Ensemble(_Part, frozen=True, kw_only=True):
    """One prompt to several models. Gives `text`, `value`, `json`, `agreement` (0..1), `dissent`, `members`.

    The fields are those of `catalogue.Ensemble`; with `name`, what is given changes what models.json says.
    """

    prompt: str
    name: Annotated[str | None, said("an ensemble of models.json, instead of `models`")] = None
    models: list[str] = []
    mode: Mode | None = None
    extract: Annotated[str | None, said("what is compared: text, choice:a,b, number, json or json:PATH")] = None
    weights: dict[str, float] = {}
    tolerance: Annotated[float, Meta(ge=0, description="how far two numbers may differ and agree")] | None = None
    quorum: Annotated[int, Meta(ge=1)] | None = None
    strong: Annotated[str | None, said("cascade: who decides where the others differ")] = None
    judge: Annotated[str | None, said("judge, fuse: who reads the answers")] = None
    timeout: Annotated[str | None, said("duration")] = None
    system: str | None = None
    files: list[Any] = []


class AgentCall(_Part, frozen=True, kw_only=True):
    """One of our agents on one mail or document. Gives `json` (what it found), `model` and `fallback`."""

    name: Literal["triage", "priority", "response", "document"]
    mail: Annotated[Any, said("an input of the type mail")] = None
    file: Annotated[Any, said("an input of the type file; for `document`")] = None
    attachment: Annotated[str | None, said("which attachment of the mail; for `document`")] = None
    triage: Annotated[Any, said("what triage found")] = None
    priority: Annotated[Any, said("what priority found")] = None
    template: Annotated[str | None, said("into which a reply is set; for `response`")] = None


class Approval(_Part, frozen=True, kw_only=True):
    """A person decides. Gives `decision` (approved, rejected), `by`, `comment` and `values`, edited or as shown.

    A rejection fails the step; with `on_failure: continue` the next steps can look at `decision`.
    """

    title: str
    show: Annotated[dict[str, Any], said("name → value that the person sees")] = {}
    who: Annotated[list[str], said("who may decide; nobody named: the owner")] = []
    edit: Annotated[bool, said("the person may change what is shown")] = False
    timeout: Annotated[str | None, said("duration after which nobody needs to decide any more")] = None
    on_timeout: Literal["reject", "approve"] = "reject"


class Wait(_Part, frozen=True, kw_only=True):
    """Until a time, for a while, or for news. Gives `json` (what the event or webhook brought) and `at`."""

    until: Annotated[str | None, said("a time with its offset, 2026-12-01T09:00+01:00")] = None
    for_: Annotated[str | None, said("duration")] = field(default=None, name="for")
    event: Annotated[str | None, said("name of an event that somebody sends to the workstream")] = None
    webhook: Annotated[bool, said("until somebody posts to the step's own address")] = False


class Call(_Part, frozen=True, kw_only=True):
    """An HTTP request to an allowed host. Gives `code` (the HTTP status), `text` and `json`."""

    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: dict[str, str] = {}
    json: Any = None
    once: Annotated[bool, said("never repeated, even if nobody knows whether it arrived")] = False


class Send(_Part, frozen=True, kw_only=True):
    """One mail, sent at most once. Recipients come from inputs, never from what a model wrote. Gives `state`."""

    to: str | list[str]
    subject: str
    body: str
    in_reply_to: str | None = None


class ForEach(_Part, frozen=True, kw_only=True):
    """Steps for each of a list. Gives `results`: for each item what `collect` says, else its last step's
    result; and `failed`, how many of them did. A failed item is `{"error": …}`."""

    in_: Annotated[Any, said("a list, mostly ${…}")] = field(name="in")
    steps: "Annotated[list[Step], Meta(min_length=1)]"
    as_: Annotated[str, said("the item's name in ${…}")] = field(default="item", name="as")
    max_parallel: Annotated[int, Meta(ge=1, le=100)] = 4
    collect: Any = None


class When(_Part, frozen=True, kw_only=True):
    """Steps for one of two cases. Gives `chosen`: then or else."""

    if_: Annotated[str, said("a condition, with or without ${…}")] = field(name="if")
    then: "list[Step]"
    else_: "list[Step]" = field(default_factory=list, name="else")


class Step(_Part, frozen=True, kw_only=True):
    """One step: an id, exactly one kind of work, and how it is done."""

    id: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="unique in the recipe; its name in ${…}")]
    title: Annotated[str | None, said("shown in place of the id")] = None

    task: Task | None = None
    ensemble: Ensemble | None = None
    agent: AgentCall | None = None
    approval: Approval | None = None
    wait: Wait | None = None
    call: Call | None = None
    send: Send | None = None
    steps: "Annotated[list[Step] | None, said('one after the other')]" = None
    parallel: "Annotated[list[Step] | None, said('all at once')]" = None
    for_each: ForEach | None = None
    when: When | None = None

    model: Annotated[str | None, said("who answers, by name")] = None
    assignment: Annotated[str | None, said("kind of task, whose assigned model answers")] = None
    policy: Annotated[str | None, said("a virtual model: auto, auto:cheap, private")] = None
    budget_usd: Annotated[float, Meta(gt=0)] | None = None
    deadline: Annotated[str | None, said("duration from the step's start")] = None
    retries: Annotated[int, Meta(ge=0, le=10, description="more tries after a failure")] = 0
    on_failure: Annotated[OnFailure, said("what a failure of this step means to the rest")] = "fail"
    store: Annotated[str | None, said("key of the session's context that gets the result")] = None

    @property
    def kind(self) -> str:
        """The one kind of work that is given: the type of its task row, or a block."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def work(self) -> Any:
        """What is given under `kind`."""
        return getattr(self, self.kind)

    @property
    def blocks(self) -> tuple[list["Step"], ...]:
        """The lists of steps inside; `when` has two, a leaf none. Those of `parallel` count as one each."""
        if self.parallel is not None:
            return tuple([step] for step in self.parallel)
        if self.steps is not None:
            return (self.steps,)
        if self.for_each is not None:
            return (self.for_each.steps,)
        return (self.when.then, self.when.else_) if self.when is not None else ()


class Schedule(_Part, frozen=True, kw_only=True):
    """When to start by itself. `catch_up`: which of the times missed while nothing ran are made up for."""

    cron: Annotated[str, said("five fields: minute hour day month weekday")]
    timezone: str = "UTC"
    catch_up: Literal["none", "latest", "all"] = "latest"
    paused: bool = False


class Recipe(_Part, frozen=True, kw_only=True):
    """A named flow of steps, one after the other unless a step says otherwise."""

    name: Annotated[str, Meta(min_length=1, max_length=80)]
    steps: Annotated[list[Step], Meta(min_length=1)]
    description: str = ""
    inputs: dict[str, Input] = {}
    private: Annotated[bool, said("every call goes to private models only")] = False
    session: Annotated[str | None, said("name of the shared context; may use ${inputs…}")] = None
    budget_usd: Annotated[float, Meta(gt=0)] | None = None
    deadline: Annotated[str | None, said("duration from the start of the workstream")] = None
    schedule: Schedule | None = None
    outputs: Annotated[dict[str, Any], said("name → value of the finished workstream")] = {}


def every_step(steps: list[Step]) -> Iterator[Step]:
    """All steps, those in blocks after their block."""
    for step in steps:
        yield step
        for block in step.blocks:
            yield from every_step(block)
