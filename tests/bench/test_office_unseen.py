"""The second set of labelled mails: that it is of the form it says, and survives being made into mail."""

import re
from collections import Counter
from typing import get_args

from bench import office_unseen
from chittycan.agents.words import Category, Level


def test_each_category_has_eight_mails_and_each_label_is_one_that_exists() -> None:
    rows = office_unseen.rows()
    kinds = Counter(row["category"] for row in rows)
    assert set(kinds) == set(get_args(Category)) >= {row["also"] for row in rows if "also" in row}
    assert min(kinds.values()) >= 8
    assert {row["priority"] for row in rows} == set(get_args(Level))
    assert len({row["language"] for row in rows}) == 7
    assert {row["audience"] for row in rows} == set(office_unseen.TO)


def test_what_the_lines_say_is_in_the_mails() -> None:
    for row, mail in office_unseen.mails():
        assert not mail.defects, (row["subject"], mail.defects)
        assert mail.subject == row["subject"]
        assert mail.sender.address == row["from"].rpartition("<")[2].rstrip(">")
        assert len(mail.text) > 60
        assert [file.name for file in mail.attachments] == row.get("attachments", [])
        assert bool(mail.list_id) == ("List-Id" in row.get("headers", {}))


def test_no_address_is_one_that_somebody_may_have() -> None:
    for row in office_unseen.rows():
        text = " ".join((row["from"], row["subject"], row.get("text", ""), row.get("html", "")))
        hosts = re.findall(r"(?:@|https?://)([\w.-]+\w)", text)
        assert all(host.endswith(".example") for host in hosts), hosts
