"""The sample inbox and what a careful person would say of it belong together."""

import json
from collections.abc import Callable
from pathlib import Path

from chittycan.agents.prefilter import settle
from chittycan.agents.wording import Wording
from chittycan.agents.words import CATEGORIES, LEVELS
from chittycan.integrations.email.message import Mail


def test_every_mail_has_its_expectation(inbox_folder: Path, sample: Callable[[str], Mail]) -> None:
    expected = json.loads((inbox_folder / "expected.json").read_text())
    assert sorted(expected) == sorted(path.name for path in inbox_folder.glob("*.eml"))
    for name, entry in expected.items():
        settled = settle(Wording(sample(name[:2])))
        assert (settled.reason if settled else None) == entry["settled"], name
        assert set(entry["category"]) <= set(CATEGORIES)
        assert set(entry["level"]) <= set(LEVELS)


def test_only_reserved_domains_are_used(inbox_folder: Path, sample: Callable[[str], Mail]) -> None:
    for path in inbox_folder.glob("*.eml"):
        mail = sample(path.name[:2])
        for address in (mail.sender, *mail.to, *mail.cc, *mail.reply_to):
            assert address.domain.endswith(".example") or not address.domain, path.name
