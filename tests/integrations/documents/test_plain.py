"""Text in any character set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.integrations.documents.plain import decode


@pytest.mark.parametrize(
    ("data", "declared", "text"),
    [
        ("Grüße".encode(), None, "Grüße"),
        ("Grüße".encode("utf-8-sig"), None, "Grüße"),
        ("Grüße".encode("utf-16"), None, "Grüße"),
        ("Grüße".encode("utf-16-be"), "utf-16-be", "Grüße"),
        ("Grüße".encode("latin-1"), None, "Grüße"),
        ("“5 €”".encode("cp1252"), None, "“5 €”"),
        ("日本".encode("shift_jis"), "shift_jis", "日本"),
        ("Grüße".encode(), "no-such-charset", "Grüße"),
        ("Grüße".encode("latin-1"), "utf-8", "Grüße"),
        (b"a\r\nb\rc\n", None, "a\nb\nc\n"),
    ],
)
def test_charsets(data: bytes, declared: str | None, text: str) -> None:
    assert decode(data, declared) == (text, ())


def test_bytes_that_mean_nothing_are_counted() -> None:
    text, defects = decode(b"a\x81b\xff")
    assert text == "a\ufffdbÿ"
    assert defects == ("1 characters could not be read",)


@given(st.binary(), st.none() | st.text(max_size=12))
def test_never_fails(data: bytes, declared: str | None) -> None:
    text, _ = decode(data, declared)
    assert "\r" not in text
