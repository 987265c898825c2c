"""Links that show one address and lead to another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.integrations.email.links import mislead, site
from chittycan.integrations.email.message import parse


@pytest.mark.parametrize(
    ("link", "misleads"),
    [
        ('<a href="https://login.evil.example/x">https://www.bank.example/login</a>', True),
        ("<A class=b HREF=http://evil.example><b>www.bank.example</b></A>", True),
        ('<a href="https://bank.example@evil.example/">http://bank.example</a>', True),
        ('<a href="https://mail.bank.example/x?y=1">www.bank.example</a>', False),
        ('<a href="https://evil.example">Click here</a>', False),
        ('<a href="https://evil.example">contract.pdf</a>', False),
        ('<a href="mailto:a@b.example">www.bank.example</a>', False),
        ('<a href="https://[broken">www.bank.example</a>', False),
        ('<a href="https://evil.example">www.bank.example', False),
        ("<a", False),
    ],
)
def test_address_that_shows_and_where_it_leads(link: str, misleads: bool) -> None:
    assert mislead(f"<p>Dear client</p>{link}") is misleads
    raw = f"From: a@b.example\nContent-Type: text/html\n\n<p>Dear client</p>{link}"
    assert parse(raw.encode()).misleading_link is misleads


@pytest.mark.parametrize(
    ("host", "registered"),
    [
        ("www.shop.example", "shop.example"),
        ("a.b.firm.co.uk", "firm.co.uk"),
        ("x.gov.pl", "x.gov.pl"),
        ("LOCALHOST", "localhost"),
    ],
)
def test_part_of_a_name_that_somebody_registered(host: str, registered: str) -> None:
    assert site(host) == registered


@given(st.text(alphabet="<>/a href=\"'https:w.bc1[]@\n", max_size=300))
def test_no_page_is_too_odd(html: str) -> None:
    mislead(html)
