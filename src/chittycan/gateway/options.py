"""What a caller asks of us beyond the model, as it is written in a request, and what its key allows of that."""

from collections.abc import Mapping
from typing import Any

from chittycan.auth.keys import Key
from chittycan.chat import Json
from chittycan.errors import Forbidden, InvalidRequest
from chittycan.gateway.call import NO_OPTIONS, Options

FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
PREFIX = b"x-chitty-"
MOST_MODELS = 32  # that a caller may list
OPTION_NAMES = (
    "kind", "session", "task", "region", "private", "max_cost_usd", "models", "timeout", "cache", "recall", "record",
    "webhook", "redact", "hedge",
)  # fmt: skip


def options_of(headers: Mapping[bytes, bytes], fields: Json) -> Options:
    """The `x-chitty-*` headers and the body field `chitty` (which wins). Raises InvalidRequest naming the culprit."""
    given: dict[str, tuple[str, Any]] = {}
    for name, value in headers.items():
        if name.startswith(PREFIX):
            key = name[len(PREFIX) :].decode("latin-1").replace("-", "_")
            if key in OPTION_NAMES:
                given[key] = (name.decode("latin-1"), value.decode("latin-1").strip())
    extra = fields.get("chitty")
    if extra is not None:
        if not isinstance(extra, dict):
            raise InvalidRequest("`chitty` must be an object.", param="chitty")
        for key, value in extra.items():
            if key not in OPTION_NAMES:
                raise InvalidRequest(
                    f"`chitty.{key}` is unknown; known: {', '.join(OPTION_NAMES)}.", param=f"chitty.{key}"
                )
            given[key] = (f"chitty.{key}", value)
    if not given:
        return NO_OPTIONS
    return Options(
        kind=_text(given, "kind"),
        session=_text(given, "session"),
        task=_text(given, "task"),
        region=_text(given, "region"),
        private=_flag(given, "private") or False,
        max_cost_nano=_scaled(given, "max_cost_usd"),
        models=_names(given),
        timeout=_number(given, "timeout"),
        cache=_flag(given, "cache"),
        hedge=_hedge(given),
        recall=_flag(given, "recall"),
        record=_record(given),
        redact=_flag(given, "redact"),
    )


def webhook_of(headers: Mapping[bytes, bytes], fields: Json) -> Any:
    """Who is told of the end of what is done in the background: `chitty.webhook`, else an address in the header."""
    extra = fields.get("chitty")
    if isinstance(extra, dict) and extra.get("webhook") is not None:
        return extra["webhook"]
    header = headers.get(b"x-chitty-webhook")
    return None if header is None else header.decode("latin-1").strip()


def _text(given: dict[str, tuple[str, Any]], key: str) -> str | None:
    place, value = given.get(key, (key, None))
    if value is None or (isinstance(value, str) and 0 < len(value) <= 200):
        return value
    raise InvalidRequest(f"`{place}` must be a text of 1 to 200 characters.", param=place)


def _flag(given: dict[str, tuple[str, Any]], key: str) -> bool | None:
    place, value = given.get(key, (key, None))
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in FLAGS:
        return FLAGS[value.lower()]
    raise InvalidRequest(f"`{place}` must be true or false.", param=place)


def _record(given: dict[str, tuple[str, Any]]) -> bool | str | None:
    """Whether to keep the answer, or under which key of the session's document."""
    place, value = given.get("record", ("record", None))
    if isinstance(value, str) and value.lower() not in FLAGS:
        if 0 < len(value) <= 200:
            return value
        raise InvalidRequest(f"`{place}` must be true, false, or a key of 1 to 200 characters.", param=place)
    return _flag(given, "record")


def _hedge(given: dict[str, tuple[str, Any]]) -> bool | float | None:
    """Whether a late model is hedged, or after how many seconds; `0` is no."""
    place, value = given.get("hedge", ("hedge", None))
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "yes", "false", "no", "0"):
        return FLAGS[value.lower()]
    try:
        return _number(given, "hedge")
    except InvalidRequest:
        raise InvalidRequest(f"`{place}` must be true, false, or a number of seconds.", param=place) from None


def _number(given: dict[str, tuple[str, Any]], key: str) -> float | None:
    place, value = given.get(key, (key, None))
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 < number < 1e9 or isinstance(value, bool):
        raise InvalidRequest(f"`{place}` must be a number above 0.", param=place)
    return number


def _scaled(given: dict[str, tuple[str, Any]], key: str) -> int | None:
    dollars = _number(given, key)
    return None if dollars is None else round(dollars * 1e9)


def _names(given: dict[str, tuple[str, Any]]) -> tuple[str, ...]:
    place, value = given.get("models", ("models", None))
    if value is None:
        return ()
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidRequest(f"`{place}` must be a list of model names.", param=place)
    if len(names) > MOST_MODELS:
        raise InvalidRequest(f"`{place}` may list {MOST_MODELS} models at most.", param=place)
    return tuple(name.strip() for name in names if name.strip())


def allow_route(key: Key | None, route: str) -> None:
    """Raises Forbidden where the key is for other routes only."""
    if key is not None and key.routes is not None and route not in key.routes:
        raise Forbidden(f"This key may not use the route '{route}'.", code="route_not_allowed")


def allow_kind(key: Key | None, kind: str | None) -> None:
    """Raises Forbidden where the key is for other kinds of task only."""
    if key is not None and key.kinds is not None and kind not in key.kinds:
        raise Forbidden(f"This key is for {', '.join(sorted(key.kinds))} only.", code="kind_not_allowed")
