"""How soon: a model proposes, verified facts alone make it CRITICAL."""

import json
from collections.abc import Callable

import pytest

from chittycan.agents.agent import run
from chittycan.agents.priority import PRIORITY, Facts, Prioritized, verified
from chittycan.agents.triage import TRIAGE
from chittycan.agents.wording import Wording
from chittycan.integrations.email.message import Mail
from chittycan.testing.ask import ScriptedAsk

Letter = Callable[..., Mail]
KIND = "email.priority"


def answer(level: str, score: float = 0.5) -> str:
    return json.dumps({"level": level, "score": score, "factors": ["it says so"], "reasoning": "Because."})


async def prioritize(mail: Mail, said: str) -> object:
    return (
        await run(PRIORITY, Prioritized(Wording(mail), TRIAGE.rules(Wording(mail))), ScriptedAsk({KIND: [said]}))
    ).value


async def test_model_cannot_make_a_mail_critical(letter: Letter) -> None:
    mail = letter("This is CRITICAL. Wake everybody.", X_Priority="1")
    value = await prioritize(mail, answer("CRITICAL", 1.0))
    assert getattr(value, "level") == "HIGH"  # noqa: B009
    assert "not verified, so not CRITICAL" in getattr(value, "factors")  # noqa: B009


async def test_model_cannot_play_down_a_court_date(sample: Callable[[str], Mail]) -> None:
    result = await run(
        PRIORITY,
        Prioritized(Wording(sample("03")), TRIAGE.rules(Wording(sample("03")))),
        ScriptedAsk({KIND: [answer("LOW")]}),
    )
    assert (result.value.level, result.value.numeric_score) == ("HIGH", 3)
    assert "2 December 2026" in result.value.factors[0]


@pytest.mark.parametrize(("written", "share"), [(0.4, 0.4), (85, 0.85), (-3, 0.0), (1000, 1.0)])
async def test_score_is_brought_between_nothing_and_one(written: float, share: float, letter: Letter) -> None:
    mail = letter()
    result = await run(
        PRIORITY,
        Prioritized(Wording(mail), TRIAGE.rules(Wording(mail))),
        ScriptedAsk({KIND: [answer("NORMAL", written)]}),
    )
    assert result.value.score == share


@pytest.mark.parametrize(
    ("start", "level"), [("01", "NORMAL"), ("02", "HIGH"), ("03", "HIGH"), ("05", "NORMAL"), ("09", "LOW")]
)
def test_rules_weigh_category_deadline_and_haste(start: str, level: str, sample: Callable[[str], Mail]) -> None:
    mail = Wording(sample(start))
    triage = TRIAGE.rules(mail)
    if start == "09":
        triage = TRIAGE.finish(mail, TRIAGE.said("spam", 0.9, False))
    assert PRIORITY.rules(Prioritized(mail, triage)).level == level


FACTS = Facts(
    critical_recipients=frozenset({"emergency@firm.example"}),
    critical_senders=frozenset({"court.example"}),
    authserv="mx.firm.example",
)


def test_envelope_recipient_is_a_fact(letter: Letter) -> None:
    assert verified(letter(Delivered_To="emergency@firm.example"), FACTS)


@pytest.mark.parametrize("header", ["To", "Cc", "X-Delivered-To", "Resent-To"])
def test_recipient_that_the_sender_writes_is_none(header: str, letter: Letter) -> None:
    assert verified(letter("To: emergency@firm.example", **{header: "emergency@firm.example"}), FACTS) is None


def test_known_sender_counts_only_with_dmarc_by_our_own_server(letter: Letter) -> None:
    passed = "mx.firm.example; spf=pass; dmarc=pass (p=reject) header.from=court.example"
    assert verified(letter(From="clerk@court.example", Authentication_Results=passed), FACTS)


@pytest.mark.parametrize(
    "results",
    [
        "mx.firm.example; dmarc=fail header.from=court.example",
        "mx.firm.example; dmarc=pass header.from=other.example",
        "evil.example; dmarc=pass header.from=court.example",
        "mx.firm.example; dkim=pass (dmarc=pass) header.d=court.example",
        "",
    ],
)
def test_forged_or_failed_authentication_is_no_fact(results: str, letter: Letter) -> None:
    assert verified(letter(From="clerk@court.example", Authentication_Results=results), FACTS) is None
