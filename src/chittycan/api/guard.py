"""Who may come in at all: keys, and on a server without keys only this machine's own programs.

Without keys a web page must not be able to use the server: its requests carry a foreign Origin, and a DNS name
rebound to 127.0.0.1 shows in the Host header.
"""

import ipaddress
from urllib.parse import urlsplit

from chittycan.auth.keys import Key, Keys
from chittycan.errors import Forbidden, InvalidRequest

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


def host_name(host: str) -> str:
    """The name in a Host header, without its port; "" where it is not a plain host."""
    if not host or any(mark in host for mark in "/#?@\\ ,\t"):
        return ""
    if host.startswith("["):
        address, closed, rest = host.partition("]")
        return "" if not closed or (rest and not rest.startswith(":")) else address + closed
    return host.rpartition(":")[0].lower() if host.count(":") == 1 else host.lower()


def is_loopback(host: str) -> bool:
    """Is this the name or address of this machine alone?"""
    name = host.strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Guard:
    """Checks one request's headers. `keys.required` turns true with the first key."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def admit(self, headers: dict[bytes, bytes]) -> Key | None:
        """The caller's key (the owner's credential too is one), None for a local caller of a server without keys.

        Raises Unauthenticated, Forbidden (foreign page or host) or InvalidRequest (two Host headers, no host).
        """
        bearer = bearer_of(headers)
        if self._keys.required or bearer is not None:
            key = self._keys.authenticate(bearer)
            if key is not None:
                return key
        host = headers.get(b"host", b"").decode("latin-1")
        name = host_name(host)
        if not name:
            raise InvalidRequest("The Host header is not a host name.", param="Host")
        if name not in LOOPBACK_NAMES:
            raise Forbidden(
                f"This server has no keys and answers only to this machine's own names, not to '{name[:80]}'.",
                fix="Create a key: can keys create --name NAME",
            )
        origin = headers.get(b"origin")
        if origin is not None and not _own_origin(origin.decode("latin-1")):
            raise Forbidden(
                "Web pages of other sites may not use a server without keys.", fix="can keys create --name NAME"
            )
        return None

    def admit_scrape(self, headers: dict[bytes, bytes], client: tuple[str, int] | None) -> None:
        """Metrics: for this machine, and for whoever has a key. Raises Unauthenticated or Forbidden."""
        if client is not None and is_loopback(client[0]) and self._own_host(headers):
            return
        if self._keys.authenticate(bearer_of(headers)) is None:
            raise Forbidden("Metrics are for this machine, and for whoever has a key.")

    @staticmethod
    def _own_host(headers: dict[bytes, bytes]) -> bool:
        return host_name(headers.get(b"host", b"").decode("latin-1")) in LOOPBACK_NAMES and b"origin" not in headers


def bearer_of(headers: dict[bytes, bytes]) -> str | None:
    """The credential of a request: `Authorization: Bearer …`, or `x-api-key`."""
    value = headers.get(b"authorization")
    if value is not None:
        if value[:7] == b"Bearer " and (token := value[7:].decode("latin-1").strip()):
            return token
        scheme, _, token = value.decode("latin-1").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
    key = headers.get(b"x-api-key")
    return key.decode("latin-1").strip() if key else None


def _own_origin(origin: str) -> bool:
    """Pages served from this machine are its owner's; `null` (sandboxed frames, files) is not."""
    try:
        return is_loopback(urlsplit(origin).hostname or "")
    except ValueError:  # no address at all
        return False
