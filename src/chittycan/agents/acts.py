"""What the steps `call` and `send`, and webhooks, do to the world outside; once where it must not happen twice.

An act takes its task's spec and key and gives back `Acted`, or says whom or what to wait for: `Ask` (a person) or
`Later`. It raises ChittyError where it failed; `repeatable` tells whether the same may go well another time.
"""

from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeVar

import msgspec
from msgspec import Struct, field

from chittycan.clock import Clock
from chittycan.errors import ChittyError, DeliveryUnknown, InvalidRequest, NotDelivered, Unavailable
from chittycan.integrations import webhooks
from chittycan.integrations.email.compose import Mail, unlisted
from chittycan.integrations.email.smtp import Mailer
from chittycan.integrations.outbound import Answer, Limits, Outbound
from chittycan.integrations.targets import parse
from chittycan.workstreams.effects import Effect, Effects

S = TypeVar("S")

CALL_LIMITS = Limits(total=60.0)
DELIVERY_LIMITS = Limits(total=15.0, body=4096, redirects=0)
BUSY_SECONDS = 30.0  # until another look at an effect that another process is at
LONGEST_PAUSE = 86_400.0  # seconds of a Retry-After that are obeyed

# Answers that say that the server did nothing, but may later: too early, too many.
_NOT_NOW = (425, 429)
# Answers that leave open whether the server did it: it gave up, or found the same already under way.
_OPEN = (408, 409)


class CallSpec(Struct, frozen=True, kw_only=True):
    """Of a step `call`. `json` is the body; None for none."""

    url: str
    method: str = "POST"
    headers: dict[str, str] = {}
    body: Any = field(name="json", default=None)
    once: bool = False


class SendSpec(Struct, frozen=True, kw_only=True):
    """Of a step `send`: one mail."""

    to: str | list[str]
    subject: str
    body: str
    in_reply_to: str | None = None
    references: list[str] = []


class DeliverSpec(Struct, frozen=True, kw_only=True):
    """Of a webhook: what happened when (Unix seconds), and who is told."""

    url: str
    event: str
    at: float
    data: dict[str, Any] = {}


class Acted(Struct, frozen=True):
    """It is done. `call` gives code, text, json and truncated; `send` state, message_id and answer."""

    result: dict[str, Any]


class Ask(Struct, frozen=True):
    """A person has to say something first.

    `approve`: whether it may be done; call again with `approved_by`. `happened`: whether the effect `key`
    happened; tell `Effects.resolve` and call again. `since`: when that became unknown, Unix seconds.
    """

    about: Literal["approve", "happened"]
    question: str
    key: str
    since: float | None = None


class Later(Struct, frozen=True):
    """Try again at that time, Unix seconds."""

    until: float
    reason: str


class Doors(Protocol):
    """The ways out, as far as they are set up; using one that is not raises ConfigError."""

    @property
    def outbound(self) -> Outbound: ...

    @property
    def mailer(self) -> Mailer: ...

    def toward(self, url: str) -> Outbound:
        """The way to a webhook."""
        ...

    def webhook_secrets(self, url: str) -> tuple[str, ...]: ...


class Acts:
    """The acts of this process. `key` names one act for good: the same task always has the same."""

    def __init__(self, effects: Effects, doors: Doors, clock: Clock) -> None:
        self._effects, self._doors, self._clock = effects, doors, clock

    async def call(self, spec: Mapping[str, Any], key: str) -> Acted | Ask | Later:
        """One HTTP request, with the key as its Idempotency-Key. At most once with `once`, else at least once.

        Raises InvalidRequest and Forbidden for what may not be asked, NotDelivered where the server did not do
        it, DeliveryUnknown (only without `once`) where nobody knows.
        """
        asked = _read(spec, CallSpec)
        outbound, target = self._doors.outbound, parse(asked.url)
        headers = {"content-type": "application/json"} if asked.body is not None else {}
        headers |= {name.lower(): value for name, value in asked.headers.items()} | {"idempotency-key": key}
        body = b"" if asked.body is None else msgspec.json.encode(asked.body)

        async def act() -> Mapping[str, Any]:
            answer = await outbound.send(asked.method, asked.url, headers=headers, body=body, limits=CALL_LIMITS)
            _check(answer, target.host)
            return _result(answer)

        if not asked.once:
            return Acted(dict(await act()))
        effect = await self._effects.once(key, "call", act)
        return self._outcome(effect, f"Did {asked.method} {target.host} go through?", effect.detail)

    async def send(self, spec: Mapping[str, Any], key: str, *, approved_by: str | None = None) -> Acted | Ask | Later:
        """One mail, at most once. To anyone who is not in `smtp.allow` only after a person's word.

        Raises InvalidRequest, ConfigError, and NotDelivered where the server did not take it.
        """
        asked = _read(spec, SendSpec)
        mailer = self._doors.mailer
        to = (asked.to,) if isinstance(asked.to, str) else tuple(asked.to)
        strangers = unlisted(to, mailer.server.allow)
        if strangers and approved_by is None:
            return Ask("approve", f"May this mail go to {', '.join(strangers)[:300]}?", key)
        mail = Mail(
            to=to,
            subject=asked.subject,
            text=asked.body,
            in_reply_to=asked.in_reply_to,
            references=tuple(asked.references) or ((asked.in_reply_to,) if asked.in_reply_to else ()),
            automatic=approved_by is None,
        )

        async def act() -> Mapping[str, Any]:
            receipt = await mailer.send(mail, key=key, at=self._clock.now())
            return {"message_id": receipt.message_id, "answer": receipt.answer}

        effect = await self._effects.once(key, "send", act)
        question = f"Did the mail to {', '.join(to)[:300]} go out? (It would be among the sent ones.)"
        return self._outcome(effect, question, {"state": effect.state, **effect.detail})

    async def deliver(self, spec: Mapping[str, Any], key: str, *, failures: int = 0) -> Acted | Later:
        """One try at a webhook that has failed `failures` times before. At least once: its id is `key` every time.

        Raises NotDelivered after the last try and where the receiver wants no more of them, InvalidRequest,
        Forbidden and ConfigError at once.
        """
        told = _read(spec, DeliverSpec)
        target, now = parse(told.url), self._clock.now()
        body = webhooks.payload(told.event, told.data, id=key, at=told.at)
        headers = webhooks.signed_headers(self._doors.webhook_secrets(told.url), key, now, body)
        pause = 0.0
        try:
            out = self._doors.toward(told.url)
            answer = await out.send("POST", told.url, headers=headers, body=body, limits=DELIVERY_LIMITS)
        except (NotDelivered, DeliveryUnknown) as error:
            problem = error.message
        else:
            problem, pause = f"{target.host} answered {answer.status}", _retry_after(answer)
            match webhooks.verdict(answer.status):
                case "delivered":
                    return Acted({"code": answer.status})
                case "gone":
                    raise NotDelivered(f"{problem}: it wants no more of these", temporary=False)
        wait = webhooks.retry_after(failures + 1)
        if wait is None:
            raise NotDelivered(f"{problem}; that was the last of {failures + 1} tries", temporary=False)
        return Later(now + max(wait, pause), problem)

    def _outcome(self, effect: Effect, question: str, result: dict[str, Any]) -> Acted | Ask | Later:
        match effect.state:
            case "sent":
                return Acted(result)
            case "unknown":
                return Ask("happened", question, effect.key, effect.updated_at)
            case "sending":
                return Later(self._clock.now() + BUSY_SECONDS, "another process is at it")
            case "failed":
                raise _failure(effect.detail)


def repeatable(error: ChittyError, spec: Mapping[str, Any]) -> bool:
    """Whether the act that raised `error` may go well if it is done again, without doing anything twice."""
    if isinstance(error, DeliveryUnknown):
        return not spec.get("once", False)
    return isinstance(error, Unavailable) or (isinstance(error, NotDelivered) and error.temporary)


def _failure(detail: Mapping[str, Any]) -> NotDelivered:
    said = str(detail.get("error", "it was not done"))
    return NotDelivered(said, temporary=bool(detail.get("temporary", True)), fix=detail.get("fix"))


def _read(spec: Mapping[str, Any], shape: type[S]) -> S:
    try:
        return msgspec.convert(spec, shape)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"the step cannot be carried out: {error}", param="spec") from None


def _check(answer: Answer, host: str) -> None:
    """Raises NotDelivered where the answer says that nothing was done, DeliveryUnknown where it does not tell."""
    if answer.ok:
        return
    said = f"{host} answered {answer.status}"
    if answer.status >= 500 or answer.status in _OPEN:
        raise DeliveryUnknown(said)
    raise NotDelivered(said, temporary=answer.status in _NOT_NOW)


def _result(answer: Answer) -> dict[str, Any]:
    try:
        parsed = None if answer.truncated else msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, RecursionError):
        parsed = None
    text = answer.body.decode("utf-8", "replace")
    return {"code": answer.status, "text": text, "json": parsed, "truncated": answer.truncated}


def _retry_after(answer: Answer) -> float:
    """Seconds that the server asks for; its other form, a date, is passed over."""
    asked = answer.headers.get("retry-after", "")
    return min(float(asked), LONGEST_PAUSE) if asked.isascii() and asked.isdigit() else 0.0
