"""The privacy detector: what it finds, what it keeps at home for nothing, and what it costs. `python -m bench.privacy`.

Found: the labelled identifiers of microsoft/presidio-research's synthetic sentences (`privacy/synth_dataset_v2.json` of
the shared data; MIT); one counts as found where at least half of it is covered. Kept at home for nothing: ordinary
prompts of the routing sets (MMLU-Pro, GSM8K, MMLU, LLMRouter), which hold nobody's identifiers but those in made-up
tasks. Names and addresses are not looked for: the recall over all labelled spans says what that means.

The patterns for phones and cards were written with these sentences at hand: take the recall as flattered.
"""

import argparse
import gzip
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.run import machine, save
from chittycan.routing.privacy.detect import findings, is_private

DATA = Path(os.environ.get("CHITTY_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
IDENTIFIERS = ("CREDIT_CARD", "PHONE_NUMBER", "EMAIL_ADDRESS", "IBAN_CODE", "US_SSN", "IP_ADDRESS", "US_DRIVER_LICENSE")
PEOPLE = ("PERSON", "STREET_ADDRESS")
RECALL, ORDINARY, MS_PER_KB = 0.90, 0.01, 1.0
WARM = 200  # texts


def sentences() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DATA / "privacy" / "synth_dataset_v2.json").read_text())
    return found


def prompts(most: int) -> Iterator[tuple[str, str]]:
    """(set, prompt), at most so many of each set."""
    for file in sorted((DATA / "routing").glob("*.jsonl.gz")):
        with gzip.open(file, "rt") as lines:
            for number, line in enumerate(lines):
                if number >= most:
                    break
                row = json.loads(line)
                text = next(
                    (row[key] for key in ("prompt", "question", "query") if isinstance(row.get(key), str)), None
                )
                if text:
                    yield file.name.partition(".")[0], text


def recall(rows: list[dict[str, Any]]) -> dict[str, Any]:
    found, total = Counter[str](), Counter[str]()
    sensitive = leaked = clean = flagged = 0
    for row in rows:
        places = findings(row["full_text"])
        marked = [span for span in row["spans"] if span["entity_type"] in IDENTIFIERS]
        for span in row["spans"]:
            start, end = span["start_position"], span["end_position"]
            covered = max((min(end, each.end) - max(start, each.start) for each in places), default=0)
            total[span["entity_type"]] += 1
            found[span["entity_type"]] += covered * 2 >= end - start
        sensitive += bool(marked)
        leaked += bool(marked) and not places
        clean += not row["spans"]
        flagged += not row["spans"] and bool(places)
    identifiers = [sum(counts[kind] for kind in IDENTIFIERS) for counts in (found, total)]
    everything = [sum(counts[kind] for kind in (*IDENTIFIERS, *PEOPLE)) for counts in (found, total)]
    return {
        "identifiers": {kind: [found[kind], total[kind]] for kind in IDENTIFIERS},
        "recall_identifiers": round(identifiers[0] / identifiers[1], 4),
        "recall_with_names_and_addresses": round(everything[0] / everything[1], 4),
        "leak_rate": round(leaked / sensitive, 4),  # of sentences with an identifier, those that would go outside
        "flagged_of_clean": [flagged, clean],
    }


def ordinary(most: int) -> dict[str, Any]:
    kept, seen, characters = Counter[str](), Counter[str](), 0
    texts = list(prompts(most))
    for _, text in texts[:WARM]:
        is_private(text)
    begun = time.perf_counter()
    for name, text in texts:
        kept[name] += is_private(text)
        seen[name] += 1
        characters += len(text)
    seconds = time.perf_counter() - begun
    return {
        "kept": {name: [kept[name], seen[name]] for name in seen},
        "over_local_rate": round(sum(kept.values()) / sum(seen.values()), 5),
        "ms_per_kb": round(seconds * 1000 / (characters / 1024), 4),
        "us_per_prompt": round(seconds * 1e6 / len(texts), 1),
        "mean_characters": round(characters / len(texts)),
    }


def main(quick: bool) -> int:
    if not DATA.is_dir():
        print(f"left out: the shared data are not at {DATA} (CHITTY_DATA says where they are)")
        return 2
    result: dict[str, Any] = {
        "machine": machine(),
        "found": recall(sentences()),
        "ordinary": ordinary(500 if quick else 20_000),
    }
    goals: tuple[tuple[str, float, Callable[[float], bool]], ...] = (
        (f"recall of identifiers ≥ {RECALL}", result["found"]["recall_identifiers"], lambda value: value >= RECALL),
        (f"ordinary prompts kept at home ≤ {ORDINARY:.0%}", result["ordinary"]["over_local_rate"],
         lambda value: value <= ORDINARY),
        (f"≤ {MS_PER_KB:g} ms per KB", result["ordinary"]["ms_per_kb"], lambda value: value <= MS_PER_KB),
    )  # fmt: skip
    result["goals"] = [{"goal": goal, "measured": value, "holds": holds(value)} for goal, value, holds in goals]
    print(json.dumps(result, indent=1, ensure_ascii=False))
    print(f"raw numbers: {save('privacy', result, quick)}")
    return 0 if all(row["holds"] for row in result["goals"]) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.privacy", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="500 prompts of each set")
    sys.exit(main(parser.parse_args().quick))
