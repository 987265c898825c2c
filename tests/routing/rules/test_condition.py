"""Conditions: what they mean, and what is said of those that cannot be read."""

from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.errors import InvalidRequest
from chittycan.routing.rules.condition import RuleError, check_facts, fields_of, parse
from chittycan.routing.rules.fields import FIELDS, OPERATORS, VALUES

MAIL: dict[str, Any] = {
    "from": "Anna Berg <anna@court.example>", "subject": "Invoice 4711 (second)", "priority": "HIGH", "confidence": 0.9,
    "has": ["attachment", "pdf"], "size": 3_000_000, "age": 7200.0, "sender-known": True, "dkim": "pass",
    "label": ["billing", "urgent"], "kind": "email.triage", "header.x-spam": "no", "branch": "main",
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "priority:high", "priority>normal", "priority<critical", "from:@court.example", "FROM:anna",
        'subject:"invoice 4711"',
        'subject:"(second)"', r'subject~"invoice \d+"', "confidence>0.8", "has:pdf", "size>2mb", "size<4mb", "age<1d",
        "age>1h", "sender-known:true", "dkim:pass", "label:urgent", "kind:email.*", "kind=email.triage",
        "header.x-spam:no", "branch:main", "-branch:dev", "-(branch:dev OR label:spam)", "branch:main label:billing",
        "branch:main AND label:billing", "branch:dev OR label:billing", "(branch:dev OR branch:main) -has:image",
        "branch:dev label:none OR priority:high", "from=\"anna berg <anna@court.example>\"",
    ],
)  # fmt: skip
def test_holds(text: str) -> None:
    assert parse(text).holds(MAIL)


@pytest.mark.parametrize(
    "text",
    [
        "priority:low", "priority<high", "from:@court.example -has:attachment", "confidence<0.8", "confidence=0.8",
        "repo:web", "repo~.*", "branch:main label:none", "-branch:main", "kind:email", "kind:mail.*", "size<2mb",
        "branch:dev OR (label:billing kind:other)", "account:any",
    ],
)  # fmt: skip
def test_does_not_hold(text: str) -> None:
    assert not parse(text).holds(MAIL)


@pytest.mark.parametrize(
    "sender",
    ["clerk@court.example <x@evil.example>", "x@court.example.evil.example", "x@evil.example <court.example@a.example>",
     "x@notcourt.example"],
)  # fmt: skip
def test_nobody_is_of_a_domain_by_name(sender: str) -> None:
    assert not parse("from:@court.example OR from:clerk@court.example").holds({"from": sender})


@pytest.mark.parametrize(
    "text",
    ["from:anna@court.example", "from=anna@court.example", "from:@Court.Example", "from:anna@", "from:@court",
     "from:berg", "to:@b.example", "from~court"],
)  # fmt: skip
def test_people_are_known_by_address_and_by_name(text: str) -> None:
    assert parse(text).holds({**MAIL, "to": ["Ann <a@a.example>", "b@b.example"]})


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("", 1, "a condition is needed"),
        ("priority:urgent", 10, "none of low, normal, high, critical"),
        ("subjekt:x", 1, "did you mean subject"),
        ("branch:main AND", 16, "missing at the end"),
        ("branch=", 8, "value is missing"),
        ("branch:main label:(a b)", 19, "parentheses"),
        ("-branch: ", 10, "value is missing"),
        ("from:(a", 6, "parentheses"),
        ("subject~(a+)+$", 9, "parentheses"),
        ("branch:main OR )", 16, "a test is needed"),
        ("(branch:main", 1, "never closed"),
        ("branch:main)", 12, "never opened"),
        ("branch<main", 7, "cannot be asked with <"),
        ("confidence>much", 12, "'much' is no number"),
        ("tokens>nan", 8, "'nan' is no number"),
        ("age<2 days", 5, "no amount"),
        ('subject~"(a"', 10, "no regular expression"),
        ('subject:"open', 9, "never closed"),
        ("branch:main ANDOR label:x", 13, "cannot stand here"),
        ("from:ann, to:bob", 9, "comma joins nothing"),
        ("from:ann,to:bob", 9, "comma joins nothing"),
        ('from:""', 7, "value is empty"),
        ("branch:release/*", 8, "at the end"),
        ("kind:email*", 6, "at the end"),
        ("NOT from:ann", 1, "written as a minus"),
        ("from:ann AND not to:bob", 14, "written as a minus"),
        ("- from:ann", 1, "nothing stands between a minus"),
        ('subject~"(?:(?:a{500}){500}){500}"', 10, "repeats"),
        ('subject~"((a{500,}){500,}){500,}"', 10, "repeats"),
        ("dkim:maybe", 6, "none of pass, fail, none"),
        ("(" * 30 + "branch:x" + ")" * 30, 21, "parentheses"),
    ],
)
def test_a_mistake_names_its_column_and_a_fix(text: str, column: int, says: str) -> None:
    with pytest.raises(RuleError, match=says) as caught:
        parse(text)
    assert caught.value.column == column
    assert caught.value.fix


HOSTILE = 'body~"(a|aa)+$"'
ENDLESS = {"body": "a" * 5_000 + "b"}


def test_facts_have_the_names_that_conditions_ask_for() -> None:
    check_facts(["branch", "header.x-priority", *FIELDS])
    for name, says in (("brnch", "did you mean branch"), ("Branch", "did you mean branch"), ("header.", "no rule")):
        with pytest.raises(InvalidRequest, match=says) as refused:
            check_facts(["repo", name])
        assert refused.value.param == "facts"


def test_of_a_hostile_pattern_nobody_can_tell() -> None:
    assert parse(HOSTILE).holds(ENDLESS) is None
    assert parse(f"-{HOSTILE}").holds(ENDLESS) is None


def test_of_what_is_too_long_to_search_nobody_can_tell() -> None:
    long = {"body": "word " * 30_000 + "privileged"}
    assert parse("body:privileged").holds(long) is True
    assert parse("body~priv.leged").holds(long) is None
    assert parse("body~^word").holds(long) is True


def test_a_letter_is_the_same_however_it_is_written() -> None:
    composed, apart = "Müller Ångström", normalize("NFD", "Müller Ångström")
    for written in (composed, apart):
        for said in (composed, apart):
            facts = {"subject": f"Re: {said}", "from": f"{said} <a@b.example>", "branch": said}
            for asked in ('subject:"{}"', 'subject~"^re: {}$"', 'from:"{}"', 'branch:"{}"', 'branch="{}"'):
                assert parse(asked.format(written.upper())).holds(facts), (asked, written, said)


def test_what_is_known_can_settle_what_is_in_doubt() -> None:
    facts = {**ENDLESS, "branch": "main"}
    assert parse(f"{HOSTILE} branch:main").holds(facts) is None
    assert parse(f"{HOSTILE} branch:dev").holds(facts) is False
    assert parse(f"{HOSTILE} OR branch:main").holds(facts) is True
    assert parse(f"-({HOSTILE} OR branch:main)").holds(facts) is False


def test_a_branch_is_meant_whole() -> None:
    assert parse("branch:main").holds({"branch": "main"})
    assert not parse("branch:main").holds({"branch": "maintenance"})


def test_fields_are_known() -> None:
    assert parse(r'subject~"\d{4}-\d{2}-\d{2} .{1,200}"').holds({"subject": "on 2026-11-23 we"})
    assert fields_of(parse("branch:x OR -(label:y has:pdf)")) == {"branch", "label", "has"}


WORDS = st.text(
    st.characters(codec="ascii", exclude_characters='()",* \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f'), min_size=1, max_size=6
)
TEXTS = sorted(name for name, kind in FIELDS.items() if kind in ("text", "choice") and name not in VALUES)
TESTS = st.builds("{}{}{}".format, st.sampled_from(TEXTS), st.sampled_from([":", "="]), WORDS)
CONDITIONS = st.recursive(
    TESTS,
    lambda inner: (
        st.builds("({} AND {})".format, inner, inner)
        | st.builds("({} OR {})".format, inner, inner)
        | st.builds("-({})".format, inner)
    ),
    max_leaves=8,
)


@given(CONDITIONS, CONDITIONS, st.dictionaries(st.sampled_from(TEXTS), WORDS))
def test_logic_is_that_of_python(one: str, other: str, facts: dict[str, str]) -> None:
    a, b = parse(one).holds(facts), parse(other).holds(facts)
    assert parse(f"{one} {other}").holds(facts) is all([a, b])
    assert parse(f"{one} OR {other}").holds(facts) is any([a, b])
    assert parse(f"-({one})").holds(facts) is (not a)
    assert parse(f"{one} OR {one} AND {other}").holds(facts) is a


PIECES = st.sampled_from([*'():=~<>"-\\ ', "priority", "OR", "AND", "from", "low", "x"])


@given(st.lists(PIECES, max_size=12).map("".join))
def test_any_text_is_a_condition_or_a_mistake(text: str) -> None:
    mistakes = []
    try:
        parse(text).holds(MAIL)
    except RuleError as error:
        mistakes.append(error)
    assert all(1 <= error.column <= len(text) + 1 for error in mistakes)


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_can_be_asked(field: str) -> None:
    value = {"level": "low", "number": "1", "duration": "1h", "size": "1kb", "flag": "true"}
    written = VALUES.get(field, (value.get(FIELDS[field], "x"),))[0]
    assert not parse(f"{field}{OPERATORS[FIELDS[field]][0]}{written}").holds({})


@pytest.mark.parametrize("pattern", [".{0,200}foo.{0,200}bar.{0,200}", "[({]{1,999}(?:a{9}|b{99}){9}c{1,999}d{1,999}"])
def test_repetitions_beside_each_other_are_few(pattern: str) -> None:
    parse(f'subject~"{pattern}"')


@pytest.mark.parametrize("pattern", ["((a{99}){99}b{9}){999}", "(?:[)]a{999,}){9,1001}", r"(?:\\(a{1001}){1001}"])
def test_repetitions_within_each_other_are_many(pattern: str) -> None:
    with pytest.raises(RuleError, match="more than 1,000,000 times"):
        parse(f'subject~"{pattern}"')
