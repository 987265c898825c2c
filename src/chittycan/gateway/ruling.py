"""The owner's rules over calls: what a rule says of a request holds before anyone is asked.

`private` and `region` hold for any call; `model` only where the caller left the choice (`auto` and its
kin), never against a given name.
"""

from msgspec.structs import replace

from chittycan.errors import region_conflict
from chittycan.gateway.call import Call
from chittycan.gateway.facts import input_tokens
from chittycan.routing.decide import CHOOSING
from chittycan.routing.rules.book import Applied, Book

# What can be asked of a request; rules over other fields never hold for one.
FIELDS = frozenset({"source", "kind", "model", "session", "key", "region", "private", "tokens"})


def concerns(book: Book) -> bool:
    """Whether any rule could hold for a request."""
    return not FIELDS.isdisjoint(book.fields)


def applied_to(call: Call, book: Book) -> Applied:
    """What the rules say of the call as it is."""
    options = call.options
    return book.apply({
        "source": "request", "kind": options.kind, "model": call.model, "session": options.session,
        "key": None if call.key is None else call.key.name, "region": options.region, "private": options.private,
        "tokens": input_tokens(call) if "tokens" in book.fields else None,
    })  # fmt: skip


def rule(call: Call, book: Book) -> None:
    """Gives the call what the rules say of it as it came: once, however often it is asked for."""
    if call.ruled_by is book:
        return
    options, applied = call.options, applied_to(call, book)
    call.ruled_by = book
    said = applied.values
    if said.get("private") and not options.private:
        call.options, call.kept_by = replace(call.options, private=True), applied.why["private"]
    if "region" in said and options.region != said["region"]:
        if options.region is not None:
            raise region_conflict(applied.why["region"], said["region"], options.region)
        call.options = replace(call.options, region=said["region"])
    if "model" in said and call.model in CHOOSING and not options.models:
        call.model, call.ruled, call.keep_answering = str(said["model"]), applied.why["model"], True
