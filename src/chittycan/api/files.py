"""`/v1/files`: what clients upload, and what batches leave behind, in OpenAI's shapes.

Source: https://platform.openai.com/docs/api-reference/files. An upload goes into the database as it comes.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from chittycan.api.http_request import Request
from chittycan.api.multipart import Data, End, Event, Form, Part, boundary_of
from chittycan.api.routes import Routes, Visit
from chittycan.clock import Clock
from chittycan.errors import InvalidRequest
from chittycan.workstreams.batches import Batches
from chittycan.workstreams.files import File, Files, Writer

FILE_BYTES = 512 << 20  # OpenAI's own limit
FORM_BYTES = 1 << 20  # what a form may have besides its file
PATHS = (b"/v1/files", b"/files", b"/v1/v1/files")
PURPOSES = ("assistants", "batch", "evals", "fine-tune", "user_data", "vision")
MOST_LISTED = 10_000
FIELD_BYTES = 10_000  # of a form's field that is no file
KEPT_SECONDS = {"batch": 30 * 86_400.0}  # where the client does not say; others are kept until they are deleted
SHORTEST, LONGEST = 3600, 30 * 86_400  # seconds that a client may ask for


class FileRoutes:
    def __init__(self, files: Files, batches: Batches, clock: Clock) -> None:
        self._files, self._batches, self._clock = files, batches, clock

    def add_to(self, routes: Routes) -> None:
        for method, path, handler in (
            ("POST", "/v1/files", self.create),
            ("GET", "/v1/files", self.list),
            ("GET", "/v1/files/{id}", self.retrieve),
            ("DELETE", "/v1/files/{id}", self.delete),
            ("GET", "/v1/files/{id}/content", self.content),
        ):
            routes.add(method, path, handler, allowed="files")

    async def create(self, visit: Visit) -> Any:
        incoming = Incoming(self._files, visit)
        try:
            async for data in body_of(visit.request):
                for event in incoming.form.feed(data):
                    await incoming.take(event)
            incoming.form.end()
            return shown(await incoming.file(self._clock.now()))
        except BaseException:
            await incoming.abandon()
            raise

    async def list(self, visit: Visit) -> Any:
        query = visit.query
        order = query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise InvalidRequest("`order` must be asc or desc.", param="order")
        found, more = await self._files.list(
            purpose=query.get("purpose"), after=query.get("after"), ascending=order == "asc",
            limit=limit_of(query, MOST_LISTED, MOST_LISTED), for_key=visit.key_id,
        )  # fmt: skip
        return page([shown(file) for file in found], more)

    async def retrieve(self, visit: Visit) -> Any:
        return shown(await self._files.get(visit.names["id"], for_key=visit.key_id))

    async def delete(self, visit: Visit) -> Any:
        file = await self._files.get(visit.names["id"], for_key=visit.key_id)
        user = await self._batches.users(file.id)
        if user is not None:
            raise InvalidRequest(f"{file.id} is read by {user}, which has not ended.", param="id")
        await self._files.delete(file.id)
        return {"id": file.id, "object": "file", "deleted": True}

    async def content(self, visit: Visit) -> None:
        file = await self._files.get(visit.names["id"], for_key=visit.key_id)
        await send(visit, self._files, file, b"application/octet-stream")


class Incoming:
    """A form on its way in. Its fields may come before or after the file."""

    def __init__(self, files: Files, visit: Visit) -> None:
        self.form = Form(boundary_of(visit.header(b"content-type") or ""))
        self._files, self._key_id = files, visit.key_id
        self._fields: dict[str, bytes] = {}
        self._writer: Writer | None = None
        self._part: Part | None = None

    async def take(self, event: Event) -> None:
        """Raises InvalidRequest."""
        match event:
            case Part(name="file"):
                if self._writer is not None:
                    raise InvalidRequest("The form has more than one `file`.", param="file")
                self._part = event
                self._writer = await self._files.write((event.filename or "upload")[:500], self._key_id)
            case Part():
                self._part = event
                self._fields[event.name] = b""
            case Data() if self._part is not None and self._part.name == "file":
                assert self._writer is not None
                await self._writer.add(event.data)
            case Data() if self._part is not None:
                held = self._fields[self._part.name] + event.data
                if len(held) > FIELD_BYTES:
                    raise InvalidRequest("This field is too long.", param=self._part.name)
                self._fields[self._part.name] = held
            case End():
                self._part = None

    async def file(self, now: float) -> File:
        """Raises InvalidRequest where something is missing or wrong."""
        purpose = self._text("purpose")
        if purpose not in PURPOSES:
            raise InvalidRequest(f"`purpose` must be one of {', '.join(PURPOSES)}.", param="purpose")
        if self._writer is None:
            raise InvalidRequest("The form has no `file`.", param="file")
        kept = KEPT_SECONDS.get(purpose)
        anchor, seconds = self._text("expires_after[anchor]"), self._text("expires_after[seconds]")
        if anchor is not None or seconds is not None:
            kept = expiry({"anchor": anchor, "seconds": int(seconds) if seconds and seconds.isdecimal() else None})
        return await self._writer.finish(purpose, None if kept is None else now + kept)

    async def abandon(self) -> None:
        if self._writer is not None:
            await self._writer.abandon()

    def _text(self, name: str) -> str | None:
        value = self._fields.get(name)
        return None if value is None else value.decode("utf-8", "replace").strip()


def expiry(given: Any, param: str = "expires_after") -> float:
    """Seconds, of `{"anchor": "created_at", "seconds": …}`. Raises InvalidRequest."""
    seconds = given.get("seconds") if isinstance(given, dict) and given.get("anchor") == "created_at" else None
    if type(seconds) is not int or not SHORTEST <= seconds <= LONGEST:
        fix = f'Send {{"anchor": "created_at", "seconds": n}} with n from {SHORTEST} to {LONGEST}.'
        raise InvalidRequest(f"`{param}` makes no sense.", param=param, fix=fix)
    return float(seconds)


async def body_of(request: Request) -> AsyncIterator[bytes]:
    """As it comes, where it does."""
    if request.upload is None:
        yield request.body
        return
    async for data in request.upload:
        yield data


async def send(visit: Visit, files: Files, file: File, kind: bytes) -> None:
    """Its bytes as the answer."""
    headers = [(b"content-type", kind), (b"content-length", b"%d" % file.size), (b"x-content-type-options", b"nosniff"),
               (b"x-chitty-request-id", visit.request_id.encode())]  # fmt: skip
    visit.responder.start(200, headers, length=True)
    async with aclosing(files.stream(file.id)) as pieces:
        async for piece in pieces:
            await visit.responder.chunk(piece)
    visit.responder.end()


def limit_of(query: dict[str, str], otherwise: int, most: int) -> int:
    """Raises InvalidRequest."""
    given = query.get("limit", str(otherwise))
    if not given.isdecimal() or not 1 <= int(given) <= most:
        raise InvalidRequest(f"`limit` must be a number from 1 to {most}.", param="limit")
    return int(given)


def page(data: list[dict[str, Any]], more: bool) -> dict[str, Any]:
    """A list as OpenAI and Anthropic shape it."""
    ends = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": data, "first_id": ends[0], "last_id": ends[1], "has_more": more}


def shown(file: File) -> dict[str, Any]:
    return {
        "id": file.id, "object": "file", "bytes": file.size, "created_at": int(file.created),
        "expires_at": None if file.expires is None else int(file.expires), "filename": file.name,
        "purpose": file.purpose, "status": "processed", "status_details": None,
    }  # fmt: skip
