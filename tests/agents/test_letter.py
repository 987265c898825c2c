"""A draft as the mail that would go out: what is in it, what cannot be, and what a person is told to look at."""

import email
from collections.abc import Callable
from email import policy
from email.message import EmailMessage

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.agents.letter import Letter, cautions, composed, fingerprint, letter_of, others, parse_people, quoted
from chittycan.errors import InvalidRequest
from chittycan.integrations.email.headers import Address
from chittycan.integrations.email.message import Mail
from chittycan.store.drafts import Draft

ID, OWN = "<1@firm.example>", frozenset({"us@firm.example"})
Make = Callable[..., Mail]


def draft(**fields: object) -> Draft:
    known: dict[str, object] = {
        "id": "re-a", "mail_id": "a", "idempotency_key": "k", "subject": "Re: Lease", "body": "You may.\n",
        "recipients": '[{"name":"Ann Bell","address":"ann@bell.example"}]', "in_reply_to": "<1@bell.example>",
        "thread": '["<1@bell.example>"]', "template": "standard", "warnings": "[]", "by_model": None, "created": 1.0,
        "changed": 1.0,
    }  # fmt: skip
    return Draft(**{**known, **fields})  # type: ignore[arg-type]


def of(**fields: object) -> Letter:
    return letter_of(draft(**fields), "Firm <us@firm.example>")


def read(letter: Letter) -> EmailMessage:
    message = email.message_from_bytes(composed(letter, message_id=ID, at=1.0), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


HEADERS = {
    "Message-ID", "In-Reply-To", "References", "From", "To", "Subject", "Date", "Content-Type",
    "Content-Transfer-Encoding", "MIME-Version",
}  # fmt: skip


@given(st.text(max_size=120), st.text(max_size=80), st.text(max_size=300))
def test_nothing_that_a_stranger_wrote_becomes_a_header(subject: str, name: str, body: str) -> None:
    people = msgspec.json.encode([{"name": name.encode("utf-8", "replace").decode(), "address": "ann@bell.example"}])
    try:
        message = read(of(subject=subject, recipients=people.decode(), body=f"x{body}"))
    except InvalidRequest:  # of characters that no text has
        return
    assert set(message.keys()) == HEADERS
    (to,) = message["To"].addresses
    assert to.addr_spec == "ann@bell.example"
    assert "\n" not in message["Subject"]


@given(st.text(max_size=500))
def test_a_text_arrives_as_it_was_approved(body: str) -> None:
    letter = of(body=f"x{body}")
    try:
        arrived = str(read(letter).get_content())
    except InvalidRequest:
        return
    # Mail knows one kind of line end.
    assert arrived.splitlines() == letter.text.splitlines()


@pytest.mark.parametrize("body", ["x" * 5000, "Größe " * 400, "ß" * 998, "short"])
def test_long_lines_and_umlauts_go_out_as_lines_that_every_server_takes(body: str) -> None:
    raw = composed(of(body=body), message_id=ID, at=1.0)
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"base64" not in raw.lower()
    assert str(read(of(body=body)).get_content()).strip() == body.strip()


def test_a_name_that_could_pass_for_an_address_is_left_out() -> None:
    letter = of(recipients='[{"name":"boss@firm.example","address":"ann@bell.example"}]')
    assert read(letter)["To"] == "ann@bell.example"


def test_identifiers_that_are_none_are_left_out_of_the_thread() -> None:
    letter = of(in_reply_to="<ä@b>", thread='["<a@b>","<c d>","<a@b>","no"]')
    assert (letter.in_reply_to, letter.references) == (None, ("<a@b>",))


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "Re: x"}, {"body": "You may not."}, {"in_reply_to": None}, {"thread": "[]"}, {"account": "b"},
        {"cc": '[{"name":"","address":"bob@bell.example"}]'}, {"automatic": True},
        {"recipients": '[{"name":"","address":"ann@bell.example"}]'},
    ],
)  # fmt: skip
def test_the_fingerprint_is_of_everything_that_goes_out(change: dict[str, object]) -> None:
    assert fingerprint(of(**change)) != fingerprint(of())
    assert fingerprint(letter_of(draft(), "b@firm.example")) != fingerprint(of())


def test_the_fingerprint_is_of_nothing_else() -> None:
    same = of(id="re-b", created=2.0, changed=3.0, template="other", warnings='["x"]', body="You may.\r\n\n")
    assert fingerprint(same) == fingerprint(of())


def test_people_are_read_as_one_address_each() -> None:
    given = ["Ann Bell <ann@bell.example>", "bob@bell.example", "ANN@bell.example"]
    assert [each.address for each in parse_people(given, "to")] == ["ANN@bell.example", "bob@bell.example"]
    for wrong in ("ann", "a@b.example, c@d.example", "x\nBcc: <a@b.example>", ""):
        with pytest.raises(InvalidRequest) as caught:
            parse_people([wrong], "cc")
        assert caught.value.param == "cc"


def test_others_are_whoever_else_got_the_mail(letter: Make) -> None:
    mail = letter(To="US@firm.example, Bob <bob@b.example>", Cc="bob@b.example, carl@c.example")
    found = others(mail, (Address("", "carl@c.example"),), OWN)
    assert found == (Address("", "bob@b.example"),)


def test_a_quote_is_cut_and_marked(letter: Make) -> None:
    said = quoted(letter("one\n\n" + "line\n" * 400))
    assert said.startswith("Ann Bell:\n> one\n>\n> line\n")
    assert said.endswith("> […]")
    assert said.count("\n") == 201


@pytest.mark.parametrize(
    ("body", "caution"),
    [
        ("The contract is attached.", "speaks of an attachment, and has none"),
        ("Den Vertrag finden Sie anbei.", "speaks of an attachment, and has none"),
        ("Dear {{name}}, we will.", 'says "{{name}}"'),
        ("See you on [date].", 'says "[date]"'),
        ("TODO: look it up", 'says "TODO"'),
        ("We guarantee it.", 'says "we guarantee"'),
        ("It costs USD 200.", "names an amount of money"),
    ],
)
def test_what_a_person_should_see_twice(body: str, caution: str, letter: Make) -> None:
    assert caution in cautions(of(body=body), letter(), verified=True)


def test_what_is_only_quoted_is_nobodys_promise(letter: Make) -> None:
    assert cautions(of(body="No.\n\nAnn:\n> see attached\n> we guarantee"), letter(), verified=True) == []


def test_strangers_and_unverified_senders_are_pointed_out(letter: Make) -> None:
    elsewhere = of(recipients='[{"name":"","address":"eve@evil.example"}]')
    assert cautions(elsewhere, letter(), verified=False) == [
        "it is not verified that the mail came from ann@bell.example",
        "eve@evil.example did not get the mail that this answers",
        "the reply goes to eve@evil.example, but the mail came from ann@bell.example",
    ]
    assert cautions(of(), letter(), verified=None) == []
