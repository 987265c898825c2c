"""The control API: every operation of `control.table` below /api/v1, and the document that describes all of HTTP.

Answers are JSON; errors are `{"error": {message, type, param, code, fix}}`. Reading is for whoever the server
admits (a virtual key sees its own work only); what changes or spends something is for the owner's credential.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Annotated, Any

import msgspec
from fastapi import Body, Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.exceptions import HTTPException

from chittycan import __version__
from chittycan.api.guard import Guard
from chittycan.api.inference import ROUTES
from chittycan.api.request import read_body
from chittycan.api.status import headers_of
from chittycan.app import Network
from chittycan.auth.keys import Key
from chittycan.control.operation import Operation
from chittycan.control.table import OPERATIONS
from chittycan.dialects import load
from chittycan.dialects.status import status_of
from chittycan.errors import ChittyError, Forbidden, InvalidRequest, NotFound, Unauthenticated

PREFIX = "/api/v1"
CALLER = "chittycan.caller"  # where the admitted key stands in the ASGI scope
# Where nobody has to show a key: what follows is one.
OPEN = tuple(PREFIX + each.path.partition("{")[0] for each in OPERATIONS if each.open)
OURS = "_"  # ends the names of fields in Python: some, such as `json`, are those of Pydantic's own methods
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

# What stands at each path of the inference API, for people who read the document.
SURFACES = {
    "/v1/chat/completions": "OpenAI Chat Completions, for any model",
    "/v1/completions": "OpenAI's legacy completions",
    "/v1/responses": "OpenAI Responses, for any model",
    "/v1/messages": "Anthropic Messages, for any model",
    "/v1/messages/count_tokens": "Anthropic's token count, estimated",
    "/v1/embeddings": "OpenAI embeddings",
}


def control_app(network: Network) -> Application:
    """The ASGI application. It admits before it reads anything else of a request."""
    guard, inner = Guard(network.keys), described(network)

    async def admitted(scope: Message, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        try:
            scope[CALLER] = None if scope["path"].startswith(OPEN) else guard.admit(headers)
            message = await receive()
            if message.get("body"):
                read_body(headers, message["body"])  # strict: no duplicate keys, no NaN, no endless nesting
        except ChittyError as error:
            await _refusal(error)(scope, receive, send)
            return
        waiting = [message]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        plain = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
        scope["headers"] = [*plain, (b"content-type", b"application/json")]  # whatever curl says: all is JSON here
        await inner(scope, replay, send)

    return admitted


def document() -> dict[str, Any]:
    """The OpenAPI document of the whole HTTP API, without a server."""
    return described(None).openapi()


def described(network: Network | None) -> FastAPI:
    """Every operation as a route; without a network only good for its document."""
    # No /docs page: FastAPI's loads its scripts from other people's servers.
    app = FastAPI(title="ChittyCan", version=__version__, docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    for operation in OPERATIONS:
        app.add_api_route(
            PREFIX + operation.path, _endpoint(operation, network), methods=[operation.method], name=operation.name,
            operation_id=operation.name, summary=operation.description.partition("\n")[0].rstrip("."),
            dependencies=[Depends(_only_the_owner)] if operation.owner else [],
            description=operation.description, response_model=None, tags=[operation.path.split("/")[1]],
        )  # fmt: skip
    app.add_exception_handler(ChittyError, lambda _, error: _refusal(error))
    app.add_exception_handler(RequestValidationError, lambda _, error: _refusal(_invalid(error)))
    app.add_exception_handler(HTTPException, lambda request, error: _refusal(_missing(request), error.status_code))
    build = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(build())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


async def _only_the_owner(request: Request) -> None:
    """Asked before anything else of a request is looked at. Raises Unauthenticated or Forbidden."""
    caller: Key | None = request.scope[CALLER]
    if caller is None or not caller.admin:
        raise _owner_only(caller)


def _endpoint(operation: Operation[Any], network: Network | None) -> Callable[..., Awaitable[Response]]:
    """A function whose signature FastAPI reads, made from the operation's own."""
    fields = operation.at("field")
    body = _fields(operation, fields) if fields else None

    async def endpoint(request: Request, **given: Any) -> Response:
        assert network is not None
        caller: Key | None = request.scope[CALLER]
        sent: BaseModel | None = given.pop("fields", None)
        if sent is not None:
            given |= {name.removesuffix(OURS): getattr(sent, name) for name in sent.model_fields_set}
        try:
            result = await operation(network, caller, **given)
        except ChittyError:
            raise
        except Exception as error:
            network.telemetry.bug(error, operation.name)
            raise ChittyError("Something broke inside ChittyCan; its log says where.", code="internal_error") from error
        return _answer(request, result, operation.status)

    parameters = [inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Request)]
    parameters += [_parameter(operation, each) for each in operation.parameters.values() if each.name not in fields]
    if body is not None:
        needed = any(field.is_required() for field in body.model_fields.values())
        kind, default = (body, inspect.Parameter.empty) if needed else (body | None, None)
        parameters.append(_keyword("fields", Annotated[kind, Body()], default))
    endpoint.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    endpoint.__doc__ = None
    return endpoint


def _answer(request: Request, result: Any, status: int) -> Response:
    """A result with an `etag` is not sent again to a reader who knows it."""
    if result is None:
        return Response(status_code=204)
    headers = {}
    if (tag := getattr(result, "etag", None)) is not None:
        headers["etag"] = tag
        known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
        if request.method == "GET" and (tag in known or "*" in known):
            return Response(status_code=304, headers=headers)
    return Response(msgspec.json.encode(result), status, headers, media_type="application/json")


def _parameter(operation: Operation[Any], given: inspect.Parameter) -> inspect.Parameter:
    kinds: dict[str, Any] = {"path": Path(), "query": Query(), "body": Body()}
    place = operation.place_of(given.name)
    kind = Header(alias=operation.headers[given.name]) if place == "header" else kinds[place]
    return _keyword(given.name, Annotated[given.annotation, kind], given.default)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _fields(operation: Operation[Any], names: Iterable[str]) -> type[BaseModel]:
    """The JSON object that carries an operation's parameters; an unknown key is an error, not a typo ignored."""
    given = {name: operation.parameters[name] for name in names}
    fields: dict[str, Any] = {
        name + OURS: (
            each.annotation,
            Field(... if each.default is inspect.Parameter.empty else each.default, alias=name),
        )
        for name, each in given.items()
    }
    name = "".join(word.capitalize() for word in operation.name.split("_"))
    return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)


# errors


def _refusal(error: ChittyError, status: int | None = None) -> Response:
    status = status or status_of(error)
    body: dict[str, Any] = load("openai").build_error(error, status)
    body["error"] |= {"message": error.message, "fix": error.fix}
    headers = {name.decode(): value.decode() for name, value in headers_of(error)}
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


def _owner_only(caller: Key | None) -> ChittyError:
    fix = "Run `can` on the server's own machine, or send the credential in its file admin.key as the Bearer."
    if caller is None:
        return Unauthenticated("Only the owner's credential may do that.", fix=fix)
    return Forbidden(f"The key '{caller.name}' may not do that; only the owner's credential may.", fix=fix)


def _invalid(error: RequestValidationError) -> InvalidRequest:
    """The first thing that is wrong, named as the caller wrote it."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:]) or "body"
    known = "unknown field" if first["type"] == "extra_forbidden" else str(first["msg"]).lower()
    return InvalidRequest(f"`{place}`: {known}.", param=place, fix="GET /openapi.json says what it takes.")


def _missing(request: Any) -> NotFound:
    path = request.url.path[:200]
    return NotFound(f"There is nothing at {request.method} {path}.", fix="GET /openapi.json lists what there is.")


# the document


def _completed(built: dict[str, Any]) -> dict[str, Any]:
    """FastAPI's document with our results, our error, and the inference API, whose shapes are the vendors' own."""
    types = [operation.returns for operation in OPERATIONS if operation.returns is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    found = built.setdefault("components", {}).setdefault("schemas", {})
    for gone in ("HTTPValidationError", "ValidationError"):
        found.pop(gone, None)
    found |= components | {"Error": _ERROR}
    results = iter(schemas)
    for operation in OPERATIONS:
        entry = built["paths"][PREFIX + operation.path][operation.method.lower()]
        good = "204" if operation.returns is None else str(operation.status)
        content = {} if operation.returns is None else {"content": _json(next(results))}
        entry["responses"] = {good: {"description": "Done", **content}, "default": _FAILED}
        entry["security"] = [] if operation.open else [{"key": []}] if operation.owner else [{"key": []}, {}]
    built["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return built | {"paths": _inference() | built["paths"]}


_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code"],
            "properties": {
                "message": {"type": "string"}, "type": {"type": "string"}, "code": {"type": ["string", "null"]},
                "param": {"type": ["string", "null"]}, "fix": {"type": ["string", "null"]},
                "attempts": {"type": "array", "items": {"type": "object"}},
            },
        }
    },
}  # fmt: skip


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


_FAILED = {"description": "An error", "content": _json({"$ref": "#/components/schemas/Error"})}


def _inference() -> dict[str, Any]:
    anything: dict[str, Any] = {"type": "object", "additionalProperties": True}
    paths: dict[str, Any] = {
        path: {
            "post": {
                "summary": summary, "operationId": path.strip("/").replace("/", "_"), "tags": ["inference"],
                "description": f"Body and answer are those of the {ROUTES[path][0]} dialect.",
                "requestBody": {"required": True, "content": _json(anything)},
                "responses": {"200": {"description": "The answer", "content": _json(anything)}, "default": _FAILED},
                "security": [{"key": []}, {}],
            }
        }
        for path, summary in SURFACES.items()
    }  # fmt: skip
    for path, summary in (("/v1/models", "Every model that may be called"), ("/health", "Is the server up?"),
                          ("/ready", "Can it serve?"), ("/metrics", "Prometheus metrics")):  # fmt: skip
        content = {"text/plain": {"schema": {"type": "string"}}} if path == "/metrics" else _json(anything)
        entry = {"summary": summary, "operationId": path.strip("/").replace("/", "_"), "tags": ["inference"],
                 "responses": {"200": {"description": "Yes", "content": content}}}  # fmt: skip
        paths[path] = {"get": entry}
    return paths
