"""Where a request of ours may go: the owner's list of hosts, and which addresses may stand behind a name. Pure.

A name says nothing about where it leads: whoever owns it can let it lead to a router, a database or a cloud's
metadata service in our own network. So a host must be on the list, and the address found for it must be public,
or named in the list itself, or private where the owner opened private networks.
Addresses: IANA's special-purpose registries (RFC 6890), and the clouds' own documentation for metadata services.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from chittycan.errors import ConfigError, Forbidden, InvalidRequest

Address = IPv4Address | IPv6Address
Reach = Literal["public", "private", "never"]

PORTS = {"https": 443, "http": 80}
LONGEST_URL = 8_000  # characters

_URL = re.compile(r"[\x21-\x7e]+")  # no blanks, no line breaks, nothing beyond ASCII
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_ENTRY = re.compile(r"(?:(?P<scheme>https?)://)?(?P<host>\[[0-9a-f:.]+\]|[^\s/:@\[\]]+)(?::(?P<port>\d{1,5}))?/?")

# What the owner may open as a whole with `private`: networks of one's own, and this machine.
_PRIVATE = tuple(
    ip_network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "::1/128", "fc00::/7")
)
# What no one opens by accident: clouds hand out credentials at these. Link-local ones are never public anyway.
_METADATA = frozenset(
    ip_address(each) for each in ("100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254")
)
_PROTOCOLS = ip_network("192.0.0.0/24")  # Python counts part of it as global; one cloud's metadata service is there
_GLOBAL_V6 = ip_network("2000::/3")  # all that is handed out so far; leaves out ::/96 and whatever else maps IPv4
_NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))


class Target(Struct, frozen=True):
    """A checked URL. `host` is in lower case without a last dot, IPv6 without brackets; `path` has the query."""

    scheme: Literal["https", "http"]
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """As in the Host header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def in_house(self) -> bool:
        """Whether it is written as an address of this machine or of a private network; a name may lead anywhere."""
        literal = _literal(self.host)
        return self.host == "localhost" if literal is None else reach(literal) == "private"

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port


def parse(url: str) -> Target:
    """The parts of an absolute http or https URL. Raises InvalidRequest (`param`: url) for anything else.

    Stricter than RFC 3986: what two parsers could read in two ways (user names, backslashes, blanks) is refused.
    """
    if len(url) > LONGEST_URL or not _URL.fullmatch(url) or "\\" in url:
        raise _bad("holds characters that no URL has, or too many of them", "Percent-encode it; write names as xn--….")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad("cannot be read", "Write it like https://hooks.example.com/path.") from None
    scheme = parts.scheme.lower()
    if scheme not in ("https", "http"):
        raise _bad("is neither https nor http", "Write it like https://hooks.example.com/path.")
    if "@" in parts.netloc:
        raise _bad("holds a user name or password", "Put credentials into outbound.headers of config.json.")
    host = _host(parts.hostname or "")
    if host is None or port == 0:
        raise _bad("names no host", "Write it like https://hooks.example.com/path.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target("https" if scheme == "https" else "http", host, port or PORTS[scheme], path)


def _bad(problem: str, fix: str) -> InvalidRequest:
    return InvalidRequest(f"the URL {problem}", param="url", fix=fix)


def _host(text: str) -> str | None:
    host = text.lower().removesuffix(".")
    literal = _literal(host)
    if literal is not None:
        return str(literal)
    return host if _NAME.fullmatch(host) and len(host) <= 253 else None


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host) if "%" not in host else None
    except ValueError:
        return None


def reach(address: Address) -> Reach:
    """Whom one meets at an address: anyone's server, someone of our own network, or nobody that we may talk to."""
    if isinstance(address, IPv6Address):
        inner = _embedded(address)
        if inner is not None:
            return reach(inner)
    if address in _METADATA or address in _PROTOCOLS:
        return "never"
    if any(address in network for network in _PRIVATE if network.version == address.version):
        return "private"
    if address.is_multicast or address.is_reserved or not address.is_global:
        return "never"
    return "public" if isinstance(address, IPv4Address) or address in _GLOBAL_V6 else "never"


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a mapped, 6to4, Teredo or NAT64 address is another way to write."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _NAT64):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


class Entry(Struct, frozen=True):
    """One line of `outbound.allow`: `[https://|http://]HOST[:PORT]`, where HOST may be `*.example.com` or `*`."""

    host: str
    scheme: str | None = None
    port: int | None = None

    def covers(self, target: Target) -> bool:
        # Without a word about it, plain HTTP is for what never leaves this machine.
        schemes = (self.scheme,) if self.scheme else ("https", "http") if self._on_this_machine else ("https",)
        if target.scheme not in schemes or target.port != (self.port or PORTS[target.scheme]):
            return False
        if self.host.startswith("*"):
            # A wildcard is for names: an address must be written out.
            return _literal(target.host) is None and target.host.endswith(self.host[1:])
        return target.host == self.host

    def names(self, address: Address) -> bool:
        """Whether the owner wrote down this very address (or said localhost), so that it may be private."""
        return _literal(self.host) == address or (self.host == "localhost" and address.is_loopback)

    @property
    def _on_this_machine(self) -> bool:
        literal = _literal(self.host)
        return self.host == "localhost" or (literal is not None and literal.is_loopback)


class AllowList:
    """`outbound.allow` and `outbound.private` of config.json. Nothing is allowed until it is listed."""

    def __init__(self, entries: Iterable[str] = (), *, private: bool = False) -> None:
        """Raises ConfigError for an entry that cannot be read."""
        self.entries = tuple(entry(text, f"outbound.allow.{place}") for place, text in enumerate(entries))
        self.private = private

    def check(self, target: Target) -> None:
        """Raises Forbidden where no entry covers the target."""
        if not self._covering(target):
            origin = target.authority if target.scheme == "https" else f"http://{target.authority}"
            raise Forbidden(
                f"no request may go to {target.scheme}://{target.authority}: it is not on the list",
                fix=f'If it should, add "{origin}" to outbound.allow in config.json.',
            )

    def check_addresses(self, target: Target, addresses: Sequence[str]) -> None:
        """Raises Forbidden where any address found for the target's host may not be reached."""
        named = self._covering(target)
        for text in addresses:
            address = _literal(text.partition("%")[0])
            where = "never" if address is None else reach(address)
            if where == "public" or (where == "private" and self.private):
                continue
            if address is not None and any(each.names(address) for each in named):
                continue
            raise Forbidden(
                f"no request may go to {target.host}: it leads into a private network or to a special address",
                fix="List the address itself in outbound.allow, or set outbound.private to true for private networks."
                if where == "private"
                else "If it should, list the address itself in outbound.allow in config.json.",
            )

    def _covering(self, target: Target) -> list[Entry]:
        return [each for each in self.entries if each.covers(target)]


def entry(text: str, key: str) -> Entry:
    """An entry of the list. Raises ConfigError that names `key`."""
    found = _ENTRY.fullmatch(text.strip().lower())
    scheme, host, port = (found["scheme"], found["host"].strip("[]"), found["port"]) if found else (None, "", None)
    wild = host.startswith("*.")
    known = host if host == "*" else _host(host.removeprefix("*."))
    if known is None or (port is not None and not 0 < int(port) < 65536):
        fix = 'Write a host, like "hooks.example.com", "*.example.com" or "127.0.0.1:9000".'
        raise ConfigError(f"{text!r} names no host", file="config.json", key=key, fix=fix)
    return Entry(f"*.{known}" if wild else known, scheme, int(port) if port else None)
