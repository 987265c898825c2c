"""National numbers: examples of the authorities and of python-stdnum's documentation, and what only looks like them."""

import re
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.routing.privacy import national
from chittycan.routing.privacy.detect import findings, is_private

pytest.importorskip("stdnum", reason="the extra `privacy` is not installed")
pytest.importorskip("phonenumbers", reason="the extra `privacy` is not installed")


@pytest.mark.parametrize(
    "number",
    [
        "RCCMNL83S18D969H", "54362315-K", "X2482300W", "131052-308T", "756.9217.0769.85", "2 95 10 99 126 111 93",
        "295109912611193", "880320-0016", "BOXW310820HNERXN09", "390.533.447-05", "16.727.230/0001-97",
        "12.531.909-2", "20-05536168-2", "85.07.30-033.28", "151086 95088", "710319/2745", "11010519491231002X",
    ],
)  # fmt: skip
def test_is_found_by_its_own_form(number: str) -> None:
    text = f"It is {number}, she wrote."
    assert [(each.kind, text[each.start : each.end]) for each in findings(text)] == [("id", number)]
    assert is_private(text)


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("Steuer-ID", "36 574 261 809"), ("SV-Nr.", "1237 010180"), ("BSN", "111222333"), ("PESEL", "44051401359"),
        ("CPR-nummer", "211062-5629"), ("UTR", "1955839661"), ("PPS", "6433435F"), ("contribuinte", "501964843"),
        ("OIB", "33392005961"), ("TCKN", "17291716060"), ("Aadhaar", "2341 2341 2346"), ("CPF", "39053344705"),
        ("tax file number", "123 456 782"), ("SIN", "123-456-782"), ("EIN", "91-1144442"),
        ("USt-IdNr.", "DE136695976"), ("VAT number", "DE136695976"), ("routing number", "111000025"),
        ("cuenta", "1234-1234-16 1234567890"), ("social security", "536904399"),
    ],
)  # fmt: skip
def test_is_found_where_a_word_says_what_it_is(said: str, number: str) -> None:
    text = f"{said}: {number}."
    assert [text[each.start : each.end] for each in findings(text)] == [number]
    assert not is_private(f"see {re.sub('[^0-9A-Z]', '', number)}.")


@pytest.mark.parametrize(
    "text",
    [
        "RCCMNL83S18D969A", "54362315-A", "880320-0017", "390.533.447-06", "Steuer-ID: 36574261808", "BSN 123456789",
        "11010519491231002Y", "build 880320-00161", "SIN 123 456 783", "400 of 200 and 100", "pi is 3.14159 26535",
        "0 25 50 75 100", "VAT is 19 %, see DE12", "the tin soldier of 1838",
    ],
)  # fmt: skip
def test_wrong_check_digits_and_plain_figures_are_nothing(text: str) -> None:
    assert findings(text) == []


def test_phones_in_the_groups_of_a_country_need_no_word() -> None:
    text = "Anna, 612 34 56 78, will know."
    assert [(each.kind, text[each.start : each.end]) for each in findings(text)] == [("phone", "612 34 56 78")]


def test_every_check_is_there() -> None:
    for form in (*national._PLAIN, *national._SAID):
        for module in form.modules:
            assert callable(import_module(f"stdnum.{module}").is_valid)


@given(st.text(alphabet="0123456789 -./ABXKvatsinpl", max_size=80))
def test_no_text_is_too_much(text: str) -> None:
    for each in findings(text):
        assert 0 <= each.start < each.end <= len(text)
