"""The sets of labelled mails that the rules never saw: that they are of the form they say, and survive being mail."""

import re
from collections import Counter
from typing import get_args

import pytest

from bench import office_unseen
from chittycan.agents.words import Category, Level


def test_each_category_has_eight_mails_and_each_label_is_one_that_exists() -> None:
    rows = office_unseen.rows("unseen")
    kinds = Counter(row["category"] for row in rows)
    assert set(kinds) == set(get_args(Category)) >= {row["also"] for row in rows if "also" in row}
    assert min(kinds.values()) >= 8
    assert {row["priority"] for row in rows} == set(get_args(Level))
    assert len({row["language"] for row in rows}) == 7
    assert {row["audience"] for row in rows} < set(office_unseen.TO)


def test_the_third_set_has_more_of_what_is_hard() -> None:
    rows = office_unseen.rows("third")
    kinds = Counter(row["category"] for row in rows)
    assert set(kinds) == set(get_args(Category)) >= {row["also"] for row in rows if "also" in row}
    assert {kind for kind, _ in kinds.most_common(3)} == {"spam", "compliance_notice", "security_incident"}
    assert min(kinds.values()) >= 5
    assert {row["priority"] for row in rows} == {"HIGH", "NORMAL", "LOW"}
    assert len({row["language"] for row in rows}) == 8
    assert {row["audience"] for row in rows} == set(office_unseen.TO)


def test_no_mail_is_in_two_sets() -> None:
    texts = [row.get("text", row.get("html")) for which in office_unseen.SETS for row in office_unseen.rows(which)]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("which", office_unseen.SETS)
def test_what_the_lines_say_is_in_the_mails(which: str) -> None:
    for row, mail in office_unseen.mails(which):
        assert not mail.defects, (row["subject"], mail.defects)
        assert mail.subject == row["subject"]
        assert mail.sender.address == row["from"].rpartition("<")[2].rstrip(">")
        assert mail.text.strip()
        assert (mail.date is not None) == ("date" in row)
        assert [file.name for file in mail.attachments] == row.get("attachments", [])
        assert bool(mail.list_id) == ("List-Id" in row.get("headers", {}))


@pytest.mark.parametrize("which", office_unseen.SETS)
def test_no_address_is_one_that_somebody_may_have(which: str) -> None:
    for row in office_unseen.rows(which):
        text = " ".join((row["from"], row["subject"], row.get("text", ""), row.get("html", "")))
        hosts = re.findall(r"(?:@|https?://)([\w.-]+\w)", text)
        assert all(host.endswith(".example") for host in hosts), hosts
