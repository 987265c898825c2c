"""A mail is opened: whether it is privileged is decided before its body is read, and where that fails, it is.

`privileged` says what follows: `local` keeps such a mail to private models; with `metadata` its body is neither read
nor kept. A rule that asks for words of the body needs them; then this program alone reads them, and forgets them.
"""

import logging
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from chittycan.agents.acquaintance import FIELD, Known, nobody
from chittycan.agents.mail_facts import facts_of
from chittycan.integrations.email.limits import body_start
from chittycan.integrations.email.message import Mail, parse
from chittycan.integrations.email.sources import RawMail
from chittycan.routing.rules.book import NO_RULES, Book

Privileged = Literal["local", "metadata"]

log = logging.getLogger(__name__)


class Reception(Struct, frozen=True, kw_only=True):
    """`private`: everything from this source is privileged. `account` is its name, and `authserv` that of the server
    which says who wrote a mail: both are for rules.
    """

    rules: Book = NO_RULES
    account: str | None = None
    authserv: str | None = None
    private: bool = False
    privileged: Privileged = "local"

    def open(self, raw: RawMail, now: float, known: Known = nobody) -> tuple[Mail, Privileged | None]:
        """The mail, and how far it is kept back; None where it is not. Never raises.

        `known` is asked where a rule asks who writes.
        """
        bare = self.privileged == "metadata"
        if bare and (raw.private or self.keeps(raw.raw[: body_start(raw.raw)], len(raw.raw), now, known)):
            return _parsed(replace(raw, raw=raw.raw[: body_start(raw.raw)])), "metadata"
        mail = _parsed(raw)
        if not (raw.private or self._holds(mail, now, known)):
            return mail, None
        return (_without_body(mail), "metadata") if bare else (mail, "local")

    def keeps(self, header: bytes, size: int, now: float, known: Known = nobody) -> bool:
        """Whether a mail of these headers and this size in bytes is privileged; true where that cannot be told."""
        if self.private or not self.rules:
            return self.private
        try:
            mail = parse(header)
        except Exception as error:
            return _kept(error)
        return self._holds(mail, now, known, size=size)

    def _holds(self, mail: Mail, now: float, known: Known, *, size: int | None = None) -> bool:
        """By the rules; with `size`, on the headers alone."""
        if self.private or not self.rules:
            return self.private
        try:
            facts = facts_of(mail, now=now, authserv=self.authserv, account=self.account, body=size is None)
            if size is not None:
                facts["size"] = size
            if FIELD in self.rules.fields:
                facts[FIELD] = known(mail)
            return bool(self.rules.apply(facts).values.get("private", False))
        except Exception as error:
            return _kept(error)


def _kept(error: Exception) -> bool:
    log.warning("mail_kept_private", extra={"fields": {"why": type(error).__name__}})
    return True


def _parsed(raw: RawMail) -> Mail:
    mail = parse(raw.raw)
    return mail if raw.defect is None else replace(mail, defects=(raw.defect, *mail.defects))


def _without_body(mail: Mail) -> Mail:
    return replace(mail, text="", hidden_text=False, attachments=(), bounce=None)
