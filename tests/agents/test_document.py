"""Documents are read by their content; names and dates count only where they stand in it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chittycan.agents.agent import run
from chittycan.agents.document import DOCUMENT, Paper
from chittycan.chat import Text
from chittycan.errors import AllFailed
from chittycan.integrations.documents.extract import extract
from chittycan.integrations.email.message import Mail, content
from chittycan.testing.ask import ScriptedAsk

KIND = "email.document"


@pytest.fixture
def agreement(sample: Callable[[str], Mail], inbox_folder: Path) -> Paper:
    """The services agreement of the sample inbox, as its PDF is read."""
    (attachment,) = sample("04").attachments
    document = extract(content((inbox_folder / "04-contract-for-review.eml").read_bytes(), attachment), attachment.name)
    return Paper(name=attachment.name, media_type=attachment.media_type, text=document.text, pages=document.pages)


async def test_model_reads_the_content_and_not_the_name(agreement: Paper) -> None:
    ask = ScriptedAsk(
        {
            KIND: [
                json.dumps(
                    {
                        "document_type": "contract",
                        "importance": "high",
                        "processing_priority": "immediate",
                        "contains_pii": False,
                        "parties": ["Northgate Bakery Ltd", "Umbrella Corp"],
                        "dates": ["4 December 2026", "1 January 1970"],
                        "obligations": ["pay USD 18,500 a month"],
                    }
                )
            ]
        }
    )
    finding = (await run(DOCUMENT, agreement, ask)).value
    (part,) = ask.asked(KIND)[0].messages[-1].parts
    assert isinstance(part, Text)
    assert "Harbor Logistics Group" in part.text
    assert finding.document_type == "contract"
    assert finding.parties == ("Northgate Bakery Ltd",)
    assert finding.dates == ("4 December 2026",)
    assert finding.estimated_pages == 3
    assert finding.contains_pii  # it names people, whatever the model says


async def test_rules_know_a_contract_when_they_read_one(agreement: Paper) -> None:
    finding = (await run(DOCUMENT, agreement, ScriptedAsk({KIND: [AllFailed("no model")]}))).value
    assert finding.document_type == "contract"
    assert set(finding.compliance_flags) >= {"confidential", "time_sensitive"}
    assert finding.dates == ("1 December 2026", "4 December 2026")
    assert any("shall" in duty for duty in finding.obligations)


@pytest.mark.parametrize(
    ("name", "media_type", "risk"),
    [
        ("lease.pdf", "application/pdf", "low"),
        ("lease.pdf", "application/x-msdownload", "medium"),
        ("lease.pdf.exe", "application/octet-stream", "high"),
        ("macro.docm", "application/octet-stream", "high"),
    ],
)
def test_dangerous_names_are_pointed_out(name: str, media_type: str, risk: str) -> None:
    finding = DOCUMENT.rules(Paper(name=name, media_type=media_type, text="A lease."))
    assert finding.security.risk_level == risk
    assert finding.security.is_safe is (risk == "low")
