"""The shipped rows."""

import re

import pytest

from chittycan.catalogue import fits
from chittycan.providers.vendors import Vendor, vendor, vendors

PROMISED = {
    "openai", "anthropic", "gemini", "groq", "together", "mistral", "deepseek", "xai", "openrouter", "cohere",
    "huggingface", "replicate", "cloudflare", "azure", "bedrock", "vertex", "ollama", "lmstudio", "vllm", "llamacpp",
}  # fmt: skip


def test_every_promised_vendor_has_a_row() -> None:
    assert set(vendors()) == PROMISED


def test_a_vendor_is_found_by_its_other_names() -> None:
    assert [found.id for found in map(vendor, ("google", "x-ai", "lm-studio", "hf")) if found] == [
        "gemini",
        "xai",
        "lmstudio",
        "huggingface",
    ]
    assert vendor("nobody") is None


@pytest.mark.parametrize("row", vendors().values(), ids=lambda row: row.id)
def test_a_row_is_sound(row: Vendor) -> None:
    assert row.endpoint.startswith(("https://", "http://127.0.0.1:", "{AZURE"))
    assert row.endpoint.endswith("/v1") or row.dialect in ("anthropic", "gemini") or row.id == "vertex"
    assert row.local != bool(row.keys), "a vendor needs a key, a server on this machine none"
    assert row.key_reference == (f"env:{row.keys[0]}" if row.keys else None)
    for pattern in row.patterns:
        assert re.fullmatch(r"[^*]+\*?", pattern)
    for model in row.models.values():
        assert model.output is None or model.window is None or model.output <= model.window
        assert model.embeddings or model.tier


def test_no_model_is_claimed_by_another_vendor_s_pattern() -> None:
    for row in vendors().values():
        for name in row.models:
            claims = {each.id for each in vendors().values() for pattern in each.patterns if fits(name, pattern)}
            # Open-weight models have several hosts; their rows stand before any pattern.
            assert claims <= {row.id} or name.startswith("gpt-oss")


def test_prefill_ends_with_the_4_5_generation_of_claude() -> None:
    models = vendors()["anthropic"].models
    assert {name for name, row in models.items() if row.prefill} == {
        "claude-opus-4-1",
        "claude-haiku-4-5",
        "claude-sonnet-4-5",
        "claude-opus-4-5",
    }
    assert not any(row.prefill for row in vendors()["openai"].models.values())


def test_the_prices_of_every_priced_vendor_are_known_under_its_id() -> None:
    from genai_prices.data_snapshot import get_snapshot

    known = {provider.id: provider for provider in get_snapshot().providers}
    for row in vendors().values():
        if row.price_provider is None:
            continue
        for name, model in row.models.items():
            assert known[row.price_provider].find_model(model.upstream or name), f"{row.id}: {name}"
