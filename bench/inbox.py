"""The inbox: mails per minute without a model's time, memory, and how well it sorts. `python -m bench.inbox [--quick]`.

Throughput and memory: 10,000 mails, made from the real ones of the shared data (else examples/inbox) by new
Message-IDs and a line at the end, go through the whole pipeline into a database, four at a time; the model is a
stand-in in this process that answers at once, so that what is measured is ours.

Quality: (a) what settles the 450 labelled mails of the shared data (SpamAssassin's public corpus: easy ham, hard ham,
spam) without a model, and what rules then make of the rest; (b) tests/data/office_mails.json, 70 short mails of a law
office in six languages with category and level, written for this by somebody who knew the seventeen categories: by
rules alone, and with `--embedded` N of them (chosen by a seed) by the model that runs inside. `--set fresh` takes 60
further ones in eight languages instead, which were written before the rules saw them, and `--set unseen` and
`--set third` those of bench.office_unseen.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from bench import office_unseen
from bench.mutants import DATA, ROOT, SEED, samples
from bench.run import machine, save
from chittycan.agents.agent import Ask, run
from chittycan.agents.pipeline import Terms, process, settled_priority
from chittycan.agents.prefilter import settle
from chittycan.agents.priority import PRIORITY, Prioritized
from chittycan.agents.rules import MOST
from chittycan.agents.triage import TRIAGE
from chittycan.agents.wording import Wording
from chittycan.chat import ChatRequest, ChatResponse, Text
from chittycan.gateway.call import Answer, Options, Trace
from chittycan.integrations.email.message import Mail, parse
from chittycan.integrations.email.sources import RawMail
from chittycan.store.database import Database
from chittycan.store.migrations import migrate

MAILS = 10_000
WRITTEN = "Mon, 23 Nov 2026 09:00:00 +0000"  # of the office mails: some name a day by which they want something
OFFICE, FRESH = (ROOT / "tests" / "data" / f"office_{name}.json" for name in ("mails", "fresh"))
_SAID = {
    "triage": {"category": "general_inquiry", "confidence": 0.9, "needs_reply": True, "reasoning": "A question."},
    "priority": {"level": "NORMAL", "score": 0.5, "factors": ["client"], "reasoning": "Nothing presses."},
    "response": {"about": "your message", "body": "Thank you for your message. We will come back to you soon."},
}


async def at_once(request: ChatRequest, options: Options) -> Answer:
    """The stand-in."""
    form = request.response_format
    assert form is not None
    said = json.dumps(_SAID[form.name or ""])
    response = ChatResponse(id="c", model="stand-in", parts=[Text(said)], stop_reason="stop")
    return Answer(response=response, trace=Trace(request_id="c", model="stand-in", cost_nano=0))


def multiplied(mails: Sequence[bytes], count: int) -> Iterator[RawMail]:
    """`count` mails that are all different."""
    for number in range(count):
        raw = mails[number % len(mails)]
        head = b"X-Copy: %d\nMessage-ID: <copy-%d@bench.example>\n" % (number, number)
        yield RawMail("bench", str(number), head + raw + b"\nCopy %d\n" % number)


def resident() -> float:
    """MB now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def on_disk(folder: str) -> float:
    """MB."""
    return sum(file.stat().st_size for file in Path(folder).iterdir()) / 2**20


async def throughput(count: int) -> dict[str, Any]:
    memory: list[float] = []
    states: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/chitty.db")
        migrate(database)
        before, started, spent = resident(), time.monotonic(), time.process_time()

        def seen(outcome: Any) -> None:
            states[outcome.state] += 1
            if sum(states.values()) % max(1, count // 10) == 0:
                memory.append(round(resident(), 1))

        try:
            await process(
                multiplied(samples(), count), at_once, database, Terms(parallel=4), on_progress=seen, keep=False
            )
        finally:
            database.close()
        took, spent = time.monotonic() - started, time.process_time() - spent
        size = on_disk(folder)
    return {
        "mails": count, "states": dict(states), "seconds": round(took, 1), "mails_per_minute": round(count * 60 / took),
        "processor_ms_per_mail": round(spent * 1000 / count, 2), "mb_before": round(before, 1),
        "mb_after_each_tenth": memory, "database_mb": round(size, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }  # fmt: skip


def corpus() -> dict[str, Any]:
    """For each label: by what the mails were settled, and as what rules see the rest."""
    found: dict[str, Any] = {}
    for folder in ("easy_ham", "hard_ham", "spam"):
        settled: Counter[str] = Counter()
        rest: Counter[str] = Counter()
        for file in sorted((DATA / "mail" / folder).glob("*.eml")):
            mail = Wording(parse(file.read_bytes()))
            if (reason := settle(mail)) is not None:
                settled[reason.reason] += 1
            else:
                rest[TRIAGE.rules(mail).category] += 1
        found[folder] = {"settled": dict(settled), "rest_by_rules": dict(rest)}
    return found


def office(which: str = "own") -> list[tuple[dict[str, Any], Mail]]:
    """(labels, mail)."""
    if which in office_unseen.SETS:
        return office_unseen.mails(which)
    found = []
    for number, row in enumerate(json.loads((FRESH if which == "fresh" else OFFICE).read_text())):
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = row["from"], "office@meyer.example", row["subject"]
        mail["Message-ID"] = f"<office-{number}@bench.example>"
        mail["Date"] = WRITTEN
        for name, value in row.get("headers", {}).items():
            mail[name] = value
        mail.set_content(row["text"])
        found.append((row, parse(mail.as_bytes())))
    return found


def score(rows: Sequence[tuple[dict[str, Any], str, str]]) -> dict[str, Any]:
    """Of (labels, category, level): the share that is right, in all and by language; and what went wrong how often."""
    right = [category in (row["category"], row.get("also")) for row, category, _ in rows]
    levels = [row["priority"] == level for row, _, level in rows]
    languages: dict[str, list[bool]] = {}
    categories: dict[str, list[bool]] = {}
    for (row, _, _), good in zip(rows, right, strict=True):
        languages.setdefault(row["language"], []).append(good)
        categories.setdefault(row["category"], []).append(good)
    wrong = Counter(
        f"{row['category']} → {category}" for (row, category, _), good in zip(rows, right, strict=True) if not good
    )
    high = [level == "HIGH" for row, _, level in rows if row["priority"] == "HIGH"]
    return {
        "mails": len(rows), "category": _share(right), "level": _share(levels), "high_seen_as_high": _share(high),
        "category_by_language": {name: _share(each) for name, each in sorted(languages.items())},
        "right_by_category": {name: [sum(each), len(each)] for name, each in sorted(categories.items())},
        "most_wrong": dict(wrong.most_common(10)),
    }  # fmt: skip


def _share(found: Sequence[bool]) -> float:
    return round(sum(found) / max(1, len(found)), 3)


def without_a_model(mails: Sequence[tuple[dict[str, Any], Mail]]) -> dict[str, Any]:
    """As a user sees it: what needs no model is settled, rules sort the rest. And how sure they are when right.

    `reply` is the share of mails of which it is said rightly whether an answer is due, where the labels say so.
    """
    rows, said, reply = [], [], []
    for row, mail in mails:
        wording = Wording(mail)
        triage = TRIAGE.rules(wording)
        if (settled := settle(wording)) is not None:
            rows.append((row, settled.category, settled_priority(wording, settled).level))
            reply.append(row.get("needs_reply") is False)
            continue
        rows.append((row, triage.category, PRIORITY.rules(Prioritized(wording, triage)).level))
        reply.append(row.get("needs_reply") is triage.needs_reply)
        said.append((triage.confidence, triage.category in (row["category"], row.get("also"))))
    steps = ((0.0, 0.5), (0.5, 0.7), (0.7, MOST), (MOST, 1.01))
    sure = {f"{low:.0%} and more": [good for share, good in said if low <= share < high] for low, high in steps}
    told = any("needs_reply" in row for row, _ in mails)
    return {**score(rows), "reply": _share(reply) if told else None, "settled": len(rows) - len(said),
            "right_where_said": {name: [sum(each), len(each)] for name, each in sure.items()}}  # fmt: skip


async def by_model(ask: Ask, most: int, seed: int, which: str = "own") -> dict[str, Any]:
    chosen = random.Random(seed).sample(office(which), most)
    rows, seconds, fallbacks = [], 0.0, 0
    for row, mail in chosen:
        wording = Wording(mail)
        triage = await run(TRIAGE, wording, ask)
        level = await run(PRIORITY, Prioritized(wording, triage.value), ask)
        seconds += (triage.ms + level.ms) / 1000
        fallbacks += triage.fallback + level.fallback
        rows.append((row, triage.value.category, level.value.level))
    return {**score(rows), "seconds_per_mail": round(seconds / most, 1), "answers_by_rules": fallbacks,
            "rules_on_the_same": without_a_model(chosen)}  # fmt: skip


async def embedded(most: int, seed: int, which: str) -> dict[str, Any]:
    """With the model that runs inside, and a configuration of its own."""
    from chittycan.app import Network

    with tempfile.TemporaryDirectory() as folder:
        env = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
        env |= {"CHITTY_CONFIG_DIR": folder, "CHITTY_DATABASE_URL": f"sqlite:///{folder}/chitty.db"}
        for name in ("config.json", "models.json"):
            (Path(folder) / name).write_text("{}")
            (Path(folder) / name).chmod(0o600)
        async with Network(env=env) as network:
            return await by_model(network.gateway.ask, most, seed, which)


def main() -> int:
    given = argparse.ArgumentParser(prog="bench.inbox", description=__doc__.splitlines()[0])
    given.add_argument("--quick", action="store_true", help="a tenth of the mails")
    given.add_argument("--embedded", type=int, default=0, metavar="N", help="ask the embedded model about N mails")
    given.add_argument(
        "--set", choices=("own", "fresh", *office_unseen.SETS), default="own", help="the labelled office mails"
    )
    given.add_argument("--sorting", action="store_true", help="only how well mail is sorted")
    given.add_argument("--seed", type=int, default=SEED)
    options = given.parse_args()
    result: dict[str, Any] = {"machine": machine(), "seed": options.seed, "set": options.set}
    parts: dict[str, Callable[[], Any]] = {
        "throughput": lambda: asyncio.run(throughput(MAILS // 10 if options.quick else MAILS)),
        "corpus": corpus, "office_without_a_model": lambda: without_a_model(office(options.set)),
    }  # fmt: skip
    if options.set != "own" or options.sorting:
        parts = {name: part for name, part in parts.items() if name != "throughput"}
    if options.set != "own":
        del parts["corpus"]
    if options.embedded:
        parts["office_by_embedded"] = lambda: asyncio.run(embedded(options.embedded, options.seed, options.set))
    for name, measure in parts.items():
        result[name] = measure()
        print(f"{name}: {json.dumps(result[name], ensure_ascii=False)}", flush=True)
    print(f"saved {save('inbox', result, options.quick)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
