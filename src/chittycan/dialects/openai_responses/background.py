"""Responses made while nobody waits: the object before its end, and a stream's events under numbers of our own.

Sources: the guide "Background mode" and the streaming events of the Responses API reference. A client knows such a
response by the id that it got at once, while each try at it has ids of its own; and a try that was interrupted has
shown events that no later one can take back. `Told` makes one row of events out of all tries.
"""

from typing import Any

import msgspec
from msgspec import Struct, field

from chittycan.chat import ChatRequest, Json
from chittycan.dialects.openai_responses.errors import IN_STREAM_CODES
from chittycan.dialects.openai_responses.response import skeleton
from chittycan.dialects.sse import Splitter

# `response.created` and `response.queued` come before all that a model says.
FIRST = 2
BEFORE = ("response.created", "response.queued", "response.in_progress")
ENDINGS = ("response.completed", "response.incomplete", "response.failed")
# What a message of plain text is made of, besides its deltas.
PLAIN = (
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
)
TEXT_DELTA = "response.output_text.delta"
KEPT = ("id", "created_at", "background", "store", "previous_response_id")  # ours, whatever the provider says


def begun(given: str, created: int, request: ChatRequest, previous: str | None = None) -> Json:
    """The response as it stands in the queue. `created`: Unix seconds."""
    own: Json = {"status": "queued", "background": True, "store": True, "previous_response_id": previous}
    return skeleton(given, request.model, created, request) | own


def ended(own: Json, answer: Json) -> Json:
    """A model's whole answer as the response that `begun` announced."""
    return answer | {name: own[name] for name in KEPT}


def failed(own: Json, code: str, message: str) -> Json:
    """`code` is a word of ours; `response.error.code` is from the API's own list, ours is beside it."""
    word = "invalid_prompt" if code == "invalid_request" else code if code in IN_STREAM_CODES else "server_error"
    return own | {"status": "failed", "error": {"code": word, "message": message, "type": code}}


def lifecycle(kind: str, number: int, response: Json) -> bytes:
    """An event that carries the whole response: its JSON."""
    return msgspec.json.encode({"type": kind, "response": response, "sequence_number": number})


def opening(own: Json) -> list[bytes]:
    """The events before `FIRST`."""
    return [lifecycle(kind, number, own | {"status": "queued"}) for number, kind in enumerate(BEFORE[:FIRST])]


def framed(event: bytes) -> bytes:
    """The JSON of an event as it goes over the wire."""
    kind = msgspec.json.decode(event, type=_Kind).type
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), event)


class _Kind(Struct):
    type: str


class Item(Struct):
    """An output item as far as it was shown. Pieces are joined at the end: adding to a string copies it."""

    announced: Json
    content: dict[int, list[str]] = field(default_factory=dict)  # pieces of text by content index
    arguments: list[str] = field(default_factory=list)
    closed: bool = False

    def interrupted(self) -> Json:
        """The item as it is left: what was shown of it, and that no more comes."""
        left = self.announced | {"status": "incomplete"}
        if left.get("type") == "message":
            texts = map("".join, self.content.values())
            return left | {"content": [{"type": "output_text", "text": text, "annotations": []} for text in texts]}
        return left | {"arguments": "".join(self.arguments)} if left.get("type") == "function_call" else left


class Shown:
    """What the followers of a response have seen, or may have."""

    def __init__(self) -> None:
        self.next = FIRST  # number of the event that comes next
        self.in_progress = False
        self.items: dict[int, Item] = {}  # by output index
        self.plain = True  # nothing was shown but one message of text
        self.kinds: set[str] = set()

    def note(self, event: Json) -> None:
        kind = event["type"]
        self.next = event["sequence_number"] + 1
        if kind in BEFORE:
            self.in_progress = True
            return
        index = event.get("output_index", 0)
        self._judge(kind, index, event)
        if kind == "response.output_item.added":
            self.items[index] = Item(event.get("item") or {})
        item = self.items.get(index)
        if item is None:
            return
        if kind == TEXT_DELTA:
            item.content.setdefault(event.get("content_index", 0), []).append(event["delta"])
        elif kind == "response.function_call_arguments.delta":
            item.arguments.append(event["delta"])
        elif kind == "response.output_item.done":
            item.closed = True

    @property
    def text(self) -> str:
        """Of its first message."""
        return "".join(self.items[0].content.get(0, ())) if 0 in self.items else ""

    def _judge(self, kind: str, index: int, event: Json) -> None:
        """Whether another try can still go on where this one stopped."""
        same = index == 0 and event.get("content_index", 0) == 0 and kind in (*PLAIN, TEXT_DELTA)
        if not same or kind in self.kinds or not _of_text(event):
            self.plain = False
        if kind != TEXT_DELTA:
            self.kinds.add(kind)


def _of_text(event: Json) -> bool:
    item, part = event.get("item", {}), event.get("part", {})
    return bool(item.get("type", "message") == "message" and part.get("type", "output_text") == "output_text")


class Told:
    """The events of one try as the followers get them, after those of the tries before it (`shown`: their JSON).

    While the new answer begins as the old one did nothing is said twice. Where it differs, the items of the old
    one are closed as incomplete and the new ones follow behind them; the answer in the end is the new one alone.
    """

    def __init__(self, own: Json, shown: list[bytes]) -> None:
        self._own = own
        self._seen = Shown()
        for each in shown:
            self._seen.note(msgspec.json.decode(each))
        self._old = self._seen.text
        self._splitter = Splitter()
        self._shift = 0  # output items that were given up
        self._names: dict[str, str] = {}  # ids of items: this try's → those that the followers know
        self._held: list[Json] | None = [] if self._seen.items else None  # while it may still be the old answer
        self._again = ""  # what this try has said of the old answer
        self._skipped: frozenset[str] = frozenset()  # of the first item, shown before
        self.answer: Json | None = None  # the response that the stream ended with

    @property
    def last(self) -> int:
        """The number of the last event."""
        return self._seen.next - 1

    def take(self, data: bytes) -> list[bytes]:
        """What `data` (of the stream of this try) adds: the JSON of events."""
        told: list[bytes] = []
        for event in self._splitter.feed(data):
            if event.data.startswith("{"):  # some servers end with [DONE], which the API does not know
                said = msgspec.json.decode(event.data)
                self._take(said if "type" in said else said | {"type": event.event}, told)
        return told

    def _take(self, event: Json, told: list[bytes]) -> None:
        kind = event["type"]
        if kind in ENDINGS:
            if kind != "response.failed":
                if self._held is not None:
                    self._decide(event, told)
                self._close(told)
            self.answer = self._ended(event["response"])
        elif kind in BEFORE:
            if not self._seen.in_progress:
                model = event["response"].get("model") or self._own["model"]
                response = self._own | {"status": "in_progress", "model": model}
                self._say({"type": "response.in_progress", "response": response}, told)
        elif self._held is not None:
            self._decide(event, told)
        else:
            self._pass_on(event, told)

    def _decide(self, event: Json, told: list[bytes]) -> None:
        """Is it the old answer again? Until that is known its events are held."""
        assert self._held is not None
        kind, seen = event["type"], self._seen
        self._held.append(event)
        whole = len(self._again) == len(self._old)
        if seen.plain and kind == TEXT_DELTA and event.get("output_index") == 0 and not event.get("content_index"):
            text = self._again + event["delta"]
            if self._old.startswith(text):
                self._again = text
                return
            if text.startswith(self._old) and "response.output_text.done" not in seen.kinds:
                self._go_on(told, event | {"delta": text[len(self._old) :]})
                return
        elif seen.plain and kind in PLAIN and not event.get("output_index") and _of_text(event):
            if kind in PLAIN[:2]:
                return
            if whole:
                self._go_on(told, event)
                return
        elif seen.plain and whole and kind in ENDINGS:
            self._go_on(told)
            return
        self._start_over(told)

    def _go_on(self, told: list[bytes], event: Json | None = None) -> None:
        """The old answer goes on with `event`."""
        held, self._held = self._held or [], None
        self._skipped = frozenset(self._seen.kinds)
        shown = self._seen.items[0].announced.get("id")
        for each in held[:-1]:
            own = each.get("item_id") or each.get("item", {}).get("id")
            if own and shown:
                self._names[own] = shown
            if each["type"] in PLAIN:
                self._pass_on(each, told)
        if event is not None:
            self._pass_on(event, told)

    def _start_over(self, told: list[bytes]) -> None:
        held, self._held = self._held or [], None
        self._shift = max(self._seen.items) + 1
        self._close(told)
        for each in held:
            if each["type"] not in ENDINGS:
                self._pass_on(each, told)

    def _close(self, told: list[bytes]) -> None:
        """No more comes of the items that were shown: a client takes no end before it knows so."""
        for index, item in sorted(self._seen.items.items()):
            if not item.closed:
                done = {"type": "response.output_item.done", "output_index": index, "item": item.interrupted()}
                self._say(done, told)

    def _pass_on(self, event: Json, told: list[bytes]) -> None:
        if self._skipped and event.get("output_index") == 0 and event["type"] in self._skipped:
            return
        if "output_index" in event:
            event = event | {"output_index": event["output_index"] + self._shift}
        if self._names:
            event = self._renamed(event)
        self._say(event, told)

    def _renamed(self, event: Json) -> Json:
        known: Any = self._names.get(event.get("item_id", ""))
        if known is not None:
            event = event | {"item_id": known}
        item = event.get("item")
        if isinstance(item, dict) and item.get("id") in self._names:
            event = event | {"item": item | {"id": self._names[item["id"]]}}
        return event

    def _say(self, event: Json, told: list[bytes]) -> None:
        event = event | {"sequence_number": self._seen.next}
        self._seen.note(event)
        told.append(msgspec.json.encode(event))

    def _ended(self, response: Json) -> Json:
        output = [
            item | {"id": self._names[item["id"]]} if item.get("id") in self._names else item
            for item in response.get("output") or []
        ]
        return ended(self._own, response | {"output": output})
