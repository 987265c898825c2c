"""Cursors of listings: the newest come first, and a cursor is the last one seen."""

from chittycan.errors import InvalidRequest


def cursor(created: float, last: str) -> str:
    """Of the thing with the id `last`."""
    return f"{created!r}~{last}"


def place(text: str | None) -> tuple[float, str] | None:
    """`created` and id of the last one seen. Raises InvalidRequest."""
    if text is None:
        return None
    created, mark, last = text.partition("~")
    try:
        if not mark:
            raise ValueError
        return float(created), last
    except ValueError:
        raise InvalidRequest("this is no cursor of a listing", param="cursor") from None
