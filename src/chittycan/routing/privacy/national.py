"""National numbers of people and their accounts (tax, social security, health, VAT, bank), by their check digits.

Only where the extra `privacy` is installed: python-stdnum knows the countries' rules, phonenumbers how each country
groups its phone numbers. Digits alone are not enough where many other numbers pass the same check: then a word that
says what it is has to stand near. Sources: python-stdnum's modules name each country's own.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module, util
from typing import Any

from msgspec import Struct

from chittycan.routing.privacy.finding import Finding

NEAR = 60  # characters before a number in which a word says what it is
LONGEST = 30  # characters of a number


class Form(Struct, frozen=True):
    """How a number is written, and which modules of `stdnum` check it."""

    written: re.Pattern[str]
    modules: tuple[str, ...]
    said: re.Pattern[str] | None = None  # must stand before it


def _form(written: str, modules: str, said: str = "") -> Form:
    words = re.compile(rf"(?<!\w)(?:{said})(?!\w)", re.IGNORECASE) if said else None
    return Form(re.compile(written, re.ASCII), tuple(modules.split()), words)


# Recognised wherever they stand: so many letters, groups or check digits that hardly anything else passes.
_PLAIN = (
    _form(r"[A-Z]{6}\d\d[A-Z]\d\d[A-Z]\d{3}[A-Z]", "it.codicefiscale"),
    _form(r"\d{8}-?[A-HJ-NP-TV-Z]|[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]", "es.dni es.nie"),
    _form(r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Z]", "fi.hetu"),
    _form(r"756\.\d{4}\.\d{4}\.\d\d", "ch.ssn"),
    _form(r"[12] ?\d\d ?\d\d ?\d[\dAB] ?\d{3} ?\d{3} ?\d\d", "fr.nir"),
    _form(r"(?:\d\d)?\d{6}[-+]\d{4}", "se.personnummer"),
    _form(r"[A-Z]{4}\d{6}[HM][A-Z]{5}[0-9A-Z]\d", "mx.curp"),
    _form(r"\d{3}\.\d{3}\.\d{3}-\d\d", "br.cpf"),
    _form(r"\d\d\.\d{3}\.\d{3}/\d{4}-\d\d", "br.cnpj"),
    _form(r"\d{1,2}\.\d{3}\.\d{3}-[\dkK]", "cl.rut"),
    _form(r"\d\d-\d{8}-\d", "ar.cuit"),
    _form(r"\d{6}-\d{7}", "kr.rrn"),
    _form(r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d", "be.nn"),
    _form(r"\d{6} \d{5}", "no.fodselsnummer"),
    _form(r"\d{6}/\d{4}", "cz.rc"),
    _form(r"[1-9]\d{16}[\dX]", "cn.ric"),
)
# Recognised by a word before them.
_SAID = (
    _form(r"\d{11}|\d\d \d{3} \d{3} \d{3}", "de.idnr", r"steuer\W?id\w*|idnr|identifikationsnummer|tax id\w*|tin"),
    _form(r"\d{4} ?\d{6}", "at.vnr", r"sv\W?nr|sv\W?nummer|sozialversicherungsnummer|versicherungsnummer"),
    _form(r"\d{9}", "nl.bsn", r"bsn|burgerservicenummer|sofinummer"),
    _form(r"\d{11}", "be.nn", r"rijksregisternummer|numéro national|registre national"),
    _form(r"\d{11}", "pl.pesel", r"pesel"),
    _form(r"\d{10}|\d{3}-\d{3}-\d\d-\d\d", "pl.nip", r"nip"),
    _form(r"\d{6}-?\d{4}", "dk.cpr", r"cpr\W?\w*|personnummer"),
    _form(r"\d{10}|\d{12}", "se.personnummer", r"personnummer"),
    _form(r"\d{11}", "no.fodselsnummer", r"fødselsnummer|fodselsnummer|personnummer"),
    _form(r"\d{3} ?\d{3} ?\d{4}", "gb.nhs", r"nhs"),
    _form(r"\d{10}", "gb.utr", r"utr|taxpayer reference"),
    _form(r"\d{7}[A-W][A-IW]?", "ie.pps", r"ppsn?"),
    _form(r"\d{9}|\d{3} \d{3} \d{3}", "pt.nif", r"nif|contribuinte"),
    _form(r"\d{11}", "gr.amka", r"amka|αμκα"),
    _form(r"\d{13}", "ro.cnp", r"cnp"),
    _form(r"\d{10}", "bg.egn", r"egn|егн"),
    _form(r"\d{11}", "hr.oib", r"oib"),
    _form(r"\d{13}", "si.emso", r"em[sš]o|jmbg"),
    _form(r"\d{11}", "ee.ik lt.asmens", r"isikukood|asmens kodas|personal code"),
    _form(r"\d{11}", "tr.tckimlik", r"t\.?c\.? kimlik\w*(?: no)?|tckn|kimlik no"),
    _form(r"\d{4} ?\d{4} ?\d{4}", "in_.aadhaar", r"aadhaar|aadhar|uidai"),
    _form(r"[A-Z]{5}\d{4}[A-Z]", "in_.pan", r"pan"),
    _form(r"\d{11}", "br.cpf", r"cpf"),
    _form(r"\d{13}", "za.idnr", r"id\W?n\w*|identity n\w*"),
    _form(r"\d{9}", "il.idnr", r"teudat zehut|identity n\w*|תעודת זהות"),
    _form(r"\d{3} ?\d{3} ?\d{2,3}", "au.tfn", r"tfn|tax file n\w*"),
    _form(r"\d{3}[ -]?\d{3}[ -]?\d{3}", "ca.sin", r"sin|social insurance|nas"),
    _form(r"\d{9}|\d{3}[ -]\d\d[ -]\d{4}", "us.ssn us.itin", r"ssn|itin|social security|taxpayer id\w*"),
    _form(r"\d\d-?\d{7}", "us.ein", r"ein|employer id\w*|tax id\w*"),
    _form(
        r"[A-Z]{2} ?[0-9A-Z]{8,12}", "eu.vat gb.vat ch.vat",
        r"vat(?: \w+)?|ust\W?id\w*|ust\W?id\W?nr|umsatzsteuer\w*|tva|p\.? ?iva|btw|uid",
    ),
    _form(r"\d{9}", "us.rtn", r"routing(?: n\w*)?|aba|rtn"),
    _form(r"\d{4}[ -]?\d{4}[ -]?\d\d[ -]?\d{10}", "es.ccc", r"cuenta|ccc"),
)  # fmt: skip

_FIRST = r"(?<![\w.+/-])"
_LAST = r"(?![\w-]|[./]\d)"
_ANY_PLAIN = re.compile(_FIRST + "(?:" + "|".join(form.written.pattern for form in _PLAIN) + ")" + _LAST, re.ASCII)
_ANY_WORD = re.compile("|".join(form.said.pattern for form in _SAID if form.said is not None), re.IGNORECASE)
_SAID_WRITTEN = {form: re.compile(f"{_FIRST}(?:{form.written.pattern}){_LAST}", re.ASCII) for form in _SAID}

# Countries whose way of grouping a phone number is tried, where nothing else says that it is one.
_PHONE_COUNTRIES = ("US", "GB", "DE", "FR", "IT", "ES", "NL", "BE", "CH", "AT", "PL", "SE", "AU", "IN", "BR", "JP")


_GROUPS = re.compile(r"\d{2,4}(?:(?P<gap>[ -])\d{2,4})(?:(?P=gap)\d{2,4}){1,3}")  # not decimals, not lists


@cache
def installed() -> bool:
    return util.find_spec("stdnum") is not None


def national_numbers(text: str) -> Iterator[Finding]:
    """Numbers whose check digits are right; for texts with digits in them."""
    for found in _ANY_PLAIN.finditer(text):
        if any(form.written.fullmatch(found[0]) and _valid(form, found[0]) for form in _PLAIN):
            yield Finding("id", *found.span())
    if _ANY_WORD.search(text) is None:
        return
    for form, written in _SAID_WRITTEN.items():
        assert form.said is not None
        for word in form.said.finditer(text):
            for found in written.finditer(text, word.end(), word.end() + NEAR + LONGEST):
                if found.start() - word.end() < NEAR and _valid(form, found[0]):
                    yield Finding("id", *found.span())


def is_grouped_phone(written: str) -> bool:
    """Whether some country writes one of its phone numbers in exactly these groups."""
    phones = _phones() if _GROUPS.fullmatch(written) else None
    if phones is None:
        return False
    exact = phones.Leniency.EXACT_GROUPING
    return any(
        next(iter(phones.PhoneNumberMatcher(written, country, leniency=exact)), None) is not None
        for country in _PHONE_COUNTRIES
    )


def _valid(form: Form, written: str) -> bool:
    return any(_checker(module).is_valid(written) for module in form.modules)


@cache
def _checker(module: str) -> Any:
    return import_module(f"stdnum.{module}")


@cache
def _phones() -> Any:
    return import_module("phonenumbers") if util.find_spec("phonenumbers") is not None else None
