"""Every error that ChittyCan raises on purpose: one class per thing that a caller would do differently.

ChittyError                      anything we say on purpose; has a code and a fix
├── ConfigError                  edit the file at this line
├── UsageError                   correct the command line
├── RequestError                 correct the request (the caller's fault)
│   ├── InvalidRequest           a field is wrong: `param` names it
│   ├── RequestTooLarge          send less
│   ├── UnknownModel             name another model
│   ├── NotFound                 name another thing
│   └── VersionConflict          read the newest version and try again; has `current`
├── AccessError                  change who asks
│   ├── Unauthenticated          send a valid key
│   ├── Forbidden                this key or page may not do that
│   └── NoPrivateModel           private work, and no private model to do it
├── LimitError                   wait, or raise the limit
│   ├── BudgetExceeded           money
│   └── RateLimited              requests, tokens or calls at once; has `retry_after`
├── ProviderError                no model could answer; has `attempts`
│   ├── UpstreamRefused          the one candidate's own status and message
│   ├── CredentialsExhausted     every key of every candidate was refused
│   ├── AllRateLimited           every candidate is rate-limited; has `retry_after`
│   ├── AllCooling               every candidate is cooling down; has `retry_after`
│   ├── UpstreamTimeout          the last candidate was too slow
│   ├── AllFailed                none of the above
│   └── StreamBroken             the answer broke off after it had begun
├── DeadlinePassed               the task was not done in time
├── DeliveryError                a server outside did not do what a task asked of it
│   ├── NotDelivered             it certainly did not: try again where `temporary`
│   └── DeliveryUnknown          it may have: look before anyone tries again
├── Unavailable                  a part of ours is missing or not up (extra not installed, server down)
└── Cancelled                    the client left
"""

from typing import Any


class ChittyError(Exception):
    """Base of the tree. `code` is stable and machine-readable; `fix` says what to do next."""

    code = "error"

    def __init__(self, message: str, *, fix: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        if code is not None:
            self.code = code


class ConfigError(ChittyError):
    """A configuration file is wrong. Names the file, the place in it and the fix."""

    code = "config_error"

    def __init__(
        self,
        message: str,
        *,
        file: str,
        key: str | None = None,
        line: int | None = None,
        column: int | None = None,
        fix: str | None = None,
    ) -> None:
        place = file if line is None else f"{file}:{line}:{column or 1}"
        where = f"{place}: {key}" if key else place
        super().__init__(f"{where}: {message}", fix=fix)
        self.file, self.key, self.line, self.column = file, key, line, column


class UsageError(ChittyError):
    """The command line is wrong; the command exits with 2."""

    code = "usage_error"


class RequestError(ChittyError):
    """The caller's request cannot be served as it stands."""

    code = "invalid_request"

    def __init__(
        self, message: str, *, param: str | None = None, fix: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, fix=fix, code=code)
        self.param = param


class InvalidRequest(RequestError):
    pass


class RequestTooLarge(RequestError):
    code = "request_too_large"


class UnknownModel(RequestError):
    code = "model_not_found"


class NotFound(RequestError):
    code = "not_found"


class VersionConflict(RequestError):
    """Somebody else wrote in between. `current` is the version that is there now, 0 where there is nothing."""

    code = "version_conflict"

    def __init__(
        self, message: str, *, current: int | None = None, param: str | None = None, fix: str | None = None
    ) -> None:
        super().__init__(message, param=param, fix=fix)
        self.current = current


class AccessError(ChittyError):
    code = "access_error"


class Unauthenticated(AccessError):
    code = "invalid_api_key"


class Forbidden(AccessError):
    code = "forbidden"


def region_conflict(rule: str, bound: str, asked: str) -> Forbidden:
    """The owner's rule and somebody's wish hold at once, and nothing is in two regions."""
    return Forbidden(
        f"The rule {rule} binds this to the region {bound}, and {asked} was asked for.",
        code="region_conflict",
        fix=f"Ask for {bound}, or for no region.",
    )


class NoPrivateModel(AccessError):
    code = "privacy_no_model"


class LimitError(ChittyError):
    code = "limit_error"

    def __init__(self, message: str, *, retry_after: float | None = None, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.retry_after = retry_after


class BudgetExceeded(LimitError):
    code = "budget_exceeded"


class RateLimited(LimitError):
    code = "rate_limit_exceeded"


class ProviderError(ChittyError):
    """No model gave an answer. `attempts` is [{model, class, status, ms}], without upstream text; `cost_nano` what
    answers cost that were not enough."""

    code = "upstream_failed"

    def __init__(
        self,
        message: str,
        *,
        attempts: list[dict[str, Any]] | None = None,
        retry_after: float | None = None,
        code: str | None = None,
        fix: str | None = None,
        cost_nano: int = 0,
    ) -> None:
        super().__init__(message, code=code, fix=fix)
        self.attempts = attempts or []
        self.retry_after = retry_after
        self.cost_nano = cost_nano


class UpstreamRefused(ProviderError):
    """The only candidate refused; `status` (HTTP), `kind` and `param` are the upstream's own."""

    code = "upstream_refused"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        kind: str | None = None,
        param: str | None = None,
        code: str | None = None,
        attempts: list[dict[str, Any]] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, attempts=attempts, retry_after=retry_after, code=code)
        self.status, self.kind, self.param = status, kind, param


class CredentialsExhausted(ProviderError):
    code = "upstream_credentials_exhausted"


class AllRateLimited(ProviderError):
    code = "rate_limit_exceeded"


class AllCooling(ProviderError):
    code = "all_models_cooling"


class UpstreamTimeout(ProviderError):
    code = "upstream_timeout"


class AllFailed(ProviderError):
    code = "upstream_failed"


class StreamBroken(ProviderError):
    code = "upstream_stream_incomplete"


class DeadlinePassed(ChittyError):
    code = "deadline_passed"


class DeliveryError(ChittyError):
    code = "delivery_error"


class NotDelivered(DeliveryError):
    """Nothing happened outside. `temporary`: the same may go well later."""

    code = "not_delivered"

    def __init__(self, message: str, *, temporary: bool = True, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.temporary = temporary


class DeliveryUnknown(DeliveryError):
    """It was handed over, and no answer says what became of it."""

    code = "delivery_unknown"


class Unavailable(ChittyError):
    code = "unavailable"


class Cancelled(ChittyError):
    code = "cancelled"
