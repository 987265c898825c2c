"""Papers longer than a model reads at once."""

import json
from typing import Any

import pytest

from chittycan.agents.document import READ, Paper, Reference
from chittycan.agents.reading import MOST_PIECES, paper_of, read_paper
from chittycan.chat import Text
from chittycan.errors import AllFailed, UnknownModel
from chittycan.integrations.documents.document import Document, Section
from chittycan.testing.ask import ScriptedAsk

KIND = "email.document"
FILL = "The parties have talked about many things that matter to nobody. " * (READ // 70)


def paper(*pages: str) -> Paper:
    """Each page is about as long as a model reads at once."""
    texts = [f"{page} {FILL}".strip()[: READ - 10] for page in pages]
    starts = [sum(len(text) + 2 for text in texts[:number]) for number in range(len(texts))]
    sections = tuple(Section(f"page {number}", start) for number, start in enumerate(starts, 1))
    return Paper(
        name="a.pdf", media_type="application/pdf", text="\n\n".join(texts), pages=len(pages), sections=sections
    )


def says(**more: Any) -> str:
    usual = {"document_type": "contract", "importance": "normal", "processing_priority": "standard",
             "contains_pii": False}  # fmt: skip
    return json.dumps(usual | more)


def by_page(answers: dict[str, Any]) -> Any:
    """Answers by a word that only one page has."""

    def answer(request: Any) -> str:
        (part,) = request.messages[-1].parts
        assert isinstance(part, Text)
        return next((says(**more) for word, more in answers.items() if word in part.text), says())

    return answer


async def test_every_page_is_read_and_what_is_found_says_where() -> None:
    long = paper(
        "Lease between Ann Bell and Tor Ltd.", "Rent is due on 1 May 2026.", "Ann Bell may leave by 2 June 2027."
    )
    ask = ScriptedAsk({KIND: [by_page({
        "Lease between": {"parties": ["Ann Bell", "Tor Ltd", "Nobody Inc"]},
        "Rent is due": {"dates": ["1 May 2026"], "obligations": ["Tor pays the rent"], "importance": "high"},
        "may leave": {"dates": ["2 June 2027"], "parties": ["Ann Bell"], "compliance_flags": ["time_sensitive"],
                      "document_type": "correspondence"},
    })] * 9})  # fmt: skip
    result = await read_paper(long, ask)
    found = result.value
    assert len(ask.asked(KIND)) == result.attempts == found.pieces == found.pieces_read == 3
    assert found.document_type == "contract"
    assert (found.importance, found.compliance_flags) == ("high", ("time_sensitive",))
    assert found.parties == ("Ann Bell", "Tor Ltd")
    assert found.references == (
        Reference(field="party", text="Ann Bell", ref="page 1"),
        Reference(field="party", text="Tor Ltd", ref="page 1"),
        Reference(field="date", text="1 May 2026", ref="page 2"),
        Reference(field="date", text="2 June 2027", ref="page 3"),
        Reference(field="obligation", text="Tor pays the rent", ref="page 2"),
    )
    assert len(result.request_ids) == 3


async def test_where_some_pieces_get_no_answer_rules_read_those() -> None:
    ask = ScriptedAsk({KIND: [says(), AllFailed("no model"), says()]})
    result = await read_paper(paper("one", "two", "three"), ask)
    assert not result.fallback
    assert result.reason is not None
    assert result.reason.startswith("1 of 3 pieces by rules: ")
    result = await read_paper(paper("one", "two"), ScriptedAsk({KIND: [AllFailed("no model")] * 2}))
    assert result.fallback


async def test_of_a_very_long_paper_the_beginning_is_read_and_that_is_said() -> None:
    ask = ScriptedAsk({KIND: [says()] * 100})
    found = (await read_paper(paper(*["page"] * (MOST_PIECES + 5)), ask)).value
    assert (found.pieces_read, found.pieces) == (MOST_PIECES, MOST_PIECES + 5)


async def test_personal_data_on_any_page_is_found_whatever_models_say() -> None:
    long = paper("one", "Write to anna.bell@example.com.", "three")
    assert (await read_paper(long, ScriptedAsk({KIND: [says()] * 3}))).value.contains_pii
    assert not (await read_paper(paper("one"), ScriptedAsk({KIND: [says()]}))).value.contains_pii


async def test_hidden_text_is_a_warning() -> None:
    document = Document(kind="html", text="Seen", hidden_text=True)
    found = (await read_paper(paper_of("a.html", document), ScriptedAsk({KIND: [says()]}))).value
    assert found.security.warnings == ("it holds text that does not show",)


async def test_a_mistake_of_the_owner_is_seen() -> None:
    with pytest.raises(UnknownModel):
        await read_paper(paper("one", "two"), ScriptedAsk({KIND: [UnknownModel("no such model")] * 2}))
