"""What corrections teach: the same sender's mail comes out right, and nobody else's changes."""

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from chittycan.agents.lessons import Features, Lessons, Memory, features_of
from chittycan.agents.wording import Wording
from chittycan.integrations.email.message import Mail
from chittycan.store import judgements
from chittycan.store.database import Database
from chittycan.store.judgements import Judgement

Letter = Callable[..., Mail]


def judged(features: Features, label: str, *, said: str = "general_inquiry", number: int = 0) -> Judgement:
    return Judgement(
        mail_id=f"m{number}", at=float(number), person=None, field="category", said=said, label=label,
        sender=features.sender, domain=features.domain, list_id=features.list_id,
        words=msgspec.json.encode(features.words).decode(),
    )  # fmt: skip


def lessons(*pairs: tuple[Mail, str]) -> Lessons:
    """Of what was judged, the latest last."""
    found = [judged(features_of(Wording(mail)), label, number=number) for number, (mail, label) in enumerate(pairs)]
    return Lessons(reversed(found))


def test_one_correction_decides_nothing(letter: Letter) -> None:
    learnt = lessons((letter(Subject="Docket update"), "court_notice"))
    assert learnt.of("category", features_of(Wording(letter(Subject="Docket update")))) is None


def test_the_same_sender_twice_decides_for_that_sender_alone(letter: Letter) -> None:
    first, second = letter(Subject="One"), letter(Subject="Two")
    learnt = lessons((first, "court_notice"), (second, "court_notice"))
    found = learnt.of("category", features_of(Wording(letter("Anything", Subject="Three"))))
    assert found is not None
    assert (found.label, found.count) == ("court_notice", 2)
    neighbour = letter(Subject="One", From="Bob <bob@bell.example>")
    assert learnt.of("category", features_of(Wording(neighbour))) is None
    assert learnt.of("level", features_of(Wording(first))) is None


def test_a_sender_who_writes_of_several_things_decides_nothing(letter: Letter) -> None:
    mail = letter(Subject="One")
    learnt = lessons((mail, "billing_matter"), (mail, "court_notice"), (mail, "court_notice"))
    assert learnt.of("category", features_of(Wording(mail))) is None


def test_a_person_may_change_their_mind(letter: Letter) -> None:
    mail = letter(Subject="One")
    learnt = lessons(*[(mail, "spam")] * 20, *[(mail, "billing_matter")] * 5)
    found = learnt.of("category", features_of(Wording(mail)))
    assert found is not None
    assert found.label == "billing_matter"


def test_agreeing_with_the_agents_decides_nothing(letter: Letter) -> None:
    mail = letter(Subject="One")
    learnt = Lessons([judged(features_of(Wording(mail)), "general_inquiry", number=number) for number in range(5)])
    assert learnt.of("category", features_of(Wording(mail))) is None


def test_a_list_is_known_whoever_writes_to_it(letter: Letter) -> None:
    one = letter(From="a@x.example", List_Id="<cases.bar.example>")
    two = letter(From="b@y.example", List_Id="<cases.bar.example>")
    third = letter(From="c@z.example", List_Id="<cases.bar.example>")
    found = lessons((one, "court_notice"), (two, "court_notice")).of("category", features_of(Wording(third)))
    assert found is not None
    assert "this list" in found.why


def test_similar_mails_of_others_only_raise_a_doubt(letter: Letter) -> None:
    def about(sender: str) -> Mail:
        return letter("The heating is broken.", Subject="Heating in flat", From=f"{sender}@x.example")

    known = [(about(sender), "tenant_communication") for sender in ("a", "b", "c")]
    new = features_of(Wording(about("d")))
    learnt = lessons(*known)
    assert learnt.of("category", new) is None
    assert "tenant communication" in (learnt.otherwise("category", new, "general_inquiry") or "")
    assert learnt.otherwise("category", new, "tenant_communication") is None
    assert lessons(*known[:2]).otherwise("category", new, "general_inquiry") is None
    assert learnt.otherwise("category", features_of(Wording(letter(Subject="Lunch"))), "general_inquiry") is None


def test_features_show_no_text(letter: Letter) -> None:
    found = msgspec.json.encode(features_of(Wording(letter("The plaintiff", Subject="Hale against Corran")))).decode()
    assert not any(word in found.lower() for word in ("ann", "bell", "hale", "corran", "plaintiff"))


LABELS = st.sampled_from(["court_notice", "billing_matter", "spam"])


@given(st.lists(st.tuples(st.sampled_from("abc"), LABELS), max_size=12))
def test_a_sender_never_judged_is_never_decided(pairs: list[tuple[str, str]]) -> None:
    def features(name: str) -> Features:
        return Features(sender=name, domain="d", list_id=None, words=("w",))

    learnt = Lessons(judged(features(name), label, number=number) for number, (name, label) in enumerate(pairs))
    assert learnt.of("category", features("never")) is None
    for name in "abc":
        said = [label for sender, label in pairs if sender == name]
        found = learnt.of("category", features(name))
        assert found is None or said.count(found.label) >= 2


async def test_memory_takes_up_what_is_judged_and_forgotten(letter: Letter, database: Database) -> None:
    features: Any = features_of(Wording(letter(Subject="One")))
    memory = Memory(database)
    assert not await memory.refresh()
    for number in (1, 2):
        await database.run(judgements.keep, judged(features, "spam", number=number))
    assert (await memory.refresh()).of("category", features) is not None
    await database.run(judgements.keep, judged(features, "billing_matter", number=2))  # thought better of it
    assert (await memory.refresh()).of("category", features) is None
    assert await database.run(judgements.forget, None) == 2
    assert not await memory.refresh()
