"""Paths with names in them (`/v1/files/{id}/content`), beside the hot path: who may come in, which handler, its errors.

A handler takes a `Visit` and returns what is sent as JSON, or None where it has answered by itself.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
from msgspec import Struct

from chittycan.api.guard import Guard
from chittycan.api.http import Responder
from chittycan.api.http_request import Request
from chittycan.api.request import read_body
from chittycan.api.status import body_of, headers_of
from chittycan.auth.keys import Key
from chittycan.chat import Json
from chittycan.clock import Clock
from chittycan.dialects.status import status_of
from chittycan.errors import ChittyError, InvalidRequest
from chittycan.gateway.options import allow_route
from chittycan.gateway.service import new_request_id
from chittycan.telemetry import Telemetry

JSON = (b"content-type", b"application/json")
NAME = re.compile(r"\{(\w+)\}")


# Who is told of an end, as a client wrote it (an address, or an object with `url`) → checked, or None where nobody is.
Webhook = Callable[[Any], dict[str, Any] | None]


class MethodNotAllowed(InvalidRequest):
    """`allow`: the methods that there are."""

    code = "method_not_allowed"

    def __init__(self, message: str, allow: str = "POST") -> None:
        super().__init__(message)
        self.allow = allow


class Visit(Struct, frozen=True, kw_only=True):
    """One request on its way to a handler. `names`: what stands in the path at the route's names."""

    request: Request
    responder: Responder
    key: Key | None
    names: dict[str, str]
    request_id: str
    surface: str

    @property
    def key_id(self) -> str | None:
        """Whose things it may see: those of this key; None is the owner, who sees all."""
        return None if self.key is None or self.key.admin else self.key.id

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.request.query.decode("latin-1"), keep_blank_values=True))

    @property
    def fields(self) -> Json:
        """The body as strict JSON, {} where there is none. Raises InvalidRequest."""
        return read_body(self.request.headers, self.request.body) if self.request.body else {}

    def header(self, name: bytes) -> str | None:
        value = self.request.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def json(self, status: int, content: Any) -> None:
        headers = [JSON, (b"x-chitty-request-id", self.request_id.encode())]
        self.responder.whole(status, headers, msgspec.json.encode(content))


Handler = Callable[[Visit], Awaitable[Any]]


class Route(Struct, frozen=True):
    """`allowed` is what a key's `routes` must name for it; `surface` shapes the errors."""

    method: str
    pattern: re.Pattern[str]
    handler: Handler
    surface: str
    allowed: str


class Routes:
    def __init__(self, guard: Guard, telemetry: Telemetry, clock: Clock) -> None:
        self._guard, self._telemetry, self._clock = guard, telemetry, clock
        self._routes: list[Route] = []

    def add(self, method: str, path: str, handler: Handler, *, surface: str = "openai", allowed: str) -> None:
        """`path` as "/v1/files/{id}": a name stands for one segment. Each must begin with /v1/."""
        pattern = re.compile(NAME.sub(r"(?P<\1>[^/]+)", path))
        self._routes.append(Route(method, pattern, handler, surface, allowed))

    def know(self, path: str) -> bool:
        return any(route.pattern.fullmatch(plain(path)) for route in self._routes)

    async def __call__(self, request: Request, responder: Responder) -> None:
        """Answers a request whose path is known."""
        path = plain(request.path)
        found = [(route, match) for route in self._routes if (match := route.pattern.fullmatch(path))]
        method = "GET" if request.method == "HEAD" else request.method
        route, match = next(((route, match) for route, match in found if route.method == method), found[0])
        request_id = new_request_id(self._clock)
        headers = [JSON, (b"x-chitty-request-id", request_id.encode())]
        try:
            if route.method != method:
                allow = ", ".join(sorted({each.method for each, _ in found}))
                raise MethodNotAllowed(f"{path[:200]} takes {allow}, not {request.method[:20]}.", allow)
            key = self._guard.admit(request.headers)
            allow_route(key, route.allowed)
            names = {name: unquote(value) for name, value in match.groupdict().items()}
            content = await route.handler(
                Visit(request=request, responder=responder, key=key, names=names, request_id=request_id,
                      surface=route.surface)
            )  # fmt: skip
            if content is not None:
                responder.whole(200, headers, msgspec.json.encode(content))
        except ChittyError as error:
            self._refuse(responder, route.surface, error, headers)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._telemetry.bug(error, request_id)
            bug = ChittyError("Something broke inside ChittyCan; its log says where.", code="internal_error")
            self._refuse(responder, route.surface, bug, headers)

    @staticmethod
    def _refuse(responder: Responder, surface: str, error: ChittyError, headers: list[tuple[bytes, bytes]]) -> None:
        """Where the answer has begun nothing can be said any more: the server cuts it."""
        if responder.started:
            return
        status, more = status_of(error), headers_of(error)
        if isinstance(error, MethodNotAllowed):
            status, more = 405, [(b"allow", error.allow.encode())]
        responder.whole(status, [*headers, *more], body_of(error, surface))


def plain(path: str) -> str:
    """Clients whose base URL has no /v1, or has it twice, mean the same routes."""
    path = path.rstrip("/")
    while path.startswith("/v1/v1/"):
        path = path[3:]
    return path if path.startswith("/v1/") else f"/v1{path}"
