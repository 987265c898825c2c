"""Identifiers of people: by their form, their check digits, and the words around them.

Sources: ISO/IEC 7812-1 (cards, Luhn), ISO 13616 (IBAN, mod 97), the US Social Security Administration's list of numbers
never given out, ITU-T E.164 (phone numbers have at most 15 digits).
"""

import re
from collections.abc import Callable, Iterator

from chittycan.routing.privacy import national
from chittycan.routing.privacy.finding import Finding, Kind

# Word characters are ASCII's: in Chinese or Japanese a number may follow upon the word before it without a space.
_LETTER = r"A-Za-z0-9À-ɏͰ-ӿ"  # of mail addresses: Latin, Greek, Cyrillic
_EMAIL = re.compile(
    rf"(?<![{_LETTER}_.+-])[{_LETTER}_.+%-]{{1,64}}(?:@|%40)(?:[{_LETTER}-]{{1,63}}\.)+"
    rf"(?:xn--[a-z0-9-]{{2,59}}|[A-Za-zÀ-ɏͰ-ӿ]{{2,24}})(?![{_LETTER}-])"
)
_CARD = re.compile(
    r"(?<![\w.-])(?:\d{12,19}|\d{4}(?P<gap>[ .-])\d{4}(?P=gap)\d{4}(?P=gap)\d{1,7}|\d{4}[ -]\d{6}[ -]\d{4,5})"
    r"(?![\w-]|\.\d)",
    re.ASCII,
)
_IBAN = re.compile(
    r"(?<!\w)[A-Za-z]{2}\d{2}(?:[A-Za-z0-9]{11,30}|"
    r"(?P<gap>[ -])[A-Za-z0-9]{4}(?:(?P=gap)[A-Za-z0-9]{4}){1,6}(?:(?P=gap)[A-Za-z0-9]{1,4})?)(?!\w)",
    re.ASCII,
)
_SSN = re.compile(r"(?<![\w-])(?!000|666|9\d\d-(?:[0-46-9]|5[1-9]))\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])", re.ASCII)
_IP = re.compile(r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w]|\.\d)", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:])(?=[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{4,39}(?![\w:])", re.ASCII)
_LICENCE = re.compile(r"(?<![\w-])(?:[A-Z]\d{7,14}|\d{7,9}|\d{4}-\d{2}-\d{4})(?![\w-])", re.ASCII)
_CRYPTO = re.compile(r"(?<!\w)(?:bc1[a-z0-9]{25,62}|[13][1-9A-HJ-NP-Za-km-z]{25,34}|0x[0-9a-fA-F]{40})(?!\w)", re.ASCII)
_PHONE = re.compile(
    # What begins with a plus may stand behind anything: `tel:+44…`, a column of a table, a parameter.
    r"(?:(?<![\w.,/:#$€£%=+-])|(?<![\w+])(?=\+[1-9]))"
    r"(?:\+|00)?\(?\d(?:[ ().-]{0,2}\d){5,14}(?:\s?(?:x|ext\.?|#)\s?\d{1,6})?(?![\w%/=]|[.,:-]\d)",
    re.ASCII,
)
_AREA = re.compile(  # 030/123 45 67
    r"(?<![\w.,/:#$€£%=+-])(?:\+[1-9]\d{0,2} ?(?:\(0\) ?)?|0)[1-9]\d{1,4} ?/ ?\d{2,9}(?:[ -]\d{2,8}){0,4}"
    r"(?![\w%/=]|[.,:-]\d)",
    re.ASCII,
)

# What stands before a local number in most of its uses. Three languages, whole words.
_SAYS_PHONE = re.compile(
    r"\b(?:phone|telephone|tel|mobile|cell|call(?:ed|ing)?|fax|dial|sms|whatsapp|text me|ring|reach|contact|hotline|"
    r"voicemail|office|registered|answering(?: at)?|messages? (?:to|from)|telefon\w*|handy|mobil\w*|anruf\w*|rufnummer|"
    r"portable|téléphone|numéro|appel\w*|(?:my|his|her|their|the|your|a|new) (?:\w+ )?number)\b",
    re.IGNORECASE,
)
_FOLLOWS = re.compile(r"[ \t-]{1,2}\(?(?:office|fax|mobile|cell|home|work|tel)\b", re.IGNORECASE)
_SAYS_LICENCE = re.compile(
    r"\b(?:driv\w+(?:'s)? licen[cs]e|licen[cs]e (?:number|no)|führerschein\w*|passport)\b", re.IGNORECASE
)
_SAYS_CARD = re.compile(r"\b(?:card|visa|master ?card|amex|credit|debit|kreditkarte|carte)\b", re.IGNORECASE)
_SAYS_BANK = re.compile(r"\b(?:iban|bank|account|konto\w*|transfer|wire)\b", re.IGNORECASE)
_NANP = re.compile(r"(?:\+?1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}")
_NATIONAL = re.compile(r"(?:\(0\d{1,4}\)|0\d{1,4}[ -]|0\d(?:\.\d\d){3,})")
_DIGITS = re.compile(
    r"\d(?:[ ().-]{0,2}\d){5}|[A-Za-z]{2}\d\d|\d\.\d{1,3}\.\d|0x[0-9a-fA-F]{8}|[13][A-Za-z1-9]{24}|bc1"
)
NEAR = 60  # characters before a number in which a word says what it is

# Country → length of its IBANs (SWIFT's registry); others are taken by mod 97 alone.
_IBAN_LENGTH = {
    "AD": 24, "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20, "ES": 24,
    "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26, "IT": 27, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SE": 24, "SI": 19, "SK": 24,
}  # fmt: skip


def identifiers(text: str) -> Iterator[Finding]:
    """Everything in `text` that names, pays for, or reaches one person; some of it may overlap.

    What each form must contain is looked for first: that costs next to nothing.
    """
    digits = _DIGITS.search(text) is not None
    for kind, pattern, holds, needs in _FORMS:
        if digits if needs is None else needs in text:
            for found in pattern.finditer(text):
                if holds is None or holds(found[0], text, found.start()):
                    yield Finding(kind, *found.span())
    if digits and national.installed():
        yield from national.national_numbers(text)


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0


def mod97(iban: str) -> bool:
    """Whether the check digits of an IBAN without spaces are right."""
    return int("".join(str(int(each, 36)) for each in iban[4:] + iban[:4])) % 97 == 1


def _is_card(written: str, text: str, at: int) -> bool:
    digits = re.sub(r"\D", "", written)
    if len(set(digits)) < 2:
        return False
    # Only some first digits are given to banks and shops; a number of another kind passes Luhn one time in ten.
    return (digits[0] in "23456" and luhn(digits)) or _said(_SAYS_CARD, text, at)


def _is_iban(written: str, text: str, at: int) -> bool:
    iban = re.sub("[ -]", "", written).upper()
    length = _IBAN_LENGTH.get(iban[:2])
    if len(iban) != length and (length is not None or "-" in written):  # much else is written with dashes
        return False
    return mod97(iban) or (length is not None and _said(_SAYS_BANK, text, at))


def _is_address(written: str, _text: str, _at: int) -> bool:
    """Not a version, and none of those that every machine has."""
    import ipaddress

    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return False
    if address.version == 6 and "::" not in written and written.isascii() and not re.search("[A-Fa-f]", written):
        return False  # ratios and times look like that
    return not (address.is_loopback or address.is_unspecified or address.is_multicast)


def _is_phone(written: str, text: str, at: int) -> bool:
    digits = re.sub(r"\D", "", re.split(r"x|ext|#", written)[0])
    if not 7 <= len(digits) <= 15:
        return False
    if written.startswith(("+", "00")) and len(digits) >= 9:
        return True
    if _NANP.fullmatch(written):
        return True
    if _said(_SAYS_PHONE, text, at) or _FOLLOWS.match(text, at + len(written)):
        return True
    # A leading zero and groups: how national numbers are written in most of Europe; dates and sums are not.
    if _NATIONAL.match(written) is not None and len(digits) >= 9:
        return True
    return national.installed() and national.is_grouped_phone(written)


def _is_area(written: str, _text: str, _at: int) -> bool:
    return 9 <= len(re.sub(r"\D", "", written)) <= 15


def _is_licence(_written: str, text: str, at: int) -> bool:
    return _said(_SAYS_LICENCE, text, at)


def _said(words: re.Pattern[str], text: str, at: int) -> bool:
    return words.search(text, max(0, at - NEAR), at) is not None


# Kind, form, what else must hold, and what the text must contain: a piece of text, or (None) a run of digits.
_FORMS: tuple[tuple[Kind, re.Pattern[str], Callable[[str, str, int], bool] | None, str | None], ...] = (
    ("email", _EMAIL, None, "@"),
    ("email", _EMAIL, None, "%40"),  # in an address of the web
    ("iban", _IBAN, _is_iban, None),
    ("ssn", _SSN, None, None),
    ("card", _CARD, _is_card, None),
    ("ip", _IP, _is_address, None),
    ("ip", _IPV6, _is_address, ":"),
    ("crypto", _CRYPTO, None, None),
    ("licence", _LICENCE, _is_licence, None),
    ("phone", _PHONE, _is_phone, None),
    ("phone", _AREA, _is_area, "/"),
)
