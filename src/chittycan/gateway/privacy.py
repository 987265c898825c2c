"""What a call carries, looked at before anyone is asked: identifiers, secrets and the owner's words make it private.

Under `enforce` such a call goes to private models only, whatever model was named; under `warn` the decision, the ledger
and a header say so, and nothing else changes. Where redaction is wanted it may go to any model, with placeholders for
what is private. Images and files are not looked into, but for files of text.
"""

import asyncio
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Literal

from msgspec.structs import replace

from chittycan.gateway.call import Call
from chittycan.gateway.facts import PLAIN, SMALL_BODY
from chittycan.gateway.people import People
from chittycan.gateway.placeholders import redacted, said
from chittycan.gateway.texts import texts, unreadable
from chittycan.routing.privacy.detect import NO_TERMS, Terms, apart, findings, is_private
from chittycan.routing.privacy.finding import Finding

Mode = Literal["off", "warn", "enforce"]

REMEMBERED = 4096  # texts that were looked at: a conversation sends its earlier messages again and again
WORTH_REMEMBERING = 200  # characters
_USUAL = PLAIN - {"stop", "user", "metadata", "service_tier"}  # fields beside the messages that hold no text


class PrivacyGate:
    """Labels calls, as the owner configured it: `use` changes that at any time."""

    def __init__(self, mode: Mode = "off", terms: Terms = NO_TERMS) -> None:
        self.mode: Mode = mode
        self.redact = False  # where the caller does not say
        self._terms = terms
        self._people: People | None = None
        self._seen: dict[bytes, bool] = {}

    def use(self, mode: Mode, terms: Terms, *, redact: bool = False, names: bool = False) -> None:
        """From now on. `names`: full names of people are private too."""
        self.mode, self.redact, self._terms = mode, redact, terms
        if not names:
            self.close()
        elif self._people is None:
            self._people = People()
        self._seen.clear()

    def close(self) -> None:
        people, self._people = self._people, None
        if people is not None:
            people.close()

    def takes_time(self, call: Call) -> bool:
        """Whether `look` has to be awaited for a call of any size."""
        return self._people is not None or self.redacts(call)

    async def look(self, call: Call) -> None:
        """What `private` will ask, beforehand and beside the loop where the text is long.

        Raises Unavailable where names are to be found and cannot be.
        """
        if self.mode == "off" or call.detected is not None:
            return
        if self._people is not None:
            if not call.options.private:
                call.detected = await asyncio.to_thread(self._detect, call)
            return
        if call.surface is not None:
            if len(call.body) > SMALL_BODY:
                call.detected = await asyncio.to_thread(self._detect, call)
            return
        found = list(texts(call.parsed))
        if sum(map(len, found)) > SMALL_BODY:
            call.detected = await asyncio.to_thread(self._any, found)
        else:
            call.detected = self._any(found)

    def private(self, call: Call) -> bool:
        """Whether something private was found in the call; under `enforce` it is held to private models from now on."""
        if self.mode == "off":
            return False
        if call.detected is None:
            if self._people is not None and call.options.private:
                return False  # it goes nowhere else in any case, and looking would take long
            call.detected = self._detect(call)
        if call.detected and self.mode == "enforce":
            _hold(call)
        return call.detected

    def redacts(self, call: Call) -> bool:
        """Whether what is private in the call is to be taken out of it rather than kept in the house."""
        wanted = call.options.redact
        return self.redact and self.mode != "off" if wanted is None else wanted

    async def redacted(self, call: Call, *, at_home: bool = False) -> Call:
        """As `redacted_now`, beside the loop where the call is long."""
        if len(call.body) > SMALL_BODY or self._people is not None:
            return await asyncio.to_thread(self.redacted_now, call, at_home=at_home)
        return self.redacted_now(call, at_home=at_home)

    def redacted_now(self, call: Call, *, at_home: bool = False) -> Call:
        """The call with placeholders, where it holds something private and `redacts` says so.

        Where that cannot be done (images, files, a name that must stay), or need not be (`at_home`: a private model
        was named), it is held to private models instead.
        """
        if call.detected is None:
            call.detected = self._detect(call)
        if not call.detected:
            if call.options.redact and any(map(unreadable, said(call))):
                _hold(call)  # nobody can tell, and the caller asked that nothing private leave
            return call
        hidden = None if at_home else redacted(call, self.findings)
        if hidden is None:
            _hold(call)
        return hidden or call

    def findings(self, text: str) -> list[Finding]:
        """What is private in a text, in its order; they do not overlap. Raises Unavailable as `look` does."""
        found = findings(text, self._terms)
        return found if self._people is None else apart([*found, *self._people.find(text)])

    def _detect(self, call: Call) -> bool:
        if call.surface == "openai" and _USUAL.issuperset(call.fields) and call.parsed is None:
            plain = _plain(call.fields.get("messages"))
            if plain is not None:
                return self._any(plain)
        return any(self._any(texts(value)) for value in said(call))

    def _any(self, found: Iterable[str]) -> bool:
        return any(map(self._text, found))

    def _private(self, text: str) -> bool:
        return is_private(text, self._terms) or (self._people is not None and bool(self._people.find(text)))

    def _text(self, text: str) -> bool:
        if len(text) < WORTH_REMEMBERING:
            return self._private(text)
        key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        found = self._seen.get(key)
        if found is None:
            found = self._private(text)
            if len(self._seen) >= REMEMBERED:
                self._seen.clear()
            self._seen[key] = found
        return found


def _hold(call: Call) -> None:
    if not call.options.private:
        call.options = replace(call.options, private=True)


def _plain(messages: Any) -> list[str] | None:
    """The texts of the usual chat: messages of nothing but a role and a text. None where it is another one."""
    found: list[str] = []
    try:
        for each in messages:
            text = each["content"]
            if len(each) != 2 or "role" not in each or type(text) is not str:
                return None
            found.append(text)
    except (TypeError, KeyError):
        return None
    return found
