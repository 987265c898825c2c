"""What is private in a text, and what only looks like it.

Numbers: cards from the processors' published test numbers, IBANs from the examples of SWIFT's registry, phone numbers
from the ranges that are set aside for fiction (Ofcom, NANPA), addresses from RFC 5737 and 3849, AWS's documented
example key.
"""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.routing.privacy.detect import Terms, findings, is_private
from chittycan.routing.privacy.identifiers import luhn, mod97


@pytest.mark.parametrize(
    ("kind", "value", "around"),
    [
        ("email", "anna.berg+case@law-office.example", "write to {} please"),
        ("card", "4242424242424242", "pay with {}."),
        ("card", "5555 5555 5555 4444", "number {} exp 11/27"),
        ("card", "180016070420458", "I lost my card {}"),
        ("iban", "GB29NWBK60161331926819", "to {} by Friday"),
        ("iban", "DE89 3704 0044 0532 0130 00", "konto {} bitte"),
        ("iban", "gb29nwbk60161331926819", "to {}, thanks"),
        ("ssn", "460-89-9847", "my SSN is {}"),
        ("ip", "203.0.113.7", "login from {}"),
        ("ip", "2001:db8::8a2e:370:7334", "seen at {}"),
        ("phone", "+44 20 7946 0958", "{}"),
        ("phone", "(212) 555-0123", "ring {} tonight"),
        ("phone", "212-555-0123", "{} any time"),
        ("phone", "555 0123", "my phone is {}"),
        ("phone", "01632 960123", "{}, after five"),
        ("phone", "01.99.00.12.34", "le soir: {}"),
        ("licence", "F162823540116", "driver's license {}"),
        ("crypto", "0x52908400098527886E0F7030069857D2E4169EE7", "send it to {}"),
        ("secret", "AKIAIOSFODNN7EXAMPLE", "aws: {}"),
        ("secret", "ghp_" + "a1B2" * 9, "token {}"),
        ("secret", "sk-ant-" + "a1B2c3" * 6, "{}"),
        ("secret", "xoxb-" + "123456789012-abcdef", "{}"),
        ("secret", "hunter2-Winter", "DB_PASSWORD={}"),
        ("secret", "s3cr3t!value", '"client_secret": "{}"'),
        ("secret", "postgres://app:p4ssw0rd@db.internal", "url: {}/x"),
        ("secret", "tr0ub4dor", "machine example.org login ann password {}"),
        ("secret", "tr0ub4dor", "db.example:5432:app:ann:{}"),
        ("private_key", "-----BEGIN PRIVATE KEY-----\nMC4CAQ/+\n-----END PRIVATE KEY-----", "it is {}."),
        ("private_key", "-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: X\n\nab=\n-----END RSA PRIVATE KEY-----", "{}"),
        ("private_key", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn", "{}, cut short"),
        ("card", "4242424242424242", "卡号{}，谢谢"),
        ("card", "４２４２ ４２４２ ４２４２ ４２４２", "カード番号は{}です"),
        ("email", "ann@example.org", "请联系" * 40 + "{}。"),
        ("email", "jörg.müller@example.org", "an {}, bitte"),
        ("phone", "01\u202f99\u202f00\u202f12\u202f34", "le soir : {}"),
        ("phone", "+44 20 7946‑0958", "{}"),
        ("iban", "DE89370400440532013000", "口座{}まで"),
        ("term", "Caf\\u00e9 Bl\\u00fcte", 'named "{}" in JSON'),
        ("email", "ann\\u0040example.org", '{{"to": "{}"}}'),
        ("card", "4242\u00ad4242\u200b4242\u20604242", "copied from a page: {}"),
        ("card", "4242.4242.4242.4242", "pay with {}"),
        ("card", "4242\u20034242\u20034242\u20034242", "pay with {}"),
        ("card", "๔๒๔๒๔๒๔๒๔๒๔๒๔๒๔๒", "บัตร {}"),
        ("email", "ann\u200b@exam\u00adple.org", "write to {} please"),
        ("email", "ann\\u0040exam\\u00adple.org", '{{"to": "{}"}}'),
        ("email", "ａｎｎ＠ｅｘａｍｐｌｅ．ｏｒｇ", "連絡先 {}"),
        ("email", "jörg@müller.example", "an {}, bitte"),
        ("email", "почта@пример.рф", "пишите: {}"),
        ("email", "ann@xn--e1afmkfd.xn--p1ai", "to {}"),
        ("email", "ann%40example.org", "https://example.com/unsubscribe?who={}&list=2"),
        ("iban", "DE89-3704-0044-0532-0130-00", "konto {}"),
        ("iban", "ＤＥ８９３７０４００４４０５３２０１３０００", "口座 {}"),
        ("phone", "+442079460958", "TEL;TYPE=CELL:{}"),
        ("phone", "+44 20 7946 0958", "Ann Berg,{},London"),
        ("phone", "030/123 45 67", "unter {} bis fünf"),
        ("phone", "+49 30/1234567", "unter {}"),
        ("secret", "hunter2-Winter", 'curl -d "{{\\"password\\": \\"{}\\"}}"'),
        ("secret", "hunter2x9", "password：{}"),
        ("secret", "hunter2x9", "My password is {} by the way"),
        ("secret", "sha256-hashed!9", "The password is {}"),
        ("secret", "12-horses", "The password is '{}'"),
        ("secret", "sk-ant-\u200b" + "a1B2c3" * 6, "{}"),
    ],
)
def test_is_found_where_it_stands(kind: str, value: str, around: str) -> None:
    terms = Terms(["Café Blüte"])
    text = around.format(value)
    found = findings(text, terms)
    assert [(each.kind, text[each.start : each.end]) for each in found] == [(kind, value)]
    assert is_private(text, terms)


@pytest.mark.parametrize(
    "text",
    [
        "", "Summarise this in three sentences.", "x" * 10_000, "Python 3.11.7 and 1.2.3.4.5", "version 10.0.0.1.2",
        "Order 4242424242424241 is late", "call 911", "on 2026-11-23 at 10:30:00", "1600 divided by 0.00003275",
        "0 25 50 75 100", "1,000,000.50 dollars", "the ratio 1:8:28:70:56:28:8:1", "localhost 127.0.0.1 and ::1",
        "f(12345678) = 9", "RFC 2119-2026", "ISBN 978-3-16-148410-0", "password: ******", "your api_key = YOUR_KEY",
        "token = os.environ['TOKEN']", "The secret: patience", "password = getpass()", "a@b", "user@localhost",
        "GB29 is a page", "x = [1, 2, 3, 4, 5, 6, 7]", "in 1939-1945", "sk-short", "0.613 3092 0.919",
        "the password is sha256-hashed", "My password is base64 encoded", "if the passphrase is 20+chars or more",
        "das Passwort ist 8-stellig", "the password is PBKDF2-derived", "the password is MD5-hashed.",
    ],
)  # fmt: skip
def test_only_looks_like_it(text: str) -> None:
    assert findings(text) == []
    assert not is_private(text)


def test_what_the_owner_named_is_private_as_whole_words() -> None:
    terms = Terms(["Project Bluebird", "Meyer"])
    text = "About project\n bluebird: Meyer, not Meyerhof."
    assert [text[each.start : each.end] for each in findings(text, terms)] == ["project\n bluebird", "Meyer"]
    assert not findings("Meyerhof", terms)
    assert not findings("anything", Terms(["", "  "]))


def test_however_many_and_however_long_they_are() -> None:
    many, long = [f"Client {number} AG" for number in range(3_000)], "A clause of a contract, word for word, " * 10
    terms = Terms([*many, long])
    for text in (f"so {many[0]} wrote", f"so {many[2_999]} wrote", long):
        assert is_private(text, terms)
    assert not is_private("so Client 3000 AGs wrote", terms)
    shorter = Terms(["client", "Client 12 AG", "Zz", "client of the other kind"])
    assert [each.end for each in findings("client 12 ag", shorter)] == [12]
    for word in ("ẞTRASSE", "ΣΊΣΥΦΟΣ", "ÄRZTE", "ſTADT"):
        assert is_private(f"so {word} wrote", Terms([word.lower()]))


def test_of_two_that_overlap_the_longer_one_counts() -> None:
    text = "mailto://ann:secret9pass@mail.example.org"
    found = findings(text)
    assert len(found) == 1
    assert "secret9pass" in text[found[0].start : found[0].end]


@given(st.integers(min_value=10**14, max_value=10**17 - 1))
def test_one_wrong_digit_is_never_right(number: int) -> None:
    digits = str(number)
    check = next(each for each in "0123456789" if luhn(digits + each))
    for wrong in set("0123456789") - {check}:
        assert not luhn(digits + wrong)


def test_iban_of_the_registry_is_right_and_others_are_not() -> None:
    assert mod97("GB29NWBK60161331926819")
    assert mod97("NO9386011117947")
    assert not mod97("GB29NWBK60161331926818")


@given(st.text(max_size=300))
def test_any_text_has_findings_that_lie_apart_within_it(text: str) -> None:
    found = findings(text)
    assert all(0 <= each.start < each.end <= len(text) for each in found)
    assert all(one.end <= other.start for one, other in pairwise(found))
    assert is_private(text) == bool(found)


@given(
    st.sampled_from(["4242424242424242", "anna@law.example", "460-89-9847", "+44 20 7946 0958"]), st.text(max_size=60)
)
def test_what_stands_around_does_not_hide_it(value: str, around: str) -> None:
    assert is_private(f"{around} {value} .")


LONG = "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgHiJkLmNoPqR"
SECRETS = [
    "AKIAABCDEFGHIJKLMNOP", "ghp_" + LONG, "github_pat_" + LONG, "glpat-" + LONG, "xoxb-" + LONG, "sk_live_" + LONG,
    "whsec_" + LONG, "sk-" + LONG, "gsk_" + LONG, "hf_" + LONG, "AIza" + LONG[:35], "ya29." + LONG, "npm_" + LONG,
    "pypi-" + LONG * 2, f"SG.{LONG}.{LONG}", "shpat_" + "ab" * 16, f"eyJ{LONG}.eyJ{LONG}.{LONG}",
    "$1$" + LONG, "db://ann:geheim!nis@host", "password=geheim!nis", "machine host login ann password geheim!nis",
    "host:1:base:ann:geheim!nis", "Authorization: Bearer " + LONG + "/x",
]  # fmt: skip
# Letters that a pattern which ignores case takes for these.
LONG_S, DOTLESS_I, DOTTED_I = "\N{LATIN SMALL LETTER LONG S}", "\N{LATIN SMALL LETTER DOTLESS I}", "\u0130"
ALIKE = str.maketrans({"s": LONG_S, "k": "\N{KELVIN SIGN}", "i": DOTLESS_I})


@given(st.sampled_from(SECRETS), st.text(alphabet=f"abc .,\n{LONG_S}{DOTLESS_I}{DOTTED_I}", max_size=40))
def test_no_secret_is_hidden_by_what_is_looked_for_first(secret: str, around: str) -> None:
    assert is_private(f"{around}\n{secret}\n{around}")


@pytest.mark.parametrize(
    ("form", "word"),
    [("{}=geheim!nis", word) for word in ("password", "PASSWORD", "token", "api_key", "credentials", "passphrase")]
    + [('"{}": "geheim!nis"', "client_secret"), ("machine a.b login ann {} geheim!nis", "password")],
)
def test_a_word_is_known_however_its_letters_are_written(form: str, word: str) -> None:
    text = form.format(word.translate(ALIKE))
    assert [text[each.start : each.end] for each in findings(text)] == ["geheim!nis"]
    assert is_private(text)
