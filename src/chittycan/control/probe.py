"""Does a model really answer? One short question to that model alone, and what a failure means."""

import asyncio
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from chittycan.errors import ChittyError, ProviderError

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.catalogue import Model, Provider

SECONDS = 20.0  # for each answer
START_SECONDS = 60.0  # where our own model may have to start first
QUESTION = "Answer with the single word: ready"
TOKENS = 16
KIND = "test"  # kind of task in the ledger

# Failure class → what it means to the owner, and what mends it.
MEANINGS: dict[str, tuple[str, str]] = {
    "credential": ("the provider refused the key", "Correct {keys}, or make a new key at the provider."),
    "quota": ("the key is good, but the account has no credit left", "Add credit at the provider."),
    "rate_limit": ("it answers, but is rate-limited right now", "Wait a little, or raise the limit at the provider."),
    "model_gone": ("the provider has no such model", "can connect integration add {provider} --model OTHER"),
    "silent": ("no answer in time", "Check the network, and that {endpoint} is the right endpoint."),
    "transient": ("the provider could not be reached, or broke off", "Check the network, and the endpoint {endpoint}."),
    "truncated": ("the answer broke off", "Try again; if it stays so, the endpoint {endpoint} is at fault."),
    "context": ("the model's window is too small for one sentence", "Set the model's contextWindow in models.json."),
    "content": ("the provider's content policy refused a harmless question", "Try another model of this provider."),
    "caller_fault": ("the provider refused the form of the request", 'Check "dialect" of {provider} in config.json.'),
}


class Probed(Struct, kw_only=True):
    """What one model did. `problem` and `fix` are for people; `failure` is the class of the failure table."""

    model: str
    provider: str
    success: bool
    latency_ms: float | None = None
    cost_usd: float | None = None
    failure: str | None = None
    status: int | None = None
    problem: str | None = None
    fix: str | None = None


async def probe_all(network: "Network", names: list[str]) -> list[Probed]:
    """All at once."""
    return list(await asyncio.gather(*(probe(network, name) for name in names)))


async def probe(network: "Network", name: str) -> Probed:
    """Asks the model `name`, and no other, a question. Never raises for what the provider does."""
    from chittycan.chat import ChatRequest, user

    catalogue = network.gateway.catalogue
    model = catalogue.resolve(name)
    if model is None:
        why = catalogue.why_unavailable(name) or "unknown"
        return Probed(model=name, provider="", success=False, problem=why, fix="can doctor")
    provider = catalogue.providers[model.provider]
    if provider.embedded and (missing := _not_fetched(network)):
        return Probed(model=name, provider=provider.name, success=False, problem=missing, fix="can up")
    network.gateway.health.forget(model)  # the owner wants to know now, whatever was learnt before
    seconds = START_SECONDS if provider.embedded else SECONDS
    request = ChatRequest(model=name, messages=[user(QUESTION)], max_tokens=TOKENS)
    try:
        answer = await network.ask(request, kind=KIND, models=(name,), timeout=seconds)
    except ChittyError as error:
        return _failed(error, model, provider)
    return Probed(
        model=name, provider=provider.name, success=True, latency_ms=round(answer.ms, 1), cost_usd=answer.cost_usd
    )


def _failed(error: ChittyError, model: "Model", provider: "Provider") -> Probed:
    attempts: list[dict[str, Any]] = error.attempts if isinstance(error, ProviderError) else []
    last = attempts[-1] if attempts else {}
    meaning, fix = MEANINGS.get(str(last.get("class")), (error.message, error.fix or "can doctor"))
    keys = " or ".join(key.source for key in provider.keys) or "the key"
    said = {"keys": keys, "provider": provider.name, "endpoint": provider.endpoint}
    return Probed(
        model=model.name, provider=provider.name, success=False, failure=last.get("class"), status=last.get("status"),
        latency_ms=last.get("ms"), problem=meaning, fix=fix.format(**said) if last else fix,
    )  # fmt: skip


def _not_fetched(network: "Network") -> str | None:
    """Testing must not turn into a download of 93 MB."""
    from chittycan.providers import model_files

    if network.settings.embedded.model is not None or model_files.find() is not None:
        return None
    return "the embedded model was not fetched yet"
