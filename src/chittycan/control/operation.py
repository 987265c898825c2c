"""One operation of the control API: a function, and where it stands over HTTP.

The HTTP API, its OpenAPI document and the command line are all made from these, so that they cannot disagree.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, TypeVar
from urllib.parse import quote, urlencode

from chittycan.chat import Json

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key

T = TypeVar("T")
Method = Literal["GET", "POST", "PUT", "DELETE"]
# (network, caller, *, its own parameters) → a result that msgspec can encode
Function = Callable[Concatenate["Network", "Key | None", ...], Awaitable[T]]


class Operation(Generic[T]):
    """`path` stands below /api/v1. `owner`: only for the owner's credential, because it changes or spends something.

    Parameters that `path` names go there; the others into the query, or into the JSON body of POST and PUT.
    """

    def __init__(self, method: Method, path: str, function: "Function[T]", *, owner: bool) -> None:
        self.method, self.path, self.owner = method, path, owner
        self._function = function
        signature = inspect.signature(function)
        self.parameters = dict(list(signature.parameters.items())[2:])
        self.returns = signature.return_annotation
        self.name = f"{function.__module__.rpartition('.')[2]}_{function.__name__}"
        self.description = inspect.cleandoc(function.__doc__ or "")

    async def __call__(self, network: "Network", caller: "Key | None" = None, /, **given: Any) -> T:
        """`caller`: the virtual key that asks, None for the owner. Raises ChittyError."""
        return await self._function(network, caller, **given)

    @property
    def has_body(self) -> bool:
        return self.method in ("POST", "PUT")

    def in_path(self, parameter: str) -> bool:
        return f"{{{parameter}}}" in self.path

    def target(self, given: Mapping[str, Any]) -> tuple[str, Json | None]:
        """The path with its query, and the body, of a request with these parameters."""
        path = self.path.format(**{name: quote(str(value), safe="") for name, value in given.items()})
        rest = {name: value for name, value in given.items() if not self.in_path(name) and value is not None}
        if self.has_body:
            return path, rest
        words = {name: str(value).lower() if isinstance(value, bool) else value for name, value in rest.items()}
        return (f"{path}?{urlencode(words, doseq=True)}" if words else path), None


def operation(method: Method, path: str, *, owner: bool = False) -> Callable[["Function[T]"], Operation[T]]:
    """Makes a function an operation."""
    return lambda function: Operation(method, path, function, owner=owner)


def owns(caller: "Key | None") -> bool:
    """Whether the caller sees everybody's data: the owner, and anybody while a server has no keys."""
    return caller is None or caller.admin


def usd(nano: int | None) -> float | None:
    """Nano-dollars as dollars."""
    return None if nano is None else nano / 1e9
