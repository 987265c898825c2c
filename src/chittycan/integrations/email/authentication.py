"""Who wrote a mail, as far as the owner's own server found out: Authentication-Results (RFC 8601). Pure.

Anybody can write such a header. It counts where it bears the name of a server that the owner trusts, and where it is
the topmost: a server writes above what it received, so what stands lower may have come along with the mail.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from msgspec import Struct

from chittycan.integrations.email.message import MAX_HEADER, Mail

Verdict = Literal["pass", "fail", "none"]
METHODS = ("dkim", "spf", "dmarc")

HEADER = "authentication-results"
UNSET = "inbox.authServer is not set, so nobody is trusted to say who wrote a mail"

_STRUCTURE = re.compile(r"[\s;=()]")  # what means something outside of quotes
_EQUALS = re.compile(r"\s*=\s*")

# The name under which the server of an account (None: of no particular one) writes; None where nobody knows it.
AuthServer = Callable[[str | None], str | None]


def no_server(account: str | None) -> str | None:
    """No header counts."""
    return None


class Verdicts(Struct, frozen=True, kw_only=True):
    """What the own server found.

    `dmarc` is about the domain in From: `pass` says that the mail comes from there. `dkim` and `spf` speak of whoever
    signed or sent it, which may be anybody. `why`: what keeps the header from counting; None where it counts.
    """

    dkim: Verdict = "none"
    spf: Verdict = "none"
    dmarc: Verdict = "none"
    why: str | None = None


def verdicts(mail: Mail, server: str | None) -> Verdicts:
    """What `server` (its authserv-id) says of the mail; `none` where it says nothing. Never raises."""
    if not server:
        return Verdicts(why=UNSET)
    written = mail.headers.get(HEADER, "")
    if not written:
        return Verdicts(why="it has no Authentication-Results")
    parts = _parts(written) if len(written) < MAX_HEADER else None  # of a longer one the end is missing
    if parts is None:
        return Verdicts(why="its Authentication-Results cannot be read")
    by, *version = parts[0].split() or [""]
    if by.casefold() != server.strip().casefold() or version not in ([], ["1"]):
        return Verdicts(why=f"its topmost Authentication-Results are by {by[:80] or 'nobody'}, not by {server}")
    said = [_EQUALS.sub("=", part).casefold().split() for part in parts[1:]]
    dmarc = [_with(words, f"header.from={mail.sender.domain}") for words in said if _method(words) == "dmarc"]
    return Verdicts(
        dkim=_best(_said(words) for words in said if _method(words) == "dkim"),
        spf=_best(_said(words) for words in said if _method(words) == "spf"),
        dmarc=_worst(dmarc),
    )


def likely(mails: Sequence[Mail]) -> str | None:
    """The server by which most of these mails' topmost results are: the owner's own, if the owner says so."""
    names = Counter(named for mail in mails if (named := _server(mail)) is not None)
    return next((name for name, times in names.most_common(1) if times * 2 > len(mails)), None)


def _server(mail: Mail) -> str | None:
    words = (_parts(mail.headers.get(HEADER, "")) or [""])[0].split()
    return words[0] if words and "=" not in words[0] else None


def _parts(written: str) -> list[str] | None:
    """What stands between the semicolons, without comments; None where a comment or a quotation does not end.

    A quotation is one word: what a stranger chose, such as the left side of an address, must not look like a result.
    """
    parts, depth, quoted, escaped = [""], 0, False, False
    for each in written:
        if escaped:
            escaped = False
        elif each == "\\" and (quoted or depth):
            escaped = True
            parts[-1] += "_" if quoted else ""
        elif quoted:
            quoted = each != '"'
            parts[-1] += _STRUCTURE.sub("_", each) if quoted else ""
        elif each in "()":
            depth += 1 if each == "(" else -1
            parts[-1] += " "
            if depth < 0:
                return None
        elif depth:
            continue
        elif each == '"':
            quoted = True
        elif each == ";":
            parts.append("")
        else:
            parts[-1] += each
    return None if quoted or depth else parts


def _method(words: list[str]) -> str:
    """`dkim` of `dkim/1=pass`."""
    return words[0].partition("=")[0].partition("/")[0] if words else ""


def _said(words: list[str]) -> Verdict:
    said = words[0].partition("=")[2]
    return "pass" if said == "pass" else "fail" if said == "fail" else "none"


def _with(words: list[str], needed: str) -> Verdict:
    """A pass is one of what is `needed` alone: the server may have looked at another From than we do."""
    said = _said(words)
    return "none" if said == "pass" and (needed not in words or needed.endswith("=")) else said


def _best(found: Iterable[Verdict]) -> Verdict:
    """A mail may be signed several times: one signature that holds is enough."""
    every = set(found)
    return "pass" if "pass" in every else "fail" if "fail" in every else "none"


def _worst(found: Iterable[Verdict]) -> Verdict:
    """There is one From, so that two opinions on it are one too many."""
    every = set(found)
    return "fail" if "fail" in every else "pass" if every == {"pass"} else "none"
