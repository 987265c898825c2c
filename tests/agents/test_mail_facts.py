"""What rules can ask of a mail, and whose word they take on who wrote it."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from chittycan.agents.mail_facts import facts_of
from chittycan.agents.pipeline import Terms, process
from chittycan.agents.priority import Facts
from chittycan.agents.reception import Reception
from chittycan.agents.review import Said, judge
from chittycan.agents.verdict import proposals
from chittycan.integrations.email.message import Mail
from chittycan.integrations.email.sources import RawMail
from chittycan.routing.rules.book import Book, Rule
from chittycan.routing.rules.condition import parse
from chittycan.store.database import Database
from chittycan.testing.ask import ScriptedAsk

OURS = "mx.firm.example"
PASSED = "dkim=pass; spf=pass; dmarc=pass header.from=bell.example"


@pytest.mark.parametrize("method", ["dkim", "spf", "dmarc"])
@pytest.mark.parametrize(
    ("by", "server", "holds"), [(OURS, OURS, True), ("evil.example", OURS, False), (OURS, None, False)]
)
def test_a_rule_believes_the_own_server_alone(
    letter: Callable[..., Mail], method: str, by: str, server: str | None, holds: bool
) -> None:
    mail = letter(Authentication_Results=f"{by}; {PASSED}")
    facts = facts_of(mail, now=0.0, authserv=server)
    assert parse(f"{method}:pass").holds(facts) is holds
    assert parse(f"{method}:none").holds(facts) is not holds


def test_what_is_attached_can_be_asked_for(sample: Callable[[str], Mail]) -> None:
    facts = facts_of(sample("04"), now=0.0, authserv=None, category="contract", account="office")
    assert {"attachment", "pdf", "document"} <= set(facts["has"])
    assert (facts["category"], facts["account"]) == ("contract", "office")
    assert "body" not in facts_of(sample("04"), now=0.0, authserv=None, body=False)


@pytest.mark.parametrize(
    ("headers", "age"),
    [
        (
            {
                "Received": "from a by mx (x; y); Mon, 23 Nov 2026 10:00:00 +0000",
                "Date": "Mon, 1 Jan 2018 10:00:00 +0000",
            },
            60.0,
        ),
        ({"Received": "from a by mx", "Date": "Mon, 23 Nov 2026 11:00:00 +0100"}, 60.0),
        ({"Date": "Mon, 1 Jan 2096 10:00:00 +0000"}, 0.0),
        ({}, None),
    ],
    ids=["own server", "no time there", "yet to come", "neither"],
)
def test_how_old_a_mail_is_the_own_server_knows_best(
    letter: Callable[..., Mail], headers: dict[str, str], age: float | None
) -> None:
    now = datetime(2026, 11, 23, 10, 1, tzinfo=UTC).timestamp()
    assert facts_of(letter(**headers), now=now, authserv=None)["age"] == age


# the same wherever rules are looked at

VERIFIED = Book([Rule(id="r", name="r", condition="dkim:pass", action="label:known, private")])


def raw(by: str) -> RawMail:
    head = (
        f"Authentication-Results: {by}; {PASSED}\nFrom: ann@bell.example\nMessage-ID: <1@bell.example>\nSubject: Hi\n"
    )
    return RawMail("folder:/mail", "1.eml", f"{head}\nHow much?\n".encode())


@pytest.mark.parametrize(("by", "holds"), [(OURS, True), ("evil.example", False)])
async def test_from_the_reception_to_a_persons_word(
    answers: dict[str, Callable[..., str]], sqlite: Database, by: str, holds: bool
) -> None:
    ask = ScriptedAsk({f"email.{name}": [answer()] for name, answer in answers.items()}, model="small")
    reception = Reception(rules=VERIFIED, authserv=OURS)
    assert reception.open(raw(by), 0.0)[1] == ("local" if holds else None)
    assert reception.keeps(raw(by).raw.partition(b"\n\n")[0], 500, 0.0) is holds
    terms = Terms(rules=VERIFIED, facts=Facts(authserv=OURS))
    (outcome,) = (await process([raw(by)], ask, sqlite, replace(terms, drafts=False))).outcomes
    assert outcome.labels == (("known",) if holds else ())
    assert all(options.private is holds for _, options in ask.requests)
    said = Said(category="spam", actions=False)
    stored = await sqlite.run(judge, outcome.id, said, VERIFIED, by="anna", now=1.0, authserv=lambda account: OURS)
    assert [each.value for each in proposals(stored.proposed)] == (["known"] if holds else [])
