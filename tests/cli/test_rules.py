"""`can router rules`, as it was promised."""

from typing import Any


def test_a_rule_is_made_as_it_is_written_everywhere(can: Any) -> None:
    made = can("router", "rules", "create", "small", "--condition", "priority:low", "--action", "model:llama-scout")
    assert (made.code, "rule small: priority:low → model:llama-scout" in made.out) == (0, True)
    assert can("router", "rules", "create", "--condition", "branch:main", "--action", "priority:high").code == 0
    rules = can("router", "rules", "list", "--json").json
    assert [(each["name"] == each["id"], each["condition"]) for each in rules] == [
        (False, "priority:low"),
        (True, "branch:main"),
    ]
    assert "1 of 1" in can("router", "rules", "test", "small", "--fact", "priority=low").out


def test_two_names_are_one_too_many(can: Any) -> None:
    wrong = can("router", "rules", "create", "a", "--name", "b", "--condition", "branch:main", "--action", "stop")
    assert (wrong.code, "two names, a and b" in wrong.err) == (2, True)
