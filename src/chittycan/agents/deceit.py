"""What of a mail's sender and links does not fit together, as in fraud: signs, which prove nothing by themselves.

A firm's contact form answers to another domain, newsletters count clicks by links that lead elsewhere, and people have
odd names. So signs count only beside phrases of spam, and only a `strong` one, a name that the sender's address
contradicts, counts against what sounds grave: fraud likes to sound so.
"""

import re
from collections.abc import Callable

from msgspec import Struct

from chittycan.agents.lexicon import folded
from chittycan.integrations.email.links import site
from chittycan.integrations.email.message import Mail

# Names that fraud likes to take. They are in the domains that their owners write from.
_BRANDS = """
paypal klarna stripe revolut wise amazon ebay apple icloud microsoft google netflix spotify disney docusign dropbox
adobe linkedin facebook instagram whatsapp coinbase binance metamask dhl ups usps fedex dpd gls evri inpost postnl
bpost colissimo chronopost correos ctt sparkasse volksbank commerzbank postbank deutsche-bank santander bbva
caixabank intesa-sanpaolo unicredit bnp-paribas credit-agricole societe-generale banque-postale rabobank abn-amro
mbank pko-bank novo-banco hsbc barclays natwest wells-fargo bank-of-america citibank royal-mail poczta-polska
poste-italiane deutsche-post mcafee norton
"""
BRANDS = tuple(_BRANDS.split())
# What one writes to without a firm: by the name before the ending.
_FREE = """
gmail googlemail outlook hotmail live msn yahoo ymail gmx web icloud aol proton protonmail mail inbox yandex libero
virgilio orange laposte wp o2 onet interia sapo bol uol terra ziggo
"""
FREE = frozenset(_FREE.split())

_ADDRESS = re.compile(r"[\w.+-]+@([\w-]+\.[\w.-]+)")
_OFFICE = re.compile(
    r"\b(?:ceo|cfo|managing director|chief executive|geschaftsfuhrer|directeur general|director general|prezes|bank|"
    r"banque|banco|banca|(?:customer|account|it|technical) (?:service|support|team)|security team|kundenservice|"
    r"kundendienst|service client|atencion al cliente|servizio clienti|klantenservice|obsluga klienta|apoio ao cliente|"
    r"help ?desk|payroll|human resources|customs|lottery|united nations|interpol|fbi|award|compensation fund)\b"
)


# Of the receiver's own house, as fraud likes to call itself.
_OURS = re.compile(
    r"\b(?:it|hr|payroll|human resources|help ?desk|service ?desk|postmaster|(?:web|mail|e mail|system)? ?admin\w*)\b"
)
# What a program should have replaced, as in "Hi {{first_name}}", or should have removed.
_PLACEHOLDER = re.compile(
    r"\{\{ ?\w{2,30} ?\}\}|\{(?:first|last|company)_?name\}|\[(?:first|last|company)[ _]?name\]|%%?\w{0,9}name%",
    re.IGNORECASE,
)
_TAIL = re.compile(r"\S {5,}\S+\s*$")  # of a subject: random letters, so that no two are alike
_SPELT_OUT = re.compile(r"(?<![\w.])(?:[A-Za-z][ .*_-]){5,}[A-Za-z](?![\w.])")
_MIXED = re.compile(r"[a-z][\u0370-\u04ff]|[\u0370-\u04ff][a-z]", re.IGNORECASE)
_LINK = re.compile(r"https?://(?:[^\s/@]*@)?([\w.-]+)", re.IGNORECASE)
_NUMBER = re.compile(r"https?://(?:\d{1,3}\.){3}\d", re.IGNORECASE)  # nobody's name
_READ = 1500  # characters of the text that are looked at
_MUCH = 150  # letters of which capitals are counted
_LOUD = 0.35  # share of capitals
_CRIES = 6  # exclamation marks


SEVERAL = 3.0  # points of weaker signs that say as much as a phrase


class Sign(Struct, frozen=True):
    why: str
    points: float
    strong: bool = False


def signs(mail: Mail) -> list[Sign]:
    """Those that `mail` has."""
    return [sign for sign, there in _SIGNS if there(mail)]


def fits(mail: Mail) -> bool:
    """Whether the sender is of the receiver's own house, or writes from the domain of the known name that it bears."""
    name, owner = _name(mail), _owner(mail.sender.domain)
    to = (*mail.to, *mail.cc)
    if owner not in FREE and mail.sender.domain in {each.domain for each in to}:
        return mail.sender.address.lower() not in {each.address.lower() for each in to}  # fraud likes to come from you
    return any(_is_called(brand, name) and _is_of(brand, owner) for brand in BRANDS)


def claims_address(mail: Mail) -> bool:
    """Whether the sender's name is an address of another domain."""
    claimed = _ADDRESS.search(mail.sender.name)
    return claimed is not None and claimed[1].lower() != mail.sender.domain


def answers_elsewhere(mail: Mail) -> bool:
    """Whether answers would go to another domain."""
    return any(address.domain and address.domain != mail.sender.domain for address in mail.reply_to)


def _claims_brand(mail: Mail) -> bool:
    name, owner = _name(mail), _owner(mail.sender.domain)
    return any(_is_called(brand, name) and not _is_of(brand, owner) for brand in BRANDS)


def _is_called(brand: str, name: str) -> bool:
    return re.search(rf"\b{brand.replace('-', ' ?')}\b", name) is not None


def _is_of(brand: str, owner: str) -> bool:
    """`googlemail` is Google's, as far as one can tell; `google-login24` need not be. Local banks add their town."""
    rest = owner.removeprefix(brand).removeprefix(brand.replace("-", ""))
    return (rest != owner and (not rest or rest.isalpha())) or (brand.endswith(("kasse", "sbank")) and brand in owner)


def _claims_office(mail: Mail) -> bool:
    return _owner(mail.sender.domain) in FREE and bool(_OFFICE.search(_name(mail)))


def _claims_to_be_ours(mail: Mail) -> bool:
    ours = {to.domain for to in (*mail.to, *mail.cc)}
    return bool(ours) and mail.sender.domain not in ours and bool(_OURS.search(_name(mail)))


def _answers_to_free_mail(mail: Mail) -> bool:
    return answers_elsewhere(mail) and any(_owner(address.domain) in FREE for address in mail.reply_to)


def _links_elsewhere(mail: Mail) -> bool:
    """Whether every link that it shows leads to others, though the sender has a domain of his own."""
    shown = {site(host.lower()) for host in _LINK.findall(mail.text[:_READ])}
    own = site(mail.sender.domain)
    return bool(shown) and own not in shown and own.partition(".")[0] not in FREE


def _unfilled(mail: Mail) -> bool:
    return bool(_PLACEHOLDER.search(mail.subject) or _PLACEHOLDER.search(mail.text[:_READ]))


def _disguised(mail: Mail) -> bool:
    text = f"{mail.subject}\n{mail.text[:_READ]}"
    return bool(_TAIL.search(mail.subject) or _SPELT_OUT.search(text) or _MIXED.search(text))


def _loud(mail: Mail) -> bool:
    letters = [letter for letter in mail.text[:_READ] if letter.isalpha()]
    capitals = sum(letter.isupper() for letter in letters)
    return len(letters) >= _MUCH and capitals > _LOUD * len(letters)


def _cries(mail: Mail) -> bool:
    return f"{mail.subject}\n{mail.text[:_READ]}".count("!") >= _CRIES


def _name(mail: Mail) -> str:
    return "" if "@" in mail.sender.name else folded(mail.sender.name)


def _owner(domain: str) -> str:
    return site(domain).partition(".")[0]


_SIGNS: tuple[tuple[Sign, Callable[[Mail], bool]], ...] = (
    (Sign("a known name, from another domain", 3.0, strong=True), _claims_brand),
    (Sign("a firm or an office, from a free mail address", 3.0, strong=True), _claims_office),
    (Sign("a name that claims another address", 3.0, strong=True), claims_address),
    (Sign("an office of your own house, from outside", 2.0), _claims_to_be_ours),
    (Sign("answers go to a free mail address elsewhere", 2.0), _answers_to_free_mail),
    (Sign("a link that leads elsewhere than it says", 2.0), lambda mail: mail.misleading_link),
    (Sign("links to other places than the sender's", 1.5), _links_elsewhere),
    (Sign("a link to a bare number", 3.0), lambda mail: bool(_NUMBER.search(mail.text[:_READ]))),
    (Sign("a form letter that was not filled in", 4.0), _unfilled),
    (Sign("letters in disguise", 3.0), _disguised),
    (Sign("capitals all over", 2.0), _loud),
    (Sign("exclamation marks all over", 1.0), _cries),
)
