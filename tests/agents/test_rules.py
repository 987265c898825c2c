"""What words alone tell."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chittycan.agents import rules
from chittycan.agents.lexicon import known
from chittycan.agents.verdict import UNSURE
from chittycan.agents.wording import Wording
from chittycan.integrations.email.message import Mail, parse

Letter = Callable[..., Mail]
FRESH = Path(__file__).resolve().parents[1] / "data" / "office_fresh.json"


@pytest.mark.parametrize("start", ["01", "02", "03", "04", "05", "06", "07", "09", "10", "11", "13"])
def test_sample_inbox_is_sorted_by_its_words(start: str, inbox_folder: Path, sample: Callable[[str], Mail]) -> None:
    expected = json.loads((inbox_folder / "expected.json").read_text())
    (wanted,) = (entry["category"] for name, entry in expected.items() if name.startswith(start))
    assert rules.category(Wording(sample(start))).category in wanted


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("The witness statements in the litigation are due, says opposing counsel.", "lawsuit_communication"),
        ("Das Amtsgericht hat die Ladung zur mündlichen Verhandlung geschickt.", "court_notice"),
        ("La facture et le rappel de paiement sont arrivés.", "billing_matter"),
        ("Mi casero no arregla la calefacción del piso.", "tenant_communication"),
        ("Il bando chiede la rendicontazione del finanziamento.", "grant_management"),
        ("De printer doet het niet en ik krijg een foutmelding.", "support_ticket"),
        ("Sąd Okręgowy wyznaczył termin rozprawy, wezwanie w załączniku.", "court_notice"),
        ("A fatura vencida está por pagar; segue a segunda via.", "billing_matter"),
    ],
)
def test_eight_languages_are_known(text: str, category: str, letter: Letter) -> None:
    assert rules.category(Wording(letter(text, Subject="Hallo"))).category == category


@pytest.mark.parametrize(
    "text",
    [
        "Mamy fakturę do zapłaty.",
        "Chodzi o dwie faktury z maja.",
        "Dostaliśmy faktur kilka naraz.",
        "Piszę w sprawie zaległości i odsetek.",
        "Przelewem zapłacono już w lipcu.",
    ],
)
def test_words_are_known_in_whatever_case_they_stand(text: str, letter: Letter) -> None:
    assert rules.category(Wording(letter(text, Subject="Dzień dobry"))).category == "billing_matter"


def test_subject_says_more_than_the_text(letter: Letter) -> None:
    text = "The invoice is in it."
    assert rules.category(Wording(letter(text, Subject="Ransomware"))).category == "security_incident"


def test_mail_quoted_below_says_nothing_of_this_one(letter: Letter) -> None:
    mail = letter(
        "Fine.\n\nOn Fri, 20 Nov 2026 at 16:40, Sarah Okafor wrote:\n> The lawsuit, the plaintiff, a subpoena."
    )
    assert rules.category(Wording(mail)).category == "general_inquiry"


def test_name_that_claims_another_address_is_not_believed(letter: Letter) -> None:
    assert (
        rules.category(Wording(letter("Hello.", From="Clerk of Court <clerk@court.example>"))).category
        == "court_notice"
    )
    mail = letter("Hello.", From='"clerk@court.example" <someone@mail.example>')
    assert rules.category(Wording(mail)).category == "general_inquiry"


def test_reply_is_never_called_spam(letter: Letter) -> None:
    text = "You have won the lottery, one million dollars. Click here and claim your prize."
    assert rules.category(Wording(letter(text))).category == "spam"
    assert rules.category(Wording(letter(text, In_Reply_To="<1@firm.example>"))).category != "spam"


def test_real_mail_from_people_is_never_called_spam(shared_data: Path) -> None:
    for kind in ("easy_ham", "hard_ham"):
        for file in sorted((shared_data / "mail" / kind).glob("*.eml")):
            assert rules.category(Wording(parse(file.read_bytes()))).category != "spam", file.name


def test_what_is_said_with_certainty_is_right() -> None:
    """Of further mails, in eight languages."""
    right = []
    for row in json.loads(FRESH.read_text("utf-8")):
        mail = parse(
            f"From: {row['from']}\nSubject: {row['subject']}\nMessage-ID: <1@a.example>\n\n{row['text']}".encode()
        )
        found = rules.category(Wording(mail))
        if found.confidence >= rules.MOST:
            right.append(found.category in (row["category"], row.get("also")))
    assert len(right) >= 20
    assert sum(right) / len(right) >= rules.MOST


def test_what_nothing_speaks_for_is_said_with_doubt(letter: Letter) -> None:
    found = rules.category(Wording(letter("The quick brown fox jumps.", Subject="Fox")))
    assert (found.category, found.confidence) == ("general_inquiry", rules.UNTOLD)
    assert found.confidence < UNSURE


def test_what_is_grave_outweighs_a_link_to_unsubscribe(letter: Letter) -> None:
    text = "Notice of hearing in the county court, courtroom 4. Unsubscribe from these notices: newsletter settings."
    assert rules.category(Wording(letter(text))).category == "court_notice"


def test_quote_is_the_clause_around_the_words() -> None:
    text = "Good morning. The invoice is\nwrong. Bye."
    assert list(rules.quotes(text, ["invoice is wrong", "nowhere"])) == ["The invoice is\nwrong"]
    assert list(rules.quotes(text, ["invoice"])) == ["The invoice is"]


def test_parts_of_words_do_not_count(letter: Letter) -> None:
    mail = letter("In that case I feel parental about coffee and the current contractor.", Subject="Classified")
    assert rules.category(Wording(mail)).category == "general_inquiry"


def test_one_word_in_passing_decides_nothing(letter: Letter) -> None:
    assert rules.category(Wording(letter("We never wrote an agreement."))).words == ()


def test_phrase_may_break_over_lines(letter: Letter) -> None:
    assert rules.category(Wording(letter("There will be a notice of\nhearing soon."))).category == "court_notice"


def test_more_hits_make_more_confidence_but_never_certainty(letter: Letter) -> None:
    few = rules.category(Wording(letter("a lawsuit")))
    many = rules.category(
        Wording(letter("lawsuit settlement plaintiff defendant litigation subpoena deposition discovery"))
    )
    assert few.confidence < many.confidence == rules.MOST


def test_question_in_the_quoted_mail_is_not_a_question_of_this_one(letter: Letter) -> None:
    assert rules.asks(Wording(letter("Could you call me?")))
    assert not rules.asks(
        Wording(letter("Done.\n\nOn Fri, 20 Nov 2026 at 16:40, Sarah Okafor wrote:\n> Could you call me?"))
    )


@pytest.mark.parametrize(
    "text",
    [
        "Please send the form back by Friday.",
        "We still need the plan of the ground floor.",
        "Wir benötigen noch den Nachweis.",
        "Veuillez nous transmettre les pièces.",
        "Rogamos remitan la documentación.",
        "Restiamo in attesa di un cortese riscontro.",
        "Graag ontvangen wij de stukken.",
        "Prosimy o przesłanie dokumentów.",
        "Solicitamos o envio dos documentos.",
    ],
)
def test_request_needs_no_question_mark(text: str, letter: Letter) -> None:
    assert rules.asks(Wording(letter(text)))


@pytest.mark.parametrize(
    "text",
    [
        "Please note our new address.",
        "Please find the report attached. No reply needed.",
        "The list is at https://lists.example/show?id=3 now.",
        "Bitte beachten Sie unsere neuen Zeiten.",
        "Veuillez agréer, Madame, mes salutations distinguées.",
        "Ter info: het kantoor is vrijdag dicht.",
    ],
)
def test_politeness_and_information_ask_nothing(text: str, letter: Letter) -> None:
    assert not rules.asks(Wording(letter(text)))


def test_question_in_the_subject_of_a_reply_was_asked_before(letter: Letter) -> None:
    text = "Done, it works."
    assert rules.asks(Wording(letter(text, Subject="How do I print?")))
    assert not rules.asks(Wording(letter(text, Subject="Re: How do I print?")))


def test_who_reports_a_fault_or_a_claim_waits_for_an_answer(letter: Letter) -> None:
    report = Wording(letter("The printer is dead again."))
    assert rules.needs_reply(report, "support_ticket")
    assert not rules.needs_reply(report, "court_notice")
    assert not rules.needs_reply(Wording(letter("FYI, the printer works again.")), "support_ticket")


def test_mass_mail_waits_for_no_answer(letter: Letter) -> None:
    assert not rules.needs_reply(Wording(letter("Could we talk? Please reply!")), "spam")


def test_hints_alone_make_no_spam(letter: Letter) -> None:
    """Money, offers and discounts are written about everywhere; one phrase must leave no doubt."""
    text = "The discount and the promotion were not on the bill, and the cheap offer was not honoured. Money is tight."
    assert "spam" not in {found.category for found in rules.candidates(Wording(letter(text)))}


def test_newsletter_with_offers_stays_one(letter: Letter) -> None:
    text = (
        "In this issue: top stories, upcoming events. Limited time offer for our readers: order now. Unsubscribe here."
    )
    assert rules.category(Wording(letter(text, Subject="Weekly digest"))).category == "newsletter"


def test_mail_that_is_stuffed_with_phrases_is_sorted_like_any_other() -> None:
    """Whoever sends it knows the vocabulary, and would stop the inbox with one mail."""
    words = (entry.phrase for entries in known()._by_first.values() for entry in entries if entry.heading == "spam")
    stuffed = " ".join(sorted({" ".join(part.strip("*") for part in phrase) for phrase in words}, key=len))
    mail = parse(f"From: win@deals.example\r\nTo: us@firm.example\r\nSubject: {stuffed}\r\n\r\n{stuffed}".encode())
    assert rules.category(Wording(mail)).category == "spam"
