"""One operation of the control API: a function, and where it stands over HTTP.

The HTTP API, its OpenAPI document and the command line are all made from these, so that they cannot disagree.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, TypeVar
from urllib.parse import quote, urlencode

from msgspec import Struct

from chittycan.chat import Json

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key

T = TypeVar("T")
CLIENT_SECONDS = 120.0  # a test of every provider takes its time
Access = Literal["key", "owner", "open"]  # whoever has a key; the owner's credential; anyone: the path ends in a key
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Place = Literal["path", "query", "header", "field", "body"]  # `field`: of the JSON body; `body`: all of it
# (network, caller, *, its own parameters) → a result that msgspec can encode
Function = Callable[Concatenate["Network", "Key | None", ...], Awaitable[T]]


class Operation(Generic[T]):
    """`path` stands below /api/v1. `access`: for whom it is; what changes or spends what is everybody's, for the owner.

    Parameters that `path` names go there, those of `headers` (parameter → header) into the headers. The others go
    into the query, or into the JSON body of POST, PUT and PATCH; where one parameter is the whole `body`, the others
    stay in the query. A result's property `etag` becomes its ETag. `seconds`: how long a client should be patient.
    `status`: the HTTP status of a good answer.
    """

    def __init__(
        self,
        method: Method,
        path: str,
        function: "Function[T]",
        *,
        access: Access = "key",
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = CLIENT_SECONDS,
        status: int = 200,
    ) -> None:
        self.seconds, self.status = seconds, status
        self.owner, self.open = access == "owner", access == "open"
        self.method, self.path, self.body = method, path, body
        self.headers: Mapping[str, str] = headers or {}
        self._function = function
        signature = inspect.signature(function)
        self.parameters = dict(list(signature.parameters.items())[2:])
        self.returns = signature.return_annotation
        self.name = f"{function.__module__.rpartition('.')[2]}_{function.__name__}"
        self.description = inspect.cleandoc(function.__doc__ or "")

    async def __call__(self, network: "Network", caller: "Key | None" = None, /, **given: Any) -> T:
        """`caller`: the virtual key that asks, None for the owner. Raises ChittyError."""
        return await self._function(network, caller, **given)

    def place_of(self, parameter: str) -> Place:
        """Where a parameter stands in a request."""
        if f"{{{parameter}}}" in self.path:
            return "path"
        if parameter in self.headers:
            return "header"
        if self.method not in ("POST", "PUT", "PATCH"):
            return "query"
        if self.body is None:
            return "field"
        return "body" if parameter == self.body else "query"

    def at(self, *places: Place) -> list[str]:
        """The parameters that stand in one of these places."""
        return [name for name in self.parameters if self.place_of(name) in places]

    def target(self, given: Mapping[str, Any]) -> "Target":
        """A request with these parameters; those that are None are left out."""
        path = self.path.format(**{name: quote(str(given[name]), safe="") for name in self.at("path")})
        given = {name: value for name, value in given.items() if value is not None}
        query = {name: given[name] for name in self.at("query") if name in given}
        words = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
        headers = {self.headers[name]: str(given[name]) for name in self.at("header") if name in given}
        fields = {name: given[name] for name in self.at("field") if name in given}
        body = given[self.body] if self.body is not None else fields if self.at("field") else None
        return Target(f"{path}?{urlencode(words, doseq=True)}" if words else path, headers, body)


class Target(Struct, frozen=True):
    """A request below /api/v1: its path with the query, its own headers, its JSON body."""

    path: str
    headers: Mapping[str, str]
    body: Json | None


def operation(
    method: Method,
    path: str,
    *,
    owner: bool = False,
    body: str | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = CLIENT_SECONDS,
    status: int = 200,
    open: bool = False,
) -> Callable[["Function[T]"], Operation[T]]:
    """Makes a function an operation."""
    access: Access = "owner" if owner else "open" if open else "key"
    return lambda function: Operation(
        method, path, function, access=access, body=body, headers=headers, seconds=seconds, status=status
    )


def owns(caller: "Key | None") -> bool:
    """Whether the caller sees everybody's data: the owner, and anybody while a server has no keys."""
    return caller is None or caller.admin


def reach(caller: "Key | None") -> str | None:
    """The id of the key whose data alone the caller sees; None where it sees everybody's."""
    return None if caller is None or caller.admin else caller.id


def usd(nano: int | None) -> float | None:
    """Nano-dollars as dollars."""
    return None if nano is None else nano / 1e9
