"""What is taken out of a text comes back whole, however its answer is cut."""

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chittycan.routing.privacy.detect import findings
from chittycan.routing.privacy.placeholders import Placeholders, Restored

TEXT = "Write to ann@example.org or bob@example.org, card 4242 4242 4242 4242, and ann@example.org again."


def hidden(text: str, placeholders: Placeholders) -> str:
    return placeholders.hide(text, findings(text))


def test_the_same_is_called_the_same_and_every_kind_is_counted_for_itself() -> None:
    placeholders = Placeholders()
    assert hidden(TEXT, placeholders) == "Write to [EMAIL_1] or [EMAIL_2], card [CARD_1], and [EMAIL_1] again."
    assert placeholders.restore(hidden(TEXT, placeholders)) == TEXT


def test_a_conversation_that_is_sent_again_gets_the_same_placeholders() -> None:
    first, second = Placeholders(), Placeholders()
    before = hidden(TEXT, first)
    assert hidden(TEXT, second) == before
    assert hidden("Now eve@example.org", second) == "Now [EMAIL_3]"


def test_what_the_text_says_already_is_no_placeholder() -> None:
    text = "[EMAIL_1] stays, ann@example.org goes"
    placeholders = Placeholders([text])
    assert hidden(text, placeholders) == "[EMAIL_1] stays, [EMAIL_2] goes"
    assert placeholders.restore("[EMAIL_1] [EMAIL_2] [EMAIL_3]") == "[EMAIL_1] ann@example.org [EMAIL_3]"


def test_what_is_hidden_within_something_hidden_comes_back_too() -> None:
    placeholders = Placeholders()
    once = placeholders.hide("key=ann@example.org!", findings("key=ann@example.org!"))
    again = placeholders.hide(once, [type(findings(TEXT)[0])("secret", 0, len(once))])
    assert placeholders.restore(again) == "key=ann@example.org!"


def test_in_json_an_original_stays_within_its_string() -> None:
    text = "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----"
    placeholders = Placeholders()
    answer = json.dumps({"key": hidden(text, placeholders)})
    assert json.loads(placeholders.restore(answer, as_json=True)) == {"key": text}


def test_models_write_them_in_other_case_and_as_markdown() -> None:
    placeholders = Placeholders(["[Email_2] is mine"])
    hidden("ann@example.org bob@example.org", placeholders)
    written = r"[Email_1], [email\_1], [EMAIL\\_1] and [Email_2]"
    assert placeholders.restore(written) == "ann@example.org, ann@example.org, ann@example.org and [Email_2]"
    assert placeholders.restore("[EMA\u0130L_1]") == "[EMA\u0130L_1]"  # not every I is an I


@given(st.text(alphabet="ab \\[EMAILemail_12]\n{}", max_size=60), st.lists(st.integers(0, 80), max_size=8))
def test_a_stream_says_what_the_whole_text_says(text: str, cuts: list[int]) -> None:
    placeholders = Placeholders()
    hidden("ann@example.org bob@example.org", placeholders)
    placed = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    running = Restored(placeholders, as_json=False)
    pieces = [running.feed(text[begin:end]) for begin, end in pairwise(placed)]
    assert "".join([*pieces, running.close()]) == placeholders.restore(text)


def test_text_that_is_no_placeholder_is_not_kept_waiting() -> None:
    placeholders = Placeholders()
    hidden("ann@example.org", placeholders)
    running = Restored(placeholders)
    assert running.feed("see [1] and [E") == "see [1] and "
    assert running.feed("A] too [") == "[EA] too "
    assert running.close() == "["
