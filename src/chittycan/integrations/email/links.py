"""Links of a page that show one address and lead to another. Pure, and linear in the length of the page."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

MOST = 200  # links that are looked at
_TAG, _SHOWN = 2000, 500  # characters of a link's tag, and of what stands in it

_HREF = re.compile(r"""\bhref\s*=\s*["']?\s*(https?://[^\s"'>]+)""", re.IGNORECASE)
_ADDRESS = re.compile(r"\s*((?:https?://|www\.)[^\s/?#]+)\S*\s*", re.IGNORECASE)
_INNER = re.compile(r"<[^>]*>")
# Names under which a country's registry gives out domains: of `firm.co.uk` the owner is three names long.
_REGISTRIES = frozenset(["ac", "co", "com", "edu", "gob", "gov", "gouv", "net", "nom", "or", "org"])


def mislead(html: str) -> bool:
    """Whether the text of a link is the address of another site than the one that it leads to."""
    return any(site(shown) != site(target) for shown, target in _addresses(html))


def site(host: str) -> str:
    """The part of a host's name that somebody registered: `shop.example` of `www.shop.example`."""
    names = host.lower().rstrip(".").split(".")
    long = len(names) > 2 and len(names[-1]) == 2 and names[-2] in _REGISTRIES
    return ".".join(names[-3 if long else -2 :])


def _addresses(html: str) -> Iterator[tuple[str, str]]:
    """(host that shows, host of the target) of each link that shows an address."""
    small, at = html.lower(), 0
    for _ in range(MOST):
        start = small.find("<a", at)
        end = small.find(">", start, start + _TAG) if start >= 0 else -1
        if start < 0:
            return
        at = start + 2
        target = _HREF.search(html, start, end) if end >= 0 else None
        if target is None:
            continue
        close = small.find("</a", end, end + _SHOWN)
        shown = _ADDRESS.fullmatch(_INNER.sub("", html[end + 1 : close])) if close >= 0 else None
        if shown is not None and (host := _host(shown[1])) and (leads := _host(target[1])):
            yield host, leads


def _host(address: str) -> str:
    try:
        return urlsplit(address if "//" in address else f"//{address}").hostname or ""
    except ValueError:
        return ""
