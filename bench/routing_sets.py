"""The sets that routing is measured on, how they are halved, and what others published about the same data."""

import gzip
import hashlib
import json
import os
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chittycan.routing.quality.features import sketch
from chittycan.routing.quality.prompts import Prompt, Scored, collected

DATA = Path(os.environ.get("CHITTY_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
SEED = 20261123
PRO, FLASH, SMALL = "gemini-1.5-pro-002", "gemini-1.5-flash-002", "Meta-Llama-3_1-8B-Instruct"
MIDDLE = "Meta-Llama-3_1-70B-Instruct"
GPT4, MIXTRAL = "gpt-4-1106-preview", "mixtral-8x7b"
GEMMA, NEMOTRON = "gemma-2-9b-it", "llama-3.1-nemotron-51b-instruct"

# name → (files, weak, strong). Costs stand in the sets: list prices of their time on characters / 4, the output's
# too where the set holds it; one output token for RouteLLM-MMLU, 200 for LLMRouter-9.
PAIRS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "RouteLLM-MMLU": (("routellm_mmlu",), MIXTRAL, GPT4),
    "RouteLLM-GSM8K": (("routellm_gsm8k",), MIXTRAL, GPT4),
    "MMLU-Pro flash→pro": (("mmlu_pro",), FLASH, PRO),
    "MMLU-Pro 8B→pro": (("mmlu_pro",), SMALL, PRO),
    "LLMRouter-9 9B→51B": (("llmrouter9_train", "llmrouter9_test"), GEMMA, NEMOTRON),
}
TIERS = "MMLU-Pro, five models"  # the pool that has three tiers
# name → (files, models): everything that `auto` may choose from.
POOLS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    TIERS: (("mmlu_pro",), (PRO, FLASH, SMALL, MIDDLE, "mathstral-7B")),
    "MMLU-Pro without Flash": (("mmlu_pro",), (PRO, SMALL, MIDDLE, "mathstral-7B")),
    "LLMRouter-9": (("llmrouter9_train", "llmrouter9_test"), (
        GEMMA, NEMOTRON, "codegemma-7b", "llama-3.1-8b-instruct", "llama-3.3-nemotron-super-49b-v1",
        "llama3-chatqa-1.5-70b", "llama3-chatqa-1.5-8b", "mistral-7b-instruct-v0.3", "qwen2.5-7b-instruct")),
}  # fmt: skip

# APGR$ and save@95 (%) that were measured before on the same pairs, with scikit-learn, over all prompts: the best of
# what was tried in-domain (topic means where they are better), and LiteLLM 1.109's two heuristics, which need no data.
BEFORE: dict[str, dict[str, tuple[float, int]]] = {
    "RouteLLM-MMLU": {"best in-domain": (0.62, 45), "LiteLLM": (0.49, 32), "LiteLLM v2": (0.60, 47)},
    "RouteLLM-GSM8K": {"best in-domain": (0.59, 32), "LiteLLM": (0.53, 19), "LiteLLM v2": (0.48, 19)},
    "MMLU-Pro flash→pro": {"best in-domain": (0.75, 70), "LiteLLM": (0.58, 60), "LiteLLM v2": (0.47, 49)},
    "MMLU-Pro 8B→pro": {"best in-domain": (0.53, 15), "LiteLLM": (0.49, 12), "LiteLLM v2": (0.51, 12)},
    "LLMRouter-9 9B→51B": {"best in-domain": (0.79, 69), "LiteLLM": (0.63, 46), "LiteLLM v2": (0.55, 35)},
}
# What their authors say. Other data, other prices: beside ours, not against it.
PUBLISHED = (
    ("RouteLLM (LMSYS)", "85 % saved at 95 % of GPT-4 on MT-Bench (80 questions), 45 % on MMLU, 35 % on GSM8K"),
    ("RouterBench (arXiv 2403.12031)", "kNN and MLP routers do not consistently beat a fixed mix of models"),
    ("LLMRouterBench (arXiv 2601.07206)", "at best 31.7 % saved at the quality of the best single model"),
    ("The Routing Plateau (arXiv 2606.07587)", "21 methods lie in one narrow band, far below the oracle"),
    ("TwinRouterBench", "75 of 100 for $25.66 against 74 for $54.73: 53 % saved"),
    ("routerbench-mini", "13.9 % saved for 0.63 points less"),
)


@dataclass
class Set:
    """Prompts with every model's score and cost (dollars). `choose`: on which half thresholds are chosen."""

    name: str
    models: tuple[str, ...]
    texts: list[str] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    score: dict[str, list[float]] = field(default_factory=dict)
    cost: dict[str, list[float]] = field(default_factory=dict)
    prompts: list[Prompt] = field(default_factory=list)  # with the topic as the kind of work
    choose: list[int] = field(default_factory=list)
    test: list[int] = field(default_factory=list)
    split: str = ""  # hash of the test half

    def __len__(self) -> int:
        return len(self.texts)

    def mean(self, model: str, places: Sequence[int]) -> float:
        return statistics.fmean(self.score[model][each] for each in places)

    def spent(self, model: str, places: Sequence[int]) -> float:
        return sum(self.cost[model][each] for each in places)


def load(name: str, files: Sequence[str], models: Sequence[str]) -> Set:
    """The prompts that all of these models answered, halved by chance with a fixed seed."""
    found = Set(name, tuple(models))
    rows = [row for file in files for row in _rows(file) if set(models) <= set(row["quality"])]
    found.texts = [row["prompt"] for row in rows]
    found.topics = [row["group"] for row in rows]
    found.score = {model: [float(row["quality"][model]) for row in rows] for model in models}
    found.cost = {model: [float(row["cost"][model]) for row in rows] for model in models}
    for row in rows:
        drawn = sketch(row["prompt"])
        found.prompts += collected(
            Scored(model, row["group"], drawn, float(row["quality"][model]), round(1e9 * row["cost"][model]))
            for model in models
        )
    places = list(range(len(rows)))
    random.Random(SEED).shuffle(places)
    found.choose, found.test = sorted(places[: len(rows) // 2]), sorted(places[len(rows) // 2 :])
    found.split = hashlib.sha256(json.dumps(found.test).encode()).hexdigest()[:12]
    return found


def _rows(file: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / "routing" / f"{file}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def random_parts(size: int, parts: int = 5) -> list[int]:
    """The part of each place, for cross-validation within all topics."""
    dice = random.Random(SEED + 1)
    return [dice.randrange(parts) for _ in range(size)]


def topic_parts(topics: Sequence[str], parts: int = 4) -> list[int]:
    """The part of each place, so that no topic is in two."""
    names = sorted(set(topics))
    random.Random(SEED + 2).shuffle(names)
    return [names.index(topic) % parts for topic in topics]
