"""A mail of ours as bytes: plain text, files, and nothing in a header that was not meant to be there. Pure.

RFC 5322 for the message, RFC 3834 for what marks an automatic one, so that no other machine answers it.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, getaddresses

from msgspec import Struct, field

from chittycan.errors import InvalidRequest

MAX_RECIPIENTS = 50
MAX_TEXT = 1_000_000  # characters
MAX_REFERENCES = 20  # the newest ones: mail programs need no more to find the thread
MAX_NAME = 100  # characters of a recipient's name
MAX_LINE = 78  # characters of a line that goes out as it is (RFC 5322, 2.1.1)

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
_MESSAGE_ID = re.compile(r"<[\x21-\x3b\x3d\x3f-\x7e]{1,400}>")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_BAD_TEXT = re.compile(r"[\x00\ud800-\udfff]")

# Only ASCII leaves: every server takes it, and no byte changes on the way.
_POLICY = policy.SMTP.clone(cte_type="7bit")


class File(Struct, frozen=True, kw_only=True):
    """Something that goes along. `media_type`: `application/pdf`, say; a mail as an attachment is no message here."""

    name: str
    media_type: str
    content: bytes


class Mail(Struct, frozen=True, kw_only=True):
    """What to send to whom. `in_reply_to` and `references` are Message-IDs with their angle brackets."""

    to: tuple[str, ...]
    subject: str
    text: str
    cc: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)  # of recipients, by their addresses
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    automatic: bool = True  # nobody wrote or approved it: says so in Auto-Submitted


def address(text: str, param: str) -> str:
    """`local@domain`, as given. Raises InvalidRequest for anything more, such as a second address or a line break.

    ASCII only: addresses beyond it need SMTPUTF8 on every server of the way.
    """
    if not _ADDRESS.fullmatch(text) or len(text) > 254:
        raise InvalidRequest(
            f"{text[:80]!r} is no mail address", param=param, fix="Write it bare and in ASCII, like anna@example.com."
        )
    return text


def sender(text: str) -> Address:
    """The From of our mails: `office@example.com` or `Office <office@example.com>`. Raises InvalidRequest."""
    found = getaddresses([_one_line(text, "smtp.from")])
    name, bare = found[0] if len(found) == 1 else ("", text)
    return Address(display_name=name, addr_spec=address(bare, "smtp.from"))


def message_id(key: str, domain: str) -> str:
    """The same Message-ID for the same key, so that a mail can be looked for where nobody knows if it went out."""
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:40]}@{domain}>"


def compose(mail: Mail, *, by: Address, id: str, at: float) -> bytes:
    """The message with CRLF line ends, ready for DATA but for its dots. `at` is Unix seconds.

    Raises InvalidRequest that names the field.
    """
    if not mail.to or len(mail.to) + len(mail.cc) > MAX_RECIPIENTS:
        raise InvalidRequest(f"a mail has 1 to {MAX_RECIPIENTS} recipients", param="to")
    if len(mail.text) > MAX_TEXT or _BAD_TEXT.search(mail.text):
        raise InvalidRequest("the text is too long, or holds what is no character", param="text")
    message = EmailMessage(policy=_POLICY)
    message["From"] = by
    message["To"] = _recipients(mail, mail.to, "to")
    if mail.cc:
        message["Cc"] = _recipients(mail, mail.cc, "cc")
    message["Subject"] = _one_line(mail.subject, "subject")
    message["Date"] = format_datetime(datetime.fromtimestamp(int(at), UTC))
    if mail.automatic:
        message["Auto-Submitted"] = "auto-replied" if mail.in_reply_to else "auto-generated"
    # Base64, which the library may choose, looks to filters like something to hide.
    plain = mail.text.isascii() and all(len(line) <= MAX_LINE for line in mail.text.splitlines())
    message.set_content(mail.text, cte="7bit" if plain else "quoted-printable")
    for each in mail.files:
        kind, _, subtype = each.media_type.partition("/")
        message.add_attachment(each.content, maintype=kind, subtype=subtype, filename=_one_line(each.name, "attach"))
    if mail.files:  # the same each time, so that the copy that is kept is what went out
        message.set_boundary(f"=_{hashlib.sha256(id.encode()).hexdigest()[:40]}")
    return b"".join(_identifiers(mail, id)) + message.as_bytes()


def _recipients(mail: Mail, to: Sequence[str], param: str) -> tuple[Address, ...]:
    return tuple(Address(_name(mail.names.get(each, "")), addr_spec=address(each, param)) for each in to)


def _name(shown: str) -> str:
    """A name that a stranger chose, on one line; none where it could pass for an address."""
    name = " ".join(_CONTROL.sub(" ", shown).split())[:MAX_NAME]
    return "" if "@" in name else name


def identifiers(given: Iterable[str]) -> tuple[str, ...]:
    """Those that are Message-IDs as they may be written, each once: mails bring others too."""
    return tuple(dict.fromkeys(each for each in given if _MESSAGE_ID.fullmatch(each)))


def _identifiers(mail: Mail, id: str) -> list[bytes]:
    """These headers by hand: the library would encode an identifier that is longer than a line."""
    lines = [f"Message-ID: {_identifier(id, 'message_id')}"]
    if mail.in_reply_to:
        lines.append(f"In-Reply-To: {_identifier(mail.in_reply_to, 'in_reply_to')}")
    if mail.references:
        known = [_identifier(each, "references") for each in mail.references[-MAX_REFERENCES:]]
        lines.append("References: " + "\r\n ".join(known))
    return [f"{line}\r\n".encode("ascii") for line in lines]


def _identifier(text: str, param: str) -> str:
    if not _MESSAGE_ID.fullmatch(text):
        raise InvalidRequest(f"{text[:80]!r} is no Message-ID", param=param, fix="Write it like <id@example.com>.")
    return text


def _one_line(text: str, param: str) -> str:
    if _CONTROL.search(text) or len(text) > 900:
        raise InvalidRequest("a header holds a line break, a control character, or too much", param=param)
    return text


def unlisted(to: Sequence[str], allow: Sequence[str]) -> tuple[str, ...]:
    """The recipients that no entry of `allow` covers: an address, a domain (`example.com`), or `*`."""
    known = {each.lower().removeprefix("@") for each in allow}
    return tuple(
        each for each in to if "*" not in known and not {each.lower(), each.lower().rpartition("@")[2]} & known
    )
