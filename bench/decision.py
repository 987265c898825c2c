"""What a decision costs on the hot path. `python -m bench.decision`.

One process, one core, the catalogue that keys of OpenAI and Anthropic bring. Each row: so many calls with prompts that
differ, each decided once, as a server does it (owner's rules, privacy detector where it says so, decision). What was
learnt is taught here from made-up scores; its size is printed, because the cost depends on it.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bench.run import machine, save
from chittycan.app import Network
from chittycan.gateway.call import Call
from chittycan.gateway.privacy import PrivacyGate
from chittycan.routing.cost.policy import NO_POLICY, Policy
from chittycan.routing.quality.features import sketch
from chittycan.routing.quality.prompts import Scored
from chittycan.routing.quality.train import train

ORDINARY_US, MS_PER_KB = 50.0, 1.5
SCORED = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "claude-sonnet-4-5", "claude-3-5-haiku-latest")
ASKED = (
    "Write a polite email to {} about the {} in {}, and suggest two dates for a visit.",
    "How much is {} times {} when every {} costs 12 more? Calculate it step by step.",
    "Write a function that sorts a list of {} by {} and returns the first {} elements.",
    "What do people in {} think of {}, and when did {} begin?",
    "Summarise the following article about {} in three points: {} was seen near {} on Tuesday.",
)
NOUNS = """
heating garden invoice harbour bridge library kitchen orchard winter market teacher window engine river paper contract
delivery meeting station museum carpet lantern copper forest island tailor
"""
WORDS = NOUNS.split()


def prompt(chance: random.Random, characters: int = 200) -> str:
    text = chance.choice(ASKED).format(*chance.sample(WORDS, 3))
    while len(text) < characters:
        text += f" The {chance.choice(WORDS)} and the {chance.choice(WORDS)} are as they were; it is all in order."
    return text


def call(model: str, text: str) -> Call:
    fields = {"model": model, "messages": [{"role": "user", "content": text}]}
    return Call(request_id="", model=model, surface="openai", body=msgspec.json.encode(fields), fields=fields)


def learnt(chance: random.Random, rows: int) -> Policy:
    """Each model is good at every other kind of prompt, so that there is something to learn from the words."""
    prompts = [prompt(chance) for _ in range(rows)]
    scored = [
        Scored(model, None, sketch(text), 0.9 if (len(text.split()[0]) + place) % 2 else 0.3)
        for text in prompts
        for place, model in enumerate(SCORED)
    ]
    return Policy(quality=train(scored), strong="gpt-4o", cost=lambda model, provider, given, written: given + written)


def measured(decide: Callable[[Call], Any], calls: list[Call]) -> dict[str, float]:
    """µs of processor time per decision. Another call each time; the first tenth warms up."""
    spent = []
    for each in calls:
        begun = time.thread_time()
        decide(each)
        spent.append((time.thread_time() - begun) * 1e6)
    spent = spent[len(spent) // 10 :]
    return {"median_us": round(statistics.median(spent), 1), "p95_us": round(statistics.quantiles(spent, n=20)[-1], 1)}


def main(quick: bool) -> int:
    chance, count = random.Random(1), 1_000 if quick else 10_000
    texts = [prompt(chance) for _ in range(count)]
    long = [prompt(chance, 8_192) for _ in range(count // 10)]
    with tempfile.TemporaryDirectory() as home:
        env = {"HOME": home, "OPENAI_API_KEY": "sk-none", "ANTHROPIC_API_KEY": "sk-none"}
        network = Network(env=env, config_folder=Path(home), database=f"sqlite:///{home}/c.db", look_around=False)
        gateway = network.gateway
        taught = learnt(chance, 400)
        tiers = Policy(tiered=frozenset(gateway.catalogue.models))

        def row(model: str, policy: Policy, detector: bool, prompts: list[str]) -> dict[str, float]:
            gateway.policy, gateway.privacy = policy, PrivacyGate("warn" if detector else "off")
            return measured(gateway.decide, [call(model, text) for text in prompts])

        rows = {
            "a named model": row("gpt-4o", NO_POLICY, False, texts),
            "a named model, detector on": row("gpt-4o", NO_POLICY, True, texts),
            "auto, nothing learnt": row("auto", NO_POLICY, True, texts),
            "auto, by tiers": row("auto", tiers, True, texts),
            "auto, by quality": row("auto", taught, True, texts),
            "auto, by quality, 8 KB": row("auto", taught, True, long),
        }
        models = len(gateway.catalogue.models)
    per_kb = round(rows["auto, by quality, 8 KB"]["median_us"] / 8 / 1e3, 3)
    ordinary = max(rows[name]["median_us"] for name in list(rows)[:4])
    goals = [
        {"goal": f"an ordinary prompt ≤ {ORDINARY_US:g} µs", "measured": ordinary, "holds": ordinary <= ORDINARY_US},
        {"goal": f"by quality ≤ {MS_PER_KB:g} ms per KB", "measured": per_kb, "holds": per_kb <= MS_PER_KB},
    ]
    result = {
        "machine": machine(), "models": models, "scored_models": len(SCORED),
        "learnt_bytes": len(taught.quality.dump()), "characters": round(statistics.mean(map(len, texts))),
        "rows": rows, "goals": goals,
    }  # fmt: skip
    print(json.dumps(result, indent=1, ensure_ascii=False))
    print(f"raw numbers: {save('decision', result, quick)}")
    return 0 if all(goal["holds"] for goal in goals) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.decision", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the calls")
    sys.exit(main(parser.parse_args().quick))
