"""The law office's mail, by one strong model and by the workstream, in a simulated year: `python -m bench.lawfirm`.

Each mail brings a contract. It is answered when review, letter and acknowledgement wait for the lawyer, whose own time
is left out. Compared are

  script       the steps of the shipped recipe, each asked of one strong model, one mail at a time (`bench.office`)
  script ∥ 16  the same with 16 mails at once: what parallel work alone brings
  all strong   the workstream with that strong model in every step: what fallbacks and waiting bring
  workstream   the recipe as it is shipped: triage by llama-scout, review by claude-sonnet-4-5, letter by gpt-4,
               acknowledgement by the embedded model; parallel, with fallbacks, waiting where no model can serve
  … gpt-4.1    the same with the letter by gpt-4.1, which costs a thirtieth of gpt-4

over mails that come alone (hours apart), 25 at once in the morning, and 20 an hour.

From data: prices (genai-prices), the text of the mails and of the contract in examples/inbox and what it counts in
tokens. Assumed: everything in `SPEEDS` and `OUTPUT`; contracts are 1 to 8 times as long as that in examples/inbox;
each provider is up 99.5 % of the time, independently, with outages of 20 minutes in the mean (exponential), half of
which answer 503 and half nothing; the machine of the office itself is always up, and so is its embedded model; no
rate limits; nobody looks at the quality of what is written.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from bench.office import Case, Handled, Script, Workstreams, catalogue_of
from bench.run import machine, save
from bench.simulation import Outages, Speed, VirtualLoop, World
from chittycan.agents.triage import Said
from chittycan.catalogue import Catalogue
from chittycan.dialects.tokens import estimate_text
from chittycan.integrations.documents.extract import extract
from chittycan.integrations.email.message import Mail, content, parse
from chittycan.routing.decide import decide
from chittycan.routing.facts import Facts
from chittycan.workstreams.recipe import Recipe
from chittycan.workstreams.recipe_file import parse as parse_recipe
from chittycan.workstreams.recipe_file import shipped_text

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("CHITTY_DATA") or ROOT.parent / "shared" / "data")
CONTRACT = ROOT / "examples" / "inbox" / "04-contract-for-review.eml"
FASTER, CHEAPER, ANSWERED = 0.625, 0.775, 0.9999  # what users were promised
STRONG = ("gpt-4", "claude-sonnet-4-5")
OURS = ("workstream", "workstream gpt-4.1")
UP, OUTAGE = 0.995, 1200.0
YEAR = 365 * 86_400.0
DEADLINE = 86_400.0
LENGTHS, SHARES = (1, 2, 4, 8), (40, 30, 20, 10)  # times the example's length; per cent of the contracts

# Medians; each call varies around them (`simulation.SPREAD`). By the provider's own name.
SPEEDS = {
    "gpt-4": Speed(0.8, 28, window=8192),
    "gpt-4.1": Speed(0.7, 90),
    "claude-sonnet-4-5": Speed(1.5, 60),
    "gemini-2.5-pro": Speed(9.0, 130),
    "gemini-2.5-flash-lite": Speed(0.4, 250),
    "@cf/meta/llama-4-scout-17b-16e-instruct": Speed(0.5, 60),
    "smollm2": Speed(0.4, 40, window=8192),
}
EVEN = {name: Speed(1.0, 50, window=speed.window) for name, speed in SPEEDS.items()}
OUTPUT = {"triage": 90, "review": 520, "draft": 380, "acknowledgement": 45}  # tokens, medians

ENV = {"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "x", "GEMINI_API_KEY": "x", "CLOUDFLARE_API_TOKEN": "x",
       "CLOUDFLARE_ACCOUNT_ID": "x"}  # fmt: skip
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai"
CONFIG = {
    "remotes": {"connect": {"type": "chittyconnect", "proxies": {
        "openai": {"apiKey": "env:OPENAI_API_KEY"}, "anthropic": {"apiKey": "env:ANTHROPIC_API_KEY"},
        "cloudflare": {"apiKey": "env:CLOUDFLARE_API_TOKEN"},
        "gemini": {"apiKey": "env:GEMINI_API_KEY", "dialect": "openai", "endpoint": GOOGLE},
    }}},
}  # fmt: skip
MODELS = {
    "fallbacks": {
        "llama-scout": ["gemini-2.5-flash-lite", "gpt-4.1"],
        "claude-sonnet-4-5": ["gpt-4.1", "gemini-2.5-pro"],
        "gpt-4": ["claude-sonnet-4-5", "gemini-2.5-pro"],
        "gpt-4.1": ["claude-sonnet-4-5", "gemini-2.5-pro"],
        "smollm2": ["gemini-2.5-flash-lite"],
    }
}
PROVIDERS = {"api.openai.com": "openai", "api.anthropic.com": "anthropic", "googleapis.com": "gemini",
             "cloudflare.com": "cloudflare", "embedded": "embedded"}  # fmt: skip


def write(step: str, tokens: int) -> str:
    """Text of about so many tokens, of the shape that the step asks for."""
    if step == "triage":
        said = Said("document_submission", 0.9, True, keywords=["contract"], reasoning="A contract is attached.")
        return json.dumps({name: getattr(said, name) for name in said.__struct_fields__})
    words = "The clause on liability needs a lawyer. " * (tokens // 10 + 1)
    text = words[: tokens * 4]
    if step == "review":
        return json.dumps({"risk": 7, "summary": text[: len(text) // 2], "concerns": [text[len(text) // 2 :]]})
    return text


def mails() -> list[Mail]:
    """Real ones where there are any, else those of the example inbox."""
    folder = DATA / "mail"
    files = sorted([*folder.glob("*_ham/*.eml")]) or sorted((ROOT / "examples" / "inbox").glob("*.eml"))
    read = [parse(file.read_bytes()) for file in files]
    return [mail for mail in read if mail.text.strip() and mail.sender is not None]


def contract() -> str:
    """The text of the contract in the example inbox."""
    raw = CONTRACT.read_bytes()
    return extract(content(raw, parse(raw).attachments[0]), "contract.pdf").text


def arrivals(scenario: str, count: int, rng: random.Random) -> list[float]:
    """Seconds from the beginning of the year."""
    if scenario == "alone":
        return sorted(rng.uniform(0, YEAR) for _ in range(count))
    days = [float(day) * 86_400 for day in range(365)]
    if scenario == "morning":
        return sorted(rng.sample(days, min(365, -(-count // 25))) * 25)[:count]
    chosen = rng.sample(days, min(365, -(-count // 160)))
    return sorted(day + rng.uniform(0, 8 * 3600) for day in chosen for _ in range(160))[:count]


def cases(scenario: str, count: int, seed: int, texts: Sequence[Mail], document: str) -> list[Case]:
    rng = random.Random(f"{scenario} {seed}")
    return [
        Case(f"ws_{number}", at, rng.choice(texts), document * rng.choices(LENGTHS, SHARES)[0])
        for number, at in enumerate(arrivals(scenario, count, rng))
    ]


def outages(seed: int) -> dict[str, Outages]:
    return {name: Outages(f"{seed} {name}", UP, OUTAGE) for name in PROVIDERS.values() if name != "embedded"}


def with_models(recipe: Recipe, model: str, only: str | None = None) -> Recipe:
    """The recipe with this model in every step that has one, or in one."""
    changed = [
        replace(step, model=model) if step.model is not None and only in (None, step.id) else step
        for step in recipe.steps
    ]
    return replace(recipe, steps=changed)


async def through(office: Script | Workstreams, given: Iterable[Case]) -> list[Handled]:
    """All of them, each from the moment at which it arrives."""
    loop = asyncio.get_running_loop()

    async def one(case: Case) -> Handled:
        await asyncio.sleep(case.at - loop.time())
        return await office.handle(case)

    return list(await asyncio.gather(*(one(case) for case in given)))


def simulate(way: str, catalogue: Catalogue, world: World, given: list[Case], seed: int) -> list[Handled]:
    """`way`: "script MODEL", "script16 MODEL", "strong MODEL", "workstream" or "workstream gpt-4.1"."""
    recipe = parse_recipe(shipped_text("legal-pipeline"))
    kind, _, model = way.partition(" ")
    random.seed(seed)  # the gateway's own jitter

    async def run() -> list[Handled]:
        if kind.startswith("script"):
            return await through(Script(catalogue, world, recipe, model, int(kind[6:] or 1), seed), given)
        chosen = with_models(recipe, model, None if kind == "strong" else "draft") if model else recipe
        with tempfile.TemporaryDirectory() as folder:
            office = Workstreams(catalogue, world, chosen, Path(folder), seed)
            try:
                return await through(office, given)
            finally:
                await office.close()

    loop = VirtualLoop()
    try:
        return loop.run_until_complete(run())
    finally:
        loop.close()


def summary(handled: Sequence[Handled]) -> dict[str, Any]:
    """Seconds, dollars and shares; seconds are of the mails that were answered at all."""
    took = sorted(each.ready - each.case.at for each in handled if each.ready is not None)
    bursts = itertools.groupby((each for each in handled if each.ready is not None), key=lambda each: each.case.at)
    spans = [max(each.ready or 0.0 for each in group) - at for at, group in bursts]
    served = Counter(f"{step}: {model}" for each in handled for step, model in each.by.items())
    return {
        "mails": len(handled),
        "mean_s": round(statistics.fmean(took), 1),
        "p50_s": round(took[len(took) // 2], 1),
        "p95_s": round(took[min(len(took) - 1, int(len(took) * 0.95))], 1),
        "burst_s": round(statistics.fmean(spans), 1),
        "usd_per_mail": round(sum(each.cost_nano for each in handled) / 1e9 / len(handled), 5),
        "unanswered": sum(each.ready is None for each in handled),
        "lost": dict(Counter(each.lost for each in handled if each.lost)),
        "at_once": sum(each.ready is not None and not each.waited for each in handled) / len(handled),
        "in_a_day": sum(each.ready is not None and each.ready - each.case.at <= DEADLINE for each in handled)
        / len(handled),
        "served": dict(sorted(served.items())),
    }  # fmt: skip


def uncovered(catalogue: Catalogue, recipe: Recipe, seed: int, years: int = 500) -> dict[str, Any]:
    """The share of the time in which no provider of a chain is up, which is too rare to meet in the mails of one year.

    The steps' chains are the router's, the outages those of the simulation; and what so many providers would have.
    """
    steps = {step.id: Facts(model=step.model) for step in recipe.steps if step.model is not None}
    chains = {step: {each.provider.name for each in decide(facts, catalogue).chain} for step, facts in steps.items()}
    down = outages(seed)
    share = {len(names): _missing(names, down, years) for names in itertools.accumulate([name] for name in down)}
    return {"providers_of_each_step": {step: sorted(chain) for step, chain in chains.items()}, "years": years,
            "share_without_a_provider_by_their_number": share}  # fmt: skip


def _missing(names: Sequence[str], down: Mapping[str, Outages], years: int) -> float:
    first, *others = (down[name] for name in names)
    moment = missing = 0.0
    while moment < years * YEAR:
        outage = first.at(first.next(moment))
        assert outage is not None
        missing += _all_down(others, outage.begin, outage.end)
        moment = outage.end
    return missing / (years * YEAR)


def _all_down(others: Sequence[Outages], begin: float, end: float) -> float:
    """Seconds between these two moments in which all of them are down."""
    if not others:
        return end - begin
    found, moment = 0.0, begin
    while moment < end:
        outage = others[0].at(moment)
        if outage is not None:
            found += _all_down(others[1:], moment, min(end, outage.end))
        moment = outage.end if outage is not None else others[0].next(moment)
    return found


def table(results: dict[str, dict[str, Any]]) -> str:
    lines = ["| way | mean s | p50 s | p95 s | burst s | $ per mail | at once | within a day | unanswered |",
             "|---" * 9 + "|"]  # fmt: skip
    for way, row in results.items():
        cells = [way, *(f"{row[key]:,.1f}" for key in ("mean_s", "p50_s", "p95_s", "burst_s"))]
        cells += [f"{row['usd_per_mail']:.4f}", f"{row['at_once']:.3%}", f"{row['in_a_day']:.3%}"]
        why = ", ".join(f"{count} {why}" for why, count in row["lost"].items())
        lines.append(f"| {' | '.join(cells)} | {why or row['unanswered']} |")
    return "\n".join(lines)


def promises(results: dict[str, dict[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Each promise against each baseline: some hold, some do not."""
    rows: list[dict[str, Any]] = []
    for (scenario, ways), us in itertools.product(results.items(), OURS):
        ours = ways[us]
        for name, theirs in ways.items():
            if not name.startswith("script"):
                continue
            faster, cheaper = (1 - ours[key] / theirs[key] for key in ("mean_s", "usd_per_mail"))
            rows.append({"goal": f"{scenario}: {us} {FASTER:.1%} faster than {name}", "measured": f"{faster:.1%}",
                         "holds": faster >= FASTER})  # fmt: skip
            if scenario == "alone" and name.startswith("script "):
                rows.append({"goal": f"{us} {CHEAPER:.1%} cheaper than {name}", "measured": f"{cheaper:.1%}",
                             "holds": cheaper >= CHEAPER})  # fmt: skip
        for key, said in (("at_once", "answered at once"), ("in_a_day", "answered within a day")):
            measured = f"{ours[key]:.3%} of {ours['mails']}"
            row = {"goal": f"{scenario}: {us} {ANSWERED:.2%} {said}", "measured": measured}
            shown = ours[key] < ANSWERED or ours["mails"] >= 3 / (1 - ANSWERED)  # too few without a miss show nothing
            rows.append(row | ({"holds": ours[key] >= ANSWERED} if shown else {}))
    return rows


def main(given: argparse.Namespace) -> int:
    catalogue = catalogue_of(CONFIG, MODELS, ENV)
    texts, document = mails(), contract()
    ways = [*OURS]
    for model in STRONG:
        ways += [f"script {model}", f"script16 {model}", f"strong {model}"]
    results: dict[str, dict[str, Any]] = {}
    for scenario in ("alone", "morning", "day", "alone, all models equally fast"):
        kind = scenario.partition(",")[0]
        load = cases(kind, given.mails, given.seed, texts, document)
        speeds = EVEN if kind != scenario else SPEEDS
        found = results[scenario] = {}
        for way in ways:
            if way.startswith("script16") and kind == "alone":
                continue  # nothing is ever parallel there
            world = World(speeds, PROVIDERS, outages(given.seed), OUTPUT, write)
            found[way] = summary(simulate(way, catalogue, world, load, given.seed))
        print(f"\n{scenario}\n\n{table(found)}", flush=True)
    gaps = uncovered(catalogue, parse_recipe(shipped_text("legal-pipeline")), given.seed)
    goals = promises(results)
    for number, share in gaps["share_without_a_provider_by_their_number"].items():
        goals.append({"goal": f"a model for {ANSWERED:.2%} of the time with {number} providers",
                      "measured": f"all are down for {share:.1e} of it", "holds": 1 - share >= ANSWERED})  # fmt: skip
    print(f"\nproviders of each step: {gaps['providers_of_each_step']}")
    print(f"{given.mails} mails without a miss show no more than {1 - 3 / given.mails:.2%} (at 95 %)\n")
    for row in goals:
        print(f"{ {True: 'ok  ', False: 'MISS', None: '    '}[row.get('holds')] } {row['goal']}: {row['measured']}")
    raw = {"machine": machine(), "assumptions": __doc__, "seed": given.seed, "mails_per_scenario": given.mails,
           "texts": len(texts), "contract_tokens": estimate_text(document), "results": results, "coverage": gaps,
           "goals": goals}  # fmt: skip
    print(f"raw numbers: {save('lawfirm', raw, given.quick)}")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.lawfirm", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="25 mails in place of 1,000")
    parser.add_argument("--mails", type=int, default=None, help="in each scenario")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.mails = arguments.mails or (25 if arguments.quick else 1_000)
    sys.exit(main(arguments))
