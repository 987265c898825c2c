"""Secrets: keys, tokens and passwords, by the forms that their makers gave them and by what stands beside them.

Sources: the services' own documentation of their token formats; RFC 7468 (PEM), RFC 7519 (JWT), RFC 7617 (Basic).
No guessing by entropy: in prose every long word has enough of it.
"""

import re
from collections.abc import Iterator

from chittycan.routing.privacy.finding import Finding

_LONGEST_KEY = 16_384  # characters; an RSA key of 8,192 bits has 6,400
_KEY_BLOCK = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
    rf"(?:[\s\S]{{0,{_LONGEST_KEY}}}?-----END [A-Z0-9 ]{{1,40}}-----|(?:\s|\\n|[A-Za-z0-9+/=])*)"
)
_TOKENS = re.compile(
    r"(?<![\w-])(?:"
    r"(?:AKIA|ASIA)[0-9A-Z]{16}"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,}|glpat-[\w-]{20,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-\d-[A-Za-z0-9-]{10,}"  # Slack
    r"|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{16,}"  # Stripe
    r"|sk-(?:ant-|proj-|or-|chitty-)?[A-Za-z0-9_-]{20,}|gsk_[A-Za-z0-9]{20,}|hf_[A-Za-z0-9]{20,}"  # models
    r"|AIza[\w-]{35}|ya29\.[\w-]{20,}"  # Google
    r"|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{50,}|dop_v1_[0-9a-f]{64}|SG\.[\w-]{16,}\.[\w-]{16,}|shp(?:at|ss|ca|pa)_[0-9a-f]{32}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"  # JWT
    r")(?![\w-])"
)
_IN_URL = re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s:/@\"']{1,100}:(?P<secret>[^\s/@\"']{3,200})@[^\s/\"'@]{0,200}")
_ASSIGNED = re.compile(
    r"(?:passw(?:or)?d|passwort|pwd|passphrase|secret|secret[_-]?key|api[_-]?key|access[_-]?key|token|private[_-]?key|"
    # A quote may be escaped, where JSON stands in a string.
    r"credentials?)(?:\\{0,3}[\"'])?\s{0,4}(?:=>|:=|=|:)\s{0,4}(?P<quote>(?:\\{0,3}[\"'])?)(?P<secret>[^\s\"'<>{}$()\[\],;]{6,200})(?P=quote)",
    re.IGNORECASE,
)
_SAID = re.compile(  # with a digit in it: "the password is wrong"; and not how it is kept or how long it is
    r"\b(?:passw(?:or)?d|passwort|passphrase|pwd|contraseña|mot de passe)\s+(?:is|ist|lautet|es|est)\s+[\"'`«“]?"
    r"(?!(?:\d{1,3}[+-](?:char|digit|letter|symbol|bit|byte|word|day|stellig|zeichen)[a-z]*|"
    r"(?:sha|md|base|utf|aes|rsa|pbkdf|argon|latin)-?\d{1,3}(?:[a-z]{2}\d)?(?:-[a-z]+)?)[.,;:)]*(?:\s|$))"
    r"(?P<secret>(?=\S{0,200}\d)[^\s\"'`»”]{6,200})",
    re.IGNORECASE,
)
_NETRC = re.compile(r"\bmachine\s+\S+\s+login\s+\S+\s+password\s+(?P<secret>\S+)", re.IGNORECASE)
_PGPASS = re.compile(r"^[\w.*-]+:(?:\d+|\*):[\w*-]+:[\w*-]+:(?P<secret>\S+)$", re.MULTILINE)
_BASIC = re.compile(r"\bAuthorization:\s*(?:Basic|Bearer)\s+(?P<secret>[\w+/=.-]{8,})", re.IGNORECASE)
_HASHED = re.compile(r"(?<![\w$])\$(?:1|2[aby]|5|6|y|argon2id?)\$[\w./$=,+-]{20,}")

# What people write where a secret would stand.
_PLACEHOLDER = re.compile(
    r"^(?:x{3,}|\*{3,}|\.{3,}|<.*|your.*|my.*|example.*|changeme|none|null|nil|true|false|undefined|string|str|self\..*|"
    r"os\..*|process\..*|env.*|getenv.*|input.*|request.*|config.*|settings.*|required|optional|placeholder|.*_here|"
    r"[a-z]+|[A-Z_]+|\d{1,5}|\[[A-Z_]+_\d+\])$",
    re.IGNORECASE,
)


_STARTS = (
    "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "xapp-", "sk_", "rk_",
    "pk_", "whsec_", "sk-", "gsk_", "hf_", "AIza", "ya29.", "npm_", "pypi-", "dop_v1_", "SG.", "shp", "eyJ",
)  # fmt: skip
# As far as they have no i, of which some alphabets have two.
_SPOKEN = ("pass", "pwd", "contraseña")
_WORDS = ("pass", "pwd", "secret", "token", "key", "credent")


def secrets(text: str) -> Iterator[Finding]:
    """Everything that opens a door. What each form must contain is looked for first: that costs next to nothing."""
    if "PRIVATE KEY" in text:
        for found in _KEY_BLOCK.finditer(text):
            yield Finding("private_key", *found.span())
    for pattern in _whole(text):
        for found in pattern.finditer(text):
            if "secret" not in pattern.groupindex or not _PLACEHOLDER.match(found["secret"]):
                yield Finding("secret", *found.span())
    for pattern in _valued(text):
        for found in pattern.finditer(text):
            if not _PLACEHOLDER.match(found["secret"]):
                yield Finding("secret", *found.span("secret"))


def _whole(text: str) -> Iterator[re.Pattern[str]]:
    """The forms that are a secret from their first to their last character."""
    if any(start in text for start in _STARTS):
        yield _TOKENS
    if text.count("$") > 1:
        yield _HASHED
    if "://" in text and "@" in text:
        yield _IN_URL


def _valued(text: str) -> Iterator[re.Pattern[str]]:
    """The forms in which something else says that a value is a secret."""
    lower = _lower(text)
    if (":" in text or "=" in text) and any(word in lower for word in _WORDS):
        yield _ASSIGNED
    if any(word in lower for word in _SPOKEN):
        yield _SAID
    if "mach" in lower and "password" in lower:
        yield _NETRC
    if text.count(":") > 3:
        yield _PGPASS
    if "author" in lower:
        yield _BASIC


def _lower(text: str) -> str:
    """As a pattern that ignores case reads it: ſ is an s, and the sign of Kelvin a k."""
    return text.lower() if text.isascii() else text.casefold()


def bare(text: str) -> bool:
    """Whether a secret may be in the text though it has no digit, and none of @ : = $ _ -: how those forms begin."""
    return (
        "AKIA" in text or "ASIA" in text or "AIza" in text or "eyJ" in text or "SG." in text or "mach" in _lower(text)
    )
