"""A draft as the mail that would go out: exactly what is approved, and what a person should look at before. Pure."""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from email.headerregistry import Address as HeaderAddress

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from chittycan.agents import enclosures, response
from chittycan.errors import InvalidRequest
from chittycan.integrations.email import compose
from chittycan.integrations.email.headers import Address
from chittycan.integrations.email.message import Mail
from chittycan.store.drafts import Attached, Draft

MAX_SUBJECT = 400  # characters
QUOTED_LINES = 200  # of the mail that is answered

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_BLANK = re.compile(
    r"\{\{.*?\}\}|\[(?:name|date|datum|betrag|amount|your .{1,20}|ihr .{1,20}|\.{3}|…)\]|\bTODO\b|\bXXX\b",
    re.IGNORECASE,
)
_ATTACHED = re.compile(
    r"\b(?:attach(?:ed|ments?)|enclosed|enclosures?|anbei|angehängt|im anhang|anlagen?|beigefügt)\b", re.IGNORECASE
)
_UNSAID = re.compile(r"^>.*$", re.MULTILINE)  # what is quoted


class Letter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What goes out, but for its Message-ID and date. `sender` is the From, `account` in whose name.

    What files hold their hashes say.
    """

    account: str | None
    sender: str
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    subject: str
    text: str
    in_reply_to: str | None
    references: tuple[str, ...]
    automatic: bool
    attachments: tuple[Attached, ...] = ()

    @property
    def everybody(self) -> tuple[str, ...]:
        """The addresses that get it."""
        return tuple(each.address for each in (*self.to, *self.cc))


def letter_of(draft: Draft, sender: str) -> Letter:
    """The mail that `draft` would be. What came from the mail it answers is kept only as far as headers take it."""
    answered = compose.identifiers([draft.in_reply_to] if draft.in_reply_to else [])
    return Letter(
        account=draft.account,
        sender=sender,
        to=_people(draft.recipients),
        cc=_people(draft.cc),
        subject=one_line(draft.subject)[:MAX_SUBJECT],
        text=draft.body.replace("\r\n", "\n").rstrip() + "\n",
        in_reply_to=next(iter(answered), None),
        references=compose.identifiers(msgspec.json.decode(draft.thread, type=list[str]))[-compose.MAX_REFERENCES :],
        automatic=draft.automatic,
        attachments=msgspec.json.decode(draft.attachments, type=tuple[Attached, ...]),
    )


def fingerprint(letter: Letter) -> str:
    """SHA-256 of all of it: whoever approves this approves of nothing else."""
    return hashlib.sha256(msgspec.json.encode(letter)).hexdigest()


def composed(letter: Letter, contents: Mapping[str, bytes] | None = None, *, message_id: str, at: float) -> bytes:
    """The message, ready to be handed over. `contents`: of its files, by their SHA-256.

    Raises InvalidRequest that names the field.
    """
    mail = compose.Mail(
        to=tuple(each.address for each in letter.to),
        cc=tuple(each.address for each in letter.cc),
        names={each.address: each.name for each in (*letter.to, *letter.cc)},
        subject=letter.subject,
        text=letter.text,
        in_reply_to=letter.in_reply_to,
        references=letter.references,
        files=enclosures.files(letter.attachments, contents or {}),
        automatic=letter.automatic,
    )
    return compose.compose(mail, by=compose.sender(letter.sender), id=message_id, at=at)


def sender_of(letter: Letter) -> HeaderAddress:
    """Raises InvalidRequest."""
    return compose.sender(letter.sender)


def check(letter: Letter, own: Collection[str]) -> None:
    """Raises InvalidRequest where it cannot be sent: a field is wrong, or it would go to ourselves.

    `own`: our addresses, in lower case.
    """
    for each in letter.everybody:
        if each.lower() in own:
            raise InvalidRequest(f"{each} is your own address", param="to", fix="`can router drafts edit ID --to …`")
    without = replace(letter, attachments=())  # they were looked at as they came
    composed(without, message_id="<check@example.invalid>", at=0.0)


def one_line(text: str) -> str:
    """Without line breaks and control characters."""
    return " ".join(_CONTROL.sub(" ", text).split())


# recipients


def parse_people(given: Iterable[str], param: str) -> tuple[Address, ...]:
    """`anna@example.org` or `Anna Bell <anna@example.org>`, one each. Raises InvalidRequest."""
    found = []
    for each in given:
        try:
            one = compose.sender(each)
        except InvalidRequest:
            fix = "Write it like anna@example.org or Anna Bell <anna@example.org>."
            raise InvalidRequest(f"{each[:80]!r} is no mail address", param=param, fix=fix) from None
        found.append(Address(one.display_name, one.addr_spec))
    return _unique(found)


def others(mail: Mail, to: Sequence[Address], own: Collection[str]) -> tuple[Address, ...]:
    """Who else got `mail`, for a reply to all: without ourselves and without those it goes `to` anyhow."""
    without = {*own, *(each.address.lower() for each in to)}
    return _unique(each for each in (*mail.to, *mail.cc) if each.domain and each.address.lower() not in without)


def _people(written: str) -> tuple[Address, ...]:
    return _unique(msgspec.json.decode(written, type=list[Address]))


def _unique(people: Iterable[Address]) -> tuple[Address, ...]:
    return tuple({each.address.lower(): each for each in people}.values())


# the text


def quoted(mail: Mail) -> str:
    """The mail that is answered, as mail programs quote it."""
    lines = mail.text.strip().splitlines()
    cut = ["> […]"] if len(lines) > QUOTED_LINES else []
    said = f"{one_line(mail.sender.name) or mail.sender.address}:"
    return "\n".join([said, *(f"> {line}".rstrip() for line in lines[:QUOTED_LINES]), *cut])


def cautions(letter: Letter, mail: Mail | None, *, verified: bool | None, written: Sequence[str] = ()) -> list[str]:
    """What a person should look at before it goes out; `written` is what the agent noted.

    `mail` is what it answers, `verified` whether the owner's server found that its From is who it says (DMARC); None
    where nobody looked.
    """
    found = [*written]
    if mail is not None:
        if verified is False:
            found.append(f"it is not verified that the mail came from {mail.sender.address or 'its sender'}")
        found += _strangers(letter, mail)
    own_words = _UNSAID.sub("", letter.text)
    found += [f'says "{one_line(each)}"' for each in dict.fromkeys(_BLANK.findall(own_words))]
    found += response.problems(own_words)
    if _ATTACHED.search(own_words) and not letter.attachments:
        found.append("speaks of an attachment, and has none")
    if len(letter.everybody) > 1:
        found.append(f"goes to {len(letter.everybody)} people")
    return list(dict.fromkeys(found))


def _strangers(letter: Letter, mail: Mail) -> list[str]:
    known = {each.address.lower() for each in (*response.recipients(mail), *mail.to, *mail.cc, mail.sender)}
    found = [f"{each} did not get the mail that this answers" for each in letter.everybody if each.lower() not in known]
    elsewhere = [each.address for each in letter.to if each.domain != mail.sender.domain][:1]
    return found + [f"the reply goes to {each}, but the mail came from {mail.sender.address}" for each in elsewhere]
