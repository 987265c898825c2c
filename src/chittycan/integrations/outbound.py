"""Requests to other people's servers on behalf of a task: a step that calls, a webhook. Not for providers.

One request per connection, on an address that was checked and is then used as it is (a name that is looked up
twice may lead elsewhere the second time). No proxy of the environment is used: it would do the looking up.
The names of hosts appear in errors, but neither paths nor headers, which may hold secrets.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from urllib.parse import urljoin

import httptools
from msgspec import Struct

from chittycan.errors import DeliveryUnknown, InvalidRequest, NotDelivered
from chittycan.integrations.targets import AllowList, Target, parse
from chittycan.version import VERSION

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
LARGEST_HEAD = 64 * 1024  # bytes of status line and headers
READ = 64 * 1024

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
# Ours to say: they decide where a request ends and whom it is for.
_OWN_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "expect"}
)


class Limits(Struct, frozen=True, kw_only=True):
    """Seconds and bytes. `body` is how much of an answer is kept; `redirects` may only lead to the same server."""

    connect: float = 10.0
    total: float = 30.0
    body: int = 1 << 20
    redirects: int = 3


class Answer(Struct, frozen=True, kw_only=True):
    """What the server said; names of headers are in lower case. `truncated`: the body went on beyond the limit."""

    status: int
    headers: dict[str, str]
    body: bytes
    truncated: bool = False

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class Outbound:
    """The one way out for requests that a task makes.

    `credentials` gives the owner's own headers for a server: they go to that one alone and win over the request's.
    """

    def __init__(
        self,
        allow: AllowList,
        *,
        credentials: Callable[[Target], Mapping[str, str]] | None = None,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        self._allow = allow
        self._credentials = credentials or (lambda _target: {})
        self._tls = tls
        self._resolve = resolve or _look_up

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        limits: Limits | None = None,
    ) -> Answer:
        """One request and its answer, whatever its status.

        Raises InvalidRequest and Forbidden for what may not be sent, NotDelivered where nothing was sent, and
        DeliveryUnknown where it was sent but no whole answer came.
        """
        limits = limits or Limits()
        if method not in METHODS:
            raise InvalidRequest(f"no such method: {method!r}", param="method", fix=f"Use one of {', '.join(METHODS)}.")
        target = parse(url)
        progress = _Progress()
        try:
            async with asyncio.timeout(limits.total):
                for _ in range(limits.redirects + 1):
                    answer = await self._exchange(method, target, headers or {}, body, limits, progress)
                    further = _redirect(method, target, answer)
                    if further is None:
                        return answer
                    target = further
                return answer
        except TimeoutError:
            if progress.sent:
                raise DeliveryUnknown(f"{target.host} gave no answer within {limits.total:g} s") from None
            raise NotDelivered(f"{target.host} could not be reached within {limits.total:g} s") from None

    async def _exchange(
        self,
        method: str,
        target: Target,
        headers: Mapping[str, str],
        body: bytes,
        limits: Limits,
        progress: "_Progress",
    ) -> Answer:
        progress.sent = False
        self._allow.check(target)
        head = _head(method, target, {**_lowered(headers), **_lowered(self._credentials(target))}, body)
        addresses = await self._addresses(target)
        reader, writer = await self._connect(target, addresses, limits.connect)
        try:
            progress.sent = True
            writer.write(head + body)
            return await _read(reader, target.host, limits.body)
        finally:
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                writer.transport.abort()

    async def _addresses(self, target: Target) -> Sequence[str]:
        try:
            addresses = await self._resolve(target.host, target.port)
        except (OSError, UnicodeError):
            raise NotDelivered(f"no address was found for {target.host}") from None
        if not addresses:
            raise NotDelivered(f"no address was found for {target.host}")
        self._allow.check_addresses(target, addresses)
        return addresses

    async def _connect(
        self, target: Target, addresses: Sequence[str], timeout: float
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        tls = self._context() if target.scheme == "https" else None
        problem = "no connection"
        for address in addresses:
            try:
                async with asyncio.timeout(timeout):
                    return await asyncio.open_connection(
                        address, target.port, ssl=tls, server_hostname=target.host if tls else None, limit=READ
                    )
            except ssl.SSLCertVerificationError as error:
                raise NotDelivered(
                    f"{target.host} could not show that it is {target.host}: {error.verify_message}", temporary=False
                ) from None
            except TimeoutError:
                problem = f"no connection within {timeout:g} s"
            except (OSError, ssl.SSLError) as error:
                problem = error.strerror or type(error).__name__
        raise NotDelivered(f"{target.host} could not be reached: {problem}")

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


class _Progress:
    """Whether any byte of the present request may have left."""

    sent = False


async def _look_up(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _head(method: str, target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    """The request line and headers. Raises InvalidRequest for a header that could break out of its line."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value) or name in _OWN_HEADERS:
            raise InvalidRequest(
                f"the header {name[:60]!r} cannot be sent",
                param="headers",
                fix="Use plain names and values on one line; host, length and connection are set by themselves.",
            )
    lines = [f"{method} {target.path} HTTP/1.1", f"host: {target.authority}", "connection: close"]
    lines += [] if "user-agent" in headers else [f"user-agent: chittycan/{VERSION}"]
    lines += [] if "accept-encoding" in headers else ["accept-encoding: identity"]
    lines += [f"content-length: {len(body)}"] if body or method != "GET" else []
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _redirect(method: str, target: Target, answer: Answer) -> Target | None:
    """Where to ask again, on the same server only; None where the answer stands as it is.

    Only 307 and 308 keep the method and the body (RFC 9110, 15.4): other redirects are followed for GET alone.
    """
    follow = (301, 302, 303, 307, 308) if method == "GET" else (307, 308)
    place = answer.headers.get("location")
    if answer.status not in follow or not place:
        return None
    try:
        further = parse(urljoin(f"{target.scheme}://{target.authority}{target.path}", place))
    except (InvalidRequest, ValueError):
        return None
    return further if further.origin == target.origin else None


async def _read(reader: asyncio.StreamReader, host: str, most: int) -> Answer:
    response = _Response(most)
    try:
        while not response.complete:
            data = await reader.read(READ)
            if not data:
                if response.ends_with_the_connection:
                    break
                raise DeliveryUnknown(f"{host} broke off its answer")
            response.feed(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        raise DeliveryUnknown(f"{host} answered with something that is not HTTP") from None
    except OSError:  # a server may refuse early and close: what it said first has been read by now
        raise DeliveryUnknown(f"{host} broke off the connection") from None
    return response.answer()


class _Response:
    """Collects one response from the parser's callbacks; interim ones (1xx) are passed over."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parser = httptools.HttpResponseParser(self)
        self._unread = self._read_head = 0  # bytes before the headers ended, and those of the headers themselves
        self._begun = False  # the headers of the real response are there
        self._body = bytearray()
        self._headers: dict[str, str] = {}
        self._truncated = False
        self.complete = False

    def feed(self, data: bytes) -> None:
        """Raises HttpParserError."""
        if not self._begun:
            self._unread += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if not self.complete:  # what follows a whole answer is nobody's business
                raise
        if self._read_head > LARGEST_HEAD or (not self._begun and self._unread > LARGEST_HEAD):
            raise httptools.HttpParserError("too many headers")

    @property
    def ends_with_the_connection(self) -> bool:
        return self._begun and not {"content-length", "transfer-encoding"} & self._headers.keys()

    def answer(self) -> Answer:
        return Answer(
            status=self._parser.get_status_code(),
            headers=self._headers,
            body=bytes(self._body),
            truncated=self._truncated,
        )

    def on_header(self, name: bytes, value: bytes) -> None:
        self._read_head += len(name) + len(value)
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        self._begun = self._parser.get_status_code() >= 200
        if not self._begun:
            self._headers.clear()

    def on_body(self, data: bytes) -> None:
        room = self._most - len(self._body)
        self._body += data[:room]
        if len(data) > room:
            self._truncated = self.complete = True

    def on_message_complete(self) -> None:
        self.complete = self.complete or self._begun
