"""What needs no model, and above all what must not be taken for it."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from chittycan.agents.prefilter import settle
from chittycan.agents.response import obstacle
from chittycan.agents.wording import Wording
from chittycan.integrations.email.message import Mail, parse
from chittycan.integrations.email.sources import open_source

Letter = Callable[..., Mail]


@pytest.mark.parametrize(("start", "reason"), [("07", "newsletter"), ("08", "auto_reply"), ("09", "spam")])
def test_newsletter_automatic_reply_and_spam_are_settled(
    start: str, reason: str, sample: Callable[[str], Mail]
) -> None:
    settled = settle(Wording(sample(start)))
    assert settled is not None
    assert settled.reason == reason


@pytest.mark.parametrize("start", ["01", "02", "03", "04", "05", "06", "10", "11", "12", "13"])
def test_mail_that_matters_goes_on(start: str, sample: Callable[[str], Mail]) -> None:
    assert settle(Wording(sample(start))) is None


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"List-Id": "<a.example>", "List-Unsubscribe": "<https://a.example>"}, "newsletter"),
        ({"Precedence": "bulk"}, "newsletter"),
        ({"Auto-Submitted": "auto-replied (vacation)"}, "auto_reply"),
        ({"X-Autoreply": "yes"}, "auto_reply"),
        ({"Subject": "Out of Office: back on Monday"}, "auto_reply"),
        ({"Subject": "Abwesenheitsnotiz: Urlaub"}, "auto_reply"),
        ({"From": "noreply@shop.example"}, "notification"),
        ({"From": "MAILER-DAEMON@mx.example"}, "notification"),
        ({"Auto-Submitted": "auto-generated"}, "notification"),
    ],
    ids=str,
)
def test_clear_headers_settle(headers: dict[str, str], reason: str, letter: Letter) -> None:
    settled = settle(Wording(letter("Your parcel is on its way.", **headers)))
    assert settled is not None
    assert settled.reason == reason


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto-Submitted": "no"},
        {"X-Auto-Response-Suppress": "All"},  # Exchange writes it on ordinary mail
        {"Subject": "Re: out of office space in Mill Lane"},
        {"From": "norepaldi@client.example"},
        {"Precedence": "list", "In-Reply-To": "<ticket@desk.example>"},  # answers from ticket systems
        {"List-Unsubscribe": "<mailto:x@y.example>", "Subject": "Your lawsuit and the settlement"},
        {"X-Spam-Flag": "YES"},  # anyone could write that
        {"From": "no-reply@court.example", "Subject": "Notice of hearing"},
        {"Auto-Submitted": "auto-generated", "Subject": "Security incident at your data centre"},
    ],
    ids=str,
)
def test_what_could_be_a_clients_mail_goes_on(headers: dict[str, str], letter: Letter) -> None:
    assert settle(Wording(letter("Can you help me?", **headers))) is None


def test_angry_client_with_money_and_capitals_is_no_spam(letter: Letter) -> None:
    mail = letter(
        "They OWE ME $45,000 and I want it NOW. The wire transfer never came!!",
        Subject="UNBELIEVABLE!!! PLEASE HELP NOW",
    )
    assert settle(Wording(mail)) is None


def test_list_of_the_owners_own_is_no_newsletter(letter: Letter) -> None:
    mail = letter("I need a lawyer.", List_Id="<intake.firm.example>", List_Unsubscribe="<mailto:l@firm.example>")
    assert settle(Wording(mail)) is not None
    assert settle(Wording(mail), own_domains=frozenset({"firm.example"})) is None


def test_word_of_the_own_server_on_who_wrote_it_is_a_sign_of_spam(letter: Letter) -> None:
    text = "Click here to claim your prize, risk free."
    results = "mx.firm.example; dmarc=fail header.from=prize.example"
    mail = letter(text, From="Prize <a@prize.example>", Authentication_Results=results)
    assert settle(Wording(mail)) is None
    assert settle(Wording(mail), authserv="mx.other.example") is None
    settled = settle(Wording(mail), authserv="mx.firm.example")
    assert settled is not None
    assert (settled.reason, "forged" in settled.why) == ("spam", True)


def test_real_mail_from_people_is_never_called_spam(shared_data: Path) -> None:
    reasons: Counter[str] = Counter()
    for kind in ("easy_ham", "hard_ham", "spam"):
        for raw in open_source(shared_data / "mail" / kind):
            settled = settle(Wording(parse(raw.raw)))
            reasons[f"{kind}: {settled.reason if settled else 'goes on'}"] += 1
    assert reasons["easy_ham: spam"] == reasons["hard_ham: spam"] == 0
    assert reasons["easy_ham: newsletter"] > 100  # most of it went to lists
    assert reasons["spam: spam"] > 0


@pytest.mark.parametrize(
    ("of", "reason", "why"),
    [
        ("disposition-notification", "auto_reply", "a receipt: a mail of yours was opened"),
        ("delivery-status", "notification", "a mail server's report on a mail of yours"),
    ],
)
@pytest.mark.parametrize(
    "written", ["multipart/report; report-type={}; boundary=b", 'Multipart/Report;\n report-type="{}"']
)
def test_reports_of_mail_systems_need_no_model(of: str, reason: str, why: str, written: str) -> None:
    """Whoever wrote them, and whether or not they say Auto-Submitted."""
    head = f"From: tom@bell.example\nSubject: Read: your mail\nContent-Type: {written.format(of)}\n"
    for more in ("", "Auto-Submitted: auto-replied\n"):
        mail = parse(f"{head}{more}\n--b\n\nIt was read.\n--b--\n".encode())
        settled = settle(Wording(mail))
        assert settled is not None
        assert (settled.reason, settled.why) == (reason, why)
        assert obstacle(mail) == "a machine wrote it"
