"""What the settings say to the parts that know no settings, in the words of each."""

from typing import Any

from chittycan.config import Settings
from chittycan.context.sessions import Limits
from chittycan.gateway.admission import total_caps
from chittycan.gateway.recall import RecallSettings
from chittycan.store.meters import Cap


def totals(settings: Settings) -> tuple[Cap, ...]:
    """The budgets over all keys."""
    return total_caps(settings.budgets.day_nano, settings.budgets.month_nano)


def retention(settings: Settings) -> float:
    """Of ended work, in seconds."""
    return settings.tasks.retention * 86_400


def limits(settings: Settings) -> Limits:
    """Of the documents of sessions."""
    written = settings.context
    return Limits(max_bytes=written.max_bytes, history=written.history, ttl=written.ttl)


def recalling(settings: Settings) -> RecallSettings:
    """What calls with a session do unasked."""
    written = settings.context
    return RecallSettings(recall=written.recall, record=written.record, tokens=written.tokens, answers=written.answers)


def caching(settings: Settings) -> dict[str, Any]:
    """config.json: `"cache": {"models": ["gpt-4o-mini"], "ttl": 3600}`."""
    written = settings.sections.get("cache", {})
    known = {"models": tuple(written.get("models", ()))}
    return known | ({"ttl": float(written["ttl"])} if "ttl" in written else {})
