"""Background responses at the front door: created at once, then looked at, followed, cancelled and deleted by id.

Sources: the guide "Background mode", and the Responses API reference. A stream that was left goes on after the
event whose `sequence_number` the client names (`starting_after`), in whichever process it asks.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import msgspec

from chittycan.api.http import Lines
from chittycan.api.inference import KEEPALIVE, STREAMING, Exchange
from chittycan.api.routes import Routes, Visit, Webhook
from chittycan.auth.keys import Key
from chittycan.chat import Json
from chittycan.clock import Clock
from chittycan.dialects.openai_responses import background as wire
from chittycan.dialects.openai_responses import stored_items
from chittycan.errors import InvalidRequest, NotFound, Unavailable
from chittycan.gateway.call import Call
from chittycan.gateway.service import Gateway
from chittycan.workstreams.responses import News, Responses, new_response_id
from chittycan.workstreams.task import Task

SURFACE = "openai_responses"
ENTRY = "/v1/responses/{response_id}"
QUIET_SECONDS = 10.0  # after which a follower is told that its connection lives
MOST_ITEMS = 100
RETRIES = 3  # where an answer breaks off; that no model can answer now is none

# What a task's status is called here; of one that is done, the answer says whether it is complete.
STATUS = {"running": "in_progress", "done": "completed", "failed": "failed", "cancelled": "cancelled"}


class Background:
    def __init__(self, responses: Responses, gateway: Gateway, clock: Clock, webhook: Webhook) -> None:
        self._responses, self._gateway, self._clock, self._webhook = responses, gateway, clock, webhook

    def add_to(self, routes: Routes) -> None:
        for method, path, handler in (
            ("GET", ENTRY, self.retrieve),
            ("DELETE", ENTRY, self.delete),
            ("POST", f"{ENTRY}/cancel", self.cancel),
            ("GET", f"{ENTRY}/input_items", self.input_items),
        ):
            routes.add(method, path, handler, surface=SURFACE, allowed=SURFACE)

    # POST /v1/responses

    async def __call__(self, call: Call, exchange: Exchange) -> bool:
        """Answers a call that is to be made in the background; others get the conversation that they go on from."""
        background, previous = call.fields.get("background"), call.fields.get("previous_response_id")
        if background is not None and not isinstance(background, bool):
            raise InvalidRequest("`background` must be true or false.", param="background")
        if isinstance(previous, str):
            await self._resolve(call, previous)
        if not background:
            return False
        task = await self._create(call, previous)
        if not call.stream:
            exchange.json(200, msgspec.json.encode(view(task)))
            return True
        exchange.start_stream(None)
        async with aclosing(self.told(task, -1, task.key_id)) as chunks:
            async for chunk in chunks:
                await exchange.responder.chunk(chunk)
        exchange.end()
        return True

    async def _create(self, call: Call, previous: str | None) -> Task:
        """Stores the request for the next free worker. Raises what the call itself would be refused for."""
        if call.fields.get("store") is False:
            fix = "Leave out `store`, or wait for the answer without `background`."
            raise InvalidRequest("A background response is kept, so `store` cannot be false.", param="store", fix=fix)
        with suppress(Unavailable):  # which may have passed until a worker takes it up
            await self._gateway.privacy.look(call)
            self._gateway.decide(call)
        given, now = new_response_id(), self._clock.now()
        body = {name: value for name, value in call.fields.items() if name not in ("background", "chitty")}
        spec = {"body": body, "response": wire.begun(given, int(now), call.chat, previous), "forward": call.forward,
                "keep_answering": call.keep_answering}  # fmt: skip
        options = {
            name: value
            for name, value in msgspec.to_builtins(call.options).items()
            if value not in (None, False, [], ()) and name not in ("kind", "session", "task")
        }
        task = Task(
            id=given, type="response", kind=call.options.kind, session=call.options.session, model=call.model,
            key_id=_reach(call.key), spec=spec, options=options, retries=RETRIES, webhook=self._webhook(call.webhook),
        )  # fmt: skip
        return await self._responses.create(task)

    async def _resolve(self, call: Call, previous: str) -> None:
        """Puts the conversation that `previous` stands for into the call, where that one is kept here.

        What is not may be known to the provider. Raises InvalidRequest where it has no answer yet, or none at all.
        """
        try:
            task = await self._responses.find(previous, for_key=_reach(call.key))
        except Unavailable:  # no reason to refuse what a provider may well answer
            return
        if task is None:
            return
        if task.result is None:
            raise InvalidRequest(
                f"The previous response '{previous}' is {view(task)['status']}, and has no answer to go on from.",
                param="previous_response_id",
            )  # fmt: skip
        before = stored_items(task.spec["body"], task.result["response"])
        own = stored_items(call.fields, {})
        call.fields = call.fields | {"input": [*before, *own]}
        del call.fields["previous_response_id"]
        call.body, call.parsed = msgspec.json.encode(call.fields), None
        if task.private and not call.options.private:  # and so is all that follows from it
            call.options = msgspec.structs.replace(call.options, private=True)

    # /v1/responses/{response_id}

    async def retrieve(self, visit: Visit) -> Json | None:
        query = visit.query
        task = await self._responses.get(visit.names["response_id"], for_key=visit.key_id)
        if query.get("stream") != "true":
            return view(task)
        if not task.spec["body"].get("stream"):
            fix = "Create it with `stream` true, or ask for it without."
            raise InvalidRequest("This response was not created as a stream.", param="stream", fix=fix)
        own = b"x-chitty-request-id: %b\r\n" % visit.request_id.encode()
        visit.responder.start(200, Lines((own, STREAMING)))
        async with aclosing(self.told(task, _after(query), visit.key_id)) as chunks:
            async for chunk in chunks:
                await visit.responder.chunk(chunk)
        visit.responder.end()
        return None

    async def cancel(self, visit: Visit) -> Json:
        return view(await self._responses.cancel(visit.names["response_id"], for_key=visit.key_id))

    async def delete(self, visit: Visit) -> Json:
        given = visit.names["response_id"]
        await self._responses.delete(given, for_key=visit.key_id)
        return {"id": given, "object": "response", "deleted": True}

    async def input_items(self, visit: Visit) -> Json:
        """What the response was asked, the newest item first unless `order` is "asc"."""
        query = visit.query
        task = await self._responses.get(visit.names["response_id"], for_key=visit.key_id)
        items = [_item(item, task.id, place) for place, item in enumerate(stored_items(task.spec["body"], {}))]
        if query.get("order") != "asc":
            items.reverse()
        ids = [item["id"] for item in items]
        if "after" in query:
            start = ids.index(query["after"]) + 1 if query["after"] in ids else len(ids)
            items, ids = items[start:], ids[start:]
        limit = query.get("limit", "20")
        if not limit.isdecimal() or not 1 <= int(limit) <= MOST_ITEMS:
            raise InvalidRequest(f"`limit` must be a number from 1 to {MOST_ITEMS}.", param="limit")
        page = items[: int(limit)]
        return {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(items) > len(page),
        }

    async def told(self, task: Task, after: int, for_key: str | None) -> AsyncGenerator[bytes]:
        """The stream of a response behind the event `after` (-1: all of it), to its end."""
        own = task.spec["response"]
        opening = wire.opening(own)[after + 1 :]
        if opening:
            yield b"".join(map(wire.framed, opening))
        heard = self._clock.monotonic()
        try:
            async with aclosing(self._responses.follow(task.id, after, for_key=for_key)) as looks:
                async for news in looks:
                    chunk = b"".join(map(wire.framed, news.events)) + _ending(news, after)
                    now = self._clock.monotonic()
                    if not chunk and now - heard >= QUIET_SECONDS:
                        chunk = KEEPALIVE
                    if chunk:
                        heard = now
                        yield chunk
        except NotFound:  # deleted while somebody followed
            return


def view(task: Task) -> Json:
    """The response as it is now."""
    own: Json = task.spec["response"]
    if task.result is not None:
        answer: Json = task.result["response"]
        done = answer.get("status") == "completed" and task.ended is not None
        return answer | ({"completed_at": int(task.ended or 0)} if done else {})
    if task.status == "failed":
        error = task.error or {}
        words = [error.get("message", "The response failed."), error.get("fix")]
        return wire.failed(own, error.get("code", "error"), " ".join(word for word in words if word))
    return own | {"status": STATUS.get(task.status, "queued")}


def _ending(news: News, after: int) -> bytes:
    """The event that tells the end, where it has come; nothing for what was cancelled (the API has no such event)."""
    if news.ended is None:
        return b""
    number = max(news.last, wire.FIRST - 1) + 1
    response = view(news.ended)
    kind = f"response.{response['status']}"
    return wire.framed(wire.lifecycle(kind, number, response)) if kind in wire.ENDINGS and number > after else b""


def _after(query: dict[str, str]) -> int:
    given = query.get("starting_after")
    if given is None:
        return -1
    if not given.isdecimal() or len(given) > 9:
        raise InvalidRequest("`starting_after` must be the `sequence_number` of an event.", param="starting_after")
    return int(given)


def _item(item: Any, response: str, place: int) -> Json:
    """An input item as it is listed: with an id, and its content in parts."""
    if not isinstance(item, dict):
        return {"id": f"item_{response}_{place}"}
    listed: Json = {"id": f"item_{response.removeprefix('resp_')}_{place}", "type": "message"} | item
    if listed["type"] == "message" and isinstance(listed.get("content"), str):
        kind = "output_text" if listed.get("role") == "assistant" else "input_text"
        listed["content"] = [{"type": kind, "text": listed["content"]}]
    return listed


def _reach(key: Key | None) -> str | None:
    return None if key is None or key.admin else key.id
