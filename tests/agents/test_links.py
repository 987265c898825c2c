"""What a mail program would make a link of does not get through, however it is written; words do."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from chittycan.agents.links import without_links


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/pay", "HTTP://EVIL.EXAMPLE", "//evil.example/x", "ftp://evil.example", "www.evil.example",
        "evil.example", "evil.example/pay?d=1", "evil-bank.example:8443/x", "a.b.evil.co.uk", "xn--evil-abc.xn--p1ai",
        "бank.рф", "evil。example", "pay@evil.example", "mailto:pay@evil.example", "tel:+123", "javascript:alert(1)",
        "data:text/html,x", "203.0.113.7/x", "<a href='https://evil.example'>", "<img src=//evil.example/i.png>",
        "evil.zip", "<b>evil.example</b>", "hxxps://evil.example",
    ],
)  # fmt: skip
def test_links_go(link: str) -> None:
    left = without_links(f"Please see {link} at once.")
    assert not re.search("evil|рф|203", left.lower())
    assert re.fullmatch("Please see .*at once.", left)


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("See [our file](https://evil.example).", "See our file."),
        ("See ![a picture](//evil.example/p.png).", "See a picture."),
        ("See [our file][1].\n[1]: //evil.example/c\nThanks.", "See our file.\n\nThanks."),
        ("Thank you.We will read it.", "Thank you. We will read it."),
        ("Go to Evil.Example now.", "Go to Evil. Example now."),
    ],
)
def test_words_of_links_stay(written: str, left: str) -> None:
    assert without_links(written) == left


@pytest.mark.parametrize(
    "text",
    [
        "Thank you for your mail of 12.11.2026, e.g. about § 5 Abs. 2, i.e. the lease at 10 a.m.",
        "We have read agreement.pdf and costs.xlsx in case 26-CV-17 (Roe v. Poe).",
        "Is it 3 < 4 and/or 1.500,00 EUR? Dr. Hale [sic] will say: it is.",
    ],
)
def test_plain_words_stay(text: str) -> None:
    assert without_links(text) == text


@given(some.text(alphabet="ab.:/@[]()<>hwt \n", max_size=60))
def test_nothing_is_left_to_take_out(text: str) -> None:
    once = without_links(text)
    assert without_links(once) == once
    assert not re.search(r"//\w|\w@\w+\.\w", once)
