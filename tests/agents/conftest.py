"""Mails and answers that the tests of agents share."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chittycan.integrations.email.message import Mail, parse

INBOX = Path(__file__).resolve().parents[2] / "examples" / "inbox"


@pytest.fixture
def inbox_folder() -> Path:
    """The sample inbox of the repository."""
    return INBOX


@pytest.fixture
def sample() -> Callable[[str], Mail]:
    """A mail of the sample inbox by the number it begins with."""
    return lambda start: parse(next(INBOX.glob(f"{start}*.eml")).read_bytes())


@pytest.fixture
def letter() -> Callable[..., Mail]:
    """A plain mail with the given text and headers."""

    def make(text: str = "Hello.", **headers: str) -> Mail:
        fields = {"From": "Ann Bell <ann@bell.example>", "To": "us@firm.example", "Message-ID": "<1@bell.example>"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "\n".join(f"{name}: {value}" for name, value in fields.items())
        return parse(f"{head}\nContent-Type: text/plain; charset=utf-8\n\n{text}\n".encode())

    return make


@pytest.fixture
def answers() -> dict[str, Callable[..., str]]:
    """Good answers of each kind as a model writes them, with fields to change."""

    def of(**fields: Any) -> Callable[..., str]:
        return lambda **changed: json.dumps({**fields, **changed})

    return {
        "triage": of(category="general_inquiry", confidence=0.9, needs_reply=True, reasoning="A question."),
        "priority": of(level="NORMAL", score=0.5, factors=["client"], reasoning="Nothing presses."),
        "response": of(
            about="your message and matter",
            body="Thank you for your message. We will read it with care and come back to you soon.",
        ),
    }
