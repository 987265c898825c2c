"""Mails of ours as bytes: what a mail program reads in them, and what cannot get into them."""

import email
from email import policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.errors import InvalidRequest
from chittycan.integrations.email.compose import Mail, compose, message_id, sender, unlisted

BY = sender("Kanzlei Müller <office@example.com>")
ID = message_id("task-1", "example.com")


def composed(mail: Mail, id: str = ID) -> bytes:
    return compose(mail, by=BY, id=id, at=1_800_000_000.0)


def read(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_a_mail_program_reads_what_was_meant() -> None:
    mail = Mail(
        to=("anna@example.org", "bob@example.net"),
        subject="Ihre Kündigung – eingegangen. " * 8 + "Ende",
        text="Grüße\n.\n..zwei\nFrom here on\n" + "x" * 3000,
        in_reply_to="<" + "a" * 200 + "@example.org>",
        references=("<first@example.org>", "<" + "a" * 200 + "@example.org>"),
    )
    data = composed(mail)
    message = read(data)
    assert message["From"].addresses[0].display_name == "Kanzlei Müller"
    assert message["To"] == "anna@example.org, bob@example.net"
    assert message["Subject"] == mail.subject
    assert message.get_content().replace("\r\n", "\n") == mail.text + "\n"
    assert (message["Message-ID"], message["In-Reply-To"]) == (ID, mail.in_reply_to)
    assert message["References"].split() == list(mail.references)
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["Date"].datetime.timestamp() == 1_800_000_000
    assert data.isascii()
    assert max(map(len, data.split(b"\r\n"))) <= 998


def test_a_mail_that_a_person_approved_does_not_call_itself_automatic() -> None:
    mail = Mail(to=("anna@example.org",), subject="Hello", text="Hi", automatic=False)
    assert "Auto-Submitted" not in read(composed(mail))


def test_the_same_key_gives_the_same_message_id() -> None:
    assert message_id("k", "example.com") == message_id("k", "example.com") != message_id("l", "example.com")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("subject", "Hello\r\nBcc: eve@example.com"),
        ("subject", "Hello\nthere"),
        ("subject", "a\x00b"),
        ("subject", "a\u2028b"),
        ("subject", "x" * 1000),
        ("to", ()),
        ("to", ("anna@example.org\r\nBcc: eve@example.com",)),
        ("to", ("anna@example.org, eve@example.com",)),
        ("to", ("Anna <anna@example.org>",)),
        ("to", ("anna",)),
        ("to", ("@example.org",)),
        ("to", ("änna@example.org",)),
        ("to", ("a@b> SIZE=1",)),
        ("to", ("anna@example.org",) * 51),
        ("in_reply_to", "<a@b>\r\nBcc: eve@example.com"),
        ("in_reply_to", "a@b"),
        ("references", ("<a@b>", "<c d@e>")),
        ("text", "x" * 1_000_001),
        ("text", "lone \ud800"),
    ],
)
def test_what_would_break_out_of_its_place_is_refused_by_name(field: str, value: object) -> None:
    fields: dict[str, object] = {"to": ("anna@example.org",), "subject": "Hello", "text": "Hi", field: value}
    with pytest.raises(InvalidRequest) as caught:
        composed(Mail(**fields))  # type: ignore[arg-type]
    assert caught.value.param == field


@given(st.text(max_size=200), st.text(max_size=500))
def test_no_subject_and_no_text_adds_a_header(subject: str, text: str) -> None:
    try:
        data = composed(Mail(to=("anna@example.org",), subject=subject, text=text))
    except InvalidRequest:
        return
    assert set(read(data).keys()) == {
        "Message-ID", "From", "To", "Subject", "Date", "Auto-Submitted", "Content-Type", "Content-Transfer-Encoding",
        "MIME-Version",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "office", "Office <office>", "a@b, c@d", "x\r\n <office@example.com>"])
def test_a_sender_is_one_address(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        sender(text)
    assert caught.value.param == "smtp.from"


@pytest.mark.parametrize(
    ("allow", "left"),
    [
        ((), ("anna@example.org", "bob@Example.NET")),
        (("example.org",), ("bob@Example.NET",)),
        (("@example.org", "BOB@example.net"), ()),
        (("anna@example.org",), ("bob@Example.NET",)),
        (("ample.org", "org"), ("anna@example.org", "bob@Example.NET")),
        (("*",), ()),
    ],
)
def test_the_list_covers_addresses_and_whole_domains(allow: tuple[str, ...], left: tuple[str, ...]) -> None:
    assert unlisted(("anna@example.org", "bob@Example.NET"), allow) == left
