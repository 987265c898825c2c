"""The simulated law office: what it measures follows from what its world is like."""

import itertools
import random
from collections.abc import Mapping

import pytest
from bench.lawfirm import CONFIG, ENV, MODELS, OUTPUT, PROVIDERS, SPEEDS, arrivals, outages, simulate, summary, write
from bench.office import Case, Handled, catalogue_of
from bench.simulation import Outage, Outages, World

from chittycan.integrations.email.message import parse

MAIL = parse(b"From: Ada <ada@example.org>\r\nSubject: Contract\r\nMessage-ID: <1@x>\r\n\r\nPlease look at it.\r\n")
DAY = 86_400.0


class Known(Outages):
    """Outages that a test chose."""

    def __init__(self, *known: Outage) -> None:
        self._known = [*known, Outage(DAY * 1000, DAY * 1001, False)]


def handled(way: str, down: Mapping[str, Outages], count: int = 2) -> list[Handled]:
    world = World(SPEEDS, PROVIDERS, down, OUTPUT, write)
    cases = [Case(f"ws_{number}", number * 600.0, MAIL, "1. The parties agree.") for number in range(count)]
    return simulate(way, catalogue_of(CONFIG, MODELS, ENV), world, cases, 1)


def served(mails: list[Handled]) -> list[Mapping[str, str | None]]:
    return [each.by for each in mails]


AS_WRITTEN = {
    "triage": "llama-scout", "review": "claude-sonnet-4-5", "draft": "gpt-4", "acknowledgement": "smollm2"
}  # fmt: skip


def test_where_all_is_well_each_step_goes_to_the_model_that_the_recipe_names() -> None:
    mails = handled("workstream", {})
    assert served(mails) == [AS_WRITTEN] * 2
    assert all(each.ready is not None and each.cost_nano > 0 and not each.waited for each in mails)


def test_one_strong_model_costs_what_its_price_says() -> None:
    (mail,) = handled("script gpt-4", {}, 1)
    assert set(mail.by.values()) == {"gpt-4"}
    # At least what is written, at $60 a million tokens; more for what is read.
    assert mail.cost_nano > 300 * 60_000


def test_a_provider_that_is_down_costs_the_script_its_mail_and_the_workstream_nothing() -> None:
    down = {"anthropic": Known(Outage(0.0, DAY, False))}
    assert [each.ready for each in handled("script claude-sonnet-4-5", down)] == [None, None]
    mails = handled("workstream", down)
    assert served(mails) == [{**AS_WRITTEN, "review": "gpt-4.1"}] * 2
    assert not any(each.waited for each in mails)


def test_where_nobody_is_up_the_mail_waits_and_is_answered_afterwards() -> None:
    down = {name: Known(Outage(0.0, 3600.0, name == "openai")) for name in PROVIDERS.values() if name != "embedded"}
    (mail,) = handled("workstream", down, 1)
    assert mail.waited
    assert mail.ready is not None
    assert 3600 < mail.ready < 3900


def test_mails_that_were_not_answered_count_as_such() -> None:
    found = summary(handled("script gpt-4", {"openai": Known(Outage(0.0, 300.0, False))}))
    assert (found["unanswered"], found["at_once"], found["in_a_day"]) == (1, 0.5, 0.5)


def test_outages_take_their_share_of_the_time_and_nobody_shares_them() -> None:
    found = outages(1)
    assert set(found) == {"openai", "anthropic", "gemini", "cloudflare"}
    begins = [each.next(0.0) for each in found.values()]
    assert len(set(begins)) == len(begins)
    one, down, moment = Outages("seed", 0.9, 100.0), 0.0, 0.0
    for _ in range(2000):
        moment = one.next(moment)
        outage = one.at(moment)
        assert outage is not None
        down += outage.end - outage.begin
        moment = outage.end
    assert down / moment == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("scenario", ["alone", "morning", "day"])
def test_as_many_mails_arrive_as_were_asked_for_in_order(scenario: str) -> None:
    found = arrivals(scenario, 50, random.Random(1))
    assert len(found) == 50
    assert all(one <= other for one, other in itertools.pairwise(found))
