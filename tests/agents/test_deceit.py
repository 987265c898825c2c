"""Signs that a mail's sender is not who the name says."""

from collections.abc import Callable

import pytest

from chittycan.agents import deceit, rules
from chittycan.agents.prefilter import settle
from chittycan.agents.wording import Wording
from chittycan.integrations.email.message import Mail

Letter = Callable[..., Mail]

BRAND = "a known name, from another domain"
OFFICE = "a firm or an office, from a free mail address"
ANSWERS = "answers go to a free mail address elsewhere"


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"From": "PayPal Service <help@pp-secure.example>"}, [BRAND]),
        ({"From": "Deutsche Bank <info@konto-pruefung.example>"}, [BRAND]),
        ({"From": "Google <no-reply@google-login24.example>"}, [BRAND]),
        ({"From": "James Hill - CEO <j.hill.office@gmail.com>"}, [OFFICE]),
        ({"From": '"clerk@court.example" <x@mail.example>'}, ["a name that claims another address"]),
        ({"From": "Fund <a@fund.example>", "Reply-To": "fund.manager@outlook.com"}, [ANSWERS]),
        ({"From": "IT Helpdesk <it@mail-admin9.example>"}, ["an office of your own house, from outside"]),
        ({"From": "IT Helpdesk <it@firm.example>"}, []),
        ({"Subject": "Hi {{first_name}}, a word"}, ["a form letter that was not filled in"]),
        ({"Subject": "Cheap pills          xkqvz"}, ["letters in disguise"]),
        ({"Subject": "P.a.y.P.a.l.s news"}, ["letters in disguise"]),
        ({"Subject": "Your \u0440aypal account"}, ["letters in disguise"]),
        ({"Subject": "Minutes of the U.S. team"}, []),
        ({"From": "PayPal <service@paypal.de>"}, []),
        ({"From": "Google <no-reply@accounts.google.com>"}, []),
        ({"From": "Gmail Team <x@googlemail.com>"}, []),
        ({"From": "Deutsche Bank <info@deutsche-bank.de>"}, []),
        ({"From": "Sparkasse Neustadt <info@sparkasse-neustadt.example>"}, []),
        ({"From": "Ann Bell <ann.bell@gmail.com>"}, []),
        ({"From": "Ann Bell <ann@bell.example>", "Reply-To": "office@bell-firm.example"}, []),
    ],
    ids=str,
)
def test_what_does_not_fit_together(headers: dict[str, str], found: list[str], letter: Letter) -> None:
    assert [sign.why for sign in deceit.signs(letter(**headers))] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("See https://shop.bell.example/terms for the terms.", []),
        ("See https://login-now.example/a and http://more.example.", ["links to other places than the sender's"]),
        ("See http://192.0.2.7/pay.", ["links to other places than the sender's", "a link to a bare number"]),
        ("BUY THIS NOW AND SAVE MORE THAN EVER BEFORE. " * 5, ["capitals all over"]),
        ("Great! Free! Now! Yes! You! Win!", ["exclamation marks all over"]),
    ],
)
def test_signs_of_the_text(text: str, found: list[str], letter: Letter) -> None:
    assert [sign.why for sign in deceit.signs(letter(text))] == found


def test_several_odd_things_count_as_much_as_a_phrase(letter: Letter) -> None:
    text = "It is guaranteed."
    assert rules.category(Wording(letter(text, Subject="A word"))).category != "spam"
    assert rules.category(Wording(letter(text, Subject="A word          xkqvz"))).category == "spam"


def test_phishing_that_sounds_like_an_incident_is_spam(letter: Letter) -> None:
    text = "Suspicious login, security alert! Confirm your details and restore access, or your account is lost."
    fraud = letter(text, From="PayPal <alert@pp-secure.example>", Subject="Your account")
    assert rules.category(Wording(fraud)).category == "spam"
    assert BRAND in Wording(fraud).points["spam"].words
    assert rules.category(Wording(letter(text, From="PayPal <alert@paypal.com>"))).category == "security_incident"


@pytest.mark.parametrize(
    "text",
    [
        "Ihr Paket wartet: Bestätigen Sie Ihre Daten und zahlen Sie die Zollgebühr.",
        "Votre colis attend : confirmez vos informations et réglez les frais de douane.",
        "Su paquete espera: confirme sus datos y pague los gastos de aduana.",
        "Il suo pacco è fermo: confermi i suoi dati e paghi le spese doganali.",
        "Uw pakket wacht: bevestig uw gegevens en betaal de invoerkosten.",
        "Twoja paczka czeka: potwierdź swoje dane, opłata celna 3 zł.",
        "A sua encomenda está retida: confirme os seus dados e pague a taxa alfandegária.",
        "Your parcel waits: confirm your details and pay the customs fee.",
    ],
)
def test_parcels_that_cost_a_fee_are_spam_in_eight_languages(text: str, letter: Letter) -> None:
    assert (
        rules.category(Wording(letter(text, From="DHL <parcel@dhl-track9.example>", Subject="Hello"))).category
        == "spam"
    )


def test_sign_alone_makes_no_spam(letter: Letter) -> None:
    mail = letter("My husband was arrested, please call me.", From="Bank Manager Jo <jo@gmail.com>")
    assert rules.category(Wording(mail)).category == "emergency_legal"
    assert settle(Wording(mail)) is None


def test_person_who_asks_about_fraud_is_heard(letter: Letter) -> None:
    text = "I got a mail that says my account is locked and I should confirm my details. I clicked on a link. Bad?"
    assert rules.category(Wording(letter(text, Subject="strange mail"))).category == "security_incident"


@pytest.mark.parametrize(
    ("sender", "category"),
    [
        ("Ann <ann@elsewhere.example>", "spam"),
        ("Ann <ann@firm.example>", None),
        ("Us <us@firm.example>", "spam"),
    ],
)
def test_colleagues_send_no_spam_but_who_writes_as_oneself_does(
    sender: str, category: str | None, letter: Letter
) -> None:
    mail = Wording(letter("Gift cards! Claim your prize, you have won the lottery.", From=sender))
    assert (rules.category(mail).category == "spam") is (category == "spam")
