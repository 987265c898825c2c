"""Whose word on a mail counts, and what it says: headers that anybody may have written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.integrations.email.authentication import UNSET, Verdicts, likely, verdicts
from chittycan.integrations.email.message import MAX_HEADER, Mail, parse

OURS = "mx.firm.example"
ALL = "dkim=pass header.d=court.example; spf=pass smtp.mailfrom=court.example; dmarc=pass header.from=court.example"


def mail(*headers: str, sender: str = "Clerk <clerk@court.example>") -> Mail:
    """`headers`: values of Authentication-Results, the topmost first."""
    lines = [f"From: {sender}", *(f"Authentication-Results: {each}" for each in headers)]
    return parse("\r\n".join([*lines, "", "Hello"]).encode())


def said(*headers: str, server: str | None = OURS, **more: Any) -> tuple[str, str, str]:
    found = verdicts(mail(*headers, **more), server)
    return found.dkim, found.spf, found.dmarc


NOTHING = ("none", "none", "none")
EVERYTHING = ("pass", "pass", "pass")


def test_what_the_own_server_says_counts() -> None:
    assert said(f"{OURS}; {ALL}") == EVERYTHING
    assert verdicts(mail(f"{OURS}; {ALL}"), OURS).why is None
    assert said(f"{OURS}; dkim=fail; spf=softfail; dmarc=fail header.from=court.example") == ("fail", "none", "fail")


@pytest.mark.parametrize(
    "value",
    [
        f"{OURS.upper()} 1; {ALL}",
        f"(ours) {OURS} (v) 1 (x); {ALL}",
        f'"{OURS}"; {ALL}',
        f"{OURS};\r\n\tdkim=pass header.d=court.example;\r\n spf = pass;\r\n  dmarc=pass\r\n header.from=Court.Example",
        f"{OURS}; DKIM/1=PASS; spf=pass (a; b (c \\) d)); dmarc=pass (p=reject) header.from=court.example;",
        f'{OURS}; dkim=pass reason="good; really"; spf=pass; dmarc=pass header.from="court.example"',
        f"{OURS}; dkim=fail header.d=list.example; dkim=pass header.d=court.example; spf=pass; "
        "dmarc=pass header.from=court.example",
    ],
    ids=["case and version", "comments", "quoted name", "folded", "odd", "quoted reason", "two signatures"],
)
def test_it_is_read_as_the_standard_has_it(value: str) -> None:
    assert said(value) == EVERYTHING


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [f"mx.evil.example; {ALL}"],
        [f"mx.evil.example; {ALL}", f"{OURS}; {ALL}"],
        [f"{OURS}.evil.example; {ALL}"],
        [f"evil.{OURS}; {ALL}"],
        [f"{OURS}; none", f"{OURS}; {ALL}"],
        [f"evil.example ({OURS}); {ALL}"],
        [f"({OURS}); {ALL}"],
        [f"evil.example {OURS}; {ALL}"],
        [f"{OURS} 2; {ALL}"],
        [f"{OURS}, {ALL}"],
        [f"{OURS} {ALL}"],
        [f"; {OURS}; {ALL}"],
        [f"{OURS}; ({ALL})"],
        [f"{OURS}; (not closed; {ALL}"],
        [f"{OURS}); {ALL}"],
        [f'{OURS}; spf=none smtp.mailfrom="x; {ALL}"@evil.example'],
        [f'{OURS}; spf=none smtp.mailfrom="x\\"; {ALL}'],
        [f"{OURS}; x={'y' * MAX_HEADER}; {ALL}"],
    ],
)
def test_what_others_say_does_not_count(headers: list[str]) -> None:
    assert said(*headers) == NOTHING


def test_without_a_server_of_ours_nobodys_word_counts() -> None:
    assert said(f"{OURS}; {ALL}", server=None) == NOTHING
    assert said(f"; {ALL}", server="") == NOTHING
    assert verdicts(mail(f"{OURS}; {ALL}"), None).why == UNSET


def test_the_reason_names_both_servers() -> None:
    assert verdicts(mail(f"mx.evil.example; {ALL}"), OURS).why == (
        f"its topmost Authentication-Results are by mx.evil.example, not by {OURS}"
    )


@pytest.mark.parametrize(
    ("results", "sender"),
    [
        ("dmarc=pass header.from=evil.example", "clerk@court.example"),
        ("dmarc=pass", "clerk@court.example"),
        ("dmarc=pass header.from=", ""),
        ("dmarc=pass header.from=court.example; dmarc=none", "clerk@court.example"),
    ],
)
def test_dmarc_is_of_the_domain_in_from_alone(results: str, sender: str) -> None:
    assert said(f"{OURS}; {results}", sender=sender)[2] == "none"
    assert said(f"{OURS}; {results}; dmarc=fail", sender=sender)[2] == "fail"


def test_a_server_is_likely_ours_where_most_mails_bear_its_word() -> None:
    ours, theirs, without = mail(f"{OURS}; none"), mail("mx.evil.example; none"), mail()
    assert likely([ours, ours, theirs]) == OURS
    assert likely([ours, theirs]) is None
    assert likely([ours, without, without]) is None
    assert likely([mail("spf=pass smtp.mailfrom=x; dkim=pass")] * 3) is None


@given(st.text(alphabet='abx.;=()"\\ \t', max_size=60))
def test_no_header_passes_by_accident(noise: str) -> None:
    """Whatever a server quotes of what a stranger wrote, its own result beside it stands."""
    quoted = noise.replace("\\", "\\\\").replace('"', '\\"')
    value = f'{OURS}; spf=fail smtp.mailfrom="{quoted}; dmarc=pass header.from=court.example"@x; dmarc=fail'
    assert said(value) == ("none", "fail", "fail")
    assert isinstance(verdicts(mail(noise), noise or None), Verdicts)
