"""Cursors of listings: the newest come first, and a cursor is the last one seen."""

import math

from chittycan.errors import InvalidRequest


def cursor(created: float, last: str) -> str:
    """Of the thing with the id `last`."""
    return f"{created!r}~{last}"


def place(text: str | None) -> tuple[float, str] | None:
    """`created` and id of the last one seen. Raises InvalidRequest."""
    if text is None:
        return None
    created, _, last = text.partition("~")
    try:
        at = float(created)
    except ValueError:
        at = math.nan
    if not math.isfinite(at) or not last:
        raise InvalidRequest("this is no cursor of a listing", param="cursor", fix="Leave it out for the first page.")
    return at, last
