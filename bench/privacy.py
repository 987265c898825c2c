"""The privacy detector: what it finds, what it keeps at home for nothing, and what it costs. `python -m bench.privacy`.

Found: the labelled identifiers of microsoft/presidio-research's synthetic sentences (`privacy/synth_dataset_v2.json` of
the shared data; MIT); one counts as found where at least half of it is covered. Kept at home for nothing: ordinary
prompts of the routing sets (MMLU-Pro, GSM8K, MMLU, LLMRouter), which hold nobody's identifiers but those in made-up
tasks. Measured without extras, with the extra `privacy`, and with names too where the extra `names` is installed; the
recall over all labelled spans says what looking for no names means. Redaction: what is left of the identifiers.

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
from unittest.mock import patch

from bench.run import machine, save
from chittycan.gateway.people import People, installed
from chittycan.routing.privacy import national
from chittycan.routing.privacy.detect import apart, findings, is_private
from chittycan.routing.privacy.finding import Finding
from chittycan.routing.privacy.placeholders import Placeholders

DATA = Path(os.environ.get("CHITTY_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
IDENTIFIERS = ("CREDIT_CARD", "PHONE_NUMBER", "EMAIL_ADDRESS", "IBAN_CODE", "US_SSN", "IP_ADDRESS", "US_DRIVER_LICENSE")
PEOPLE = ("PERSON", "STREET_ADDRESS")
RECALL, ORDINARY, MS_PER_KB = 0.90, 0.01, 1.0
WARM = 200  # texts
NAMED = 300  # prompts of each set in which names are looked for: that takes long


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


class Detector:
    """One way to look: without extras, with the extra `privacy`, or with names too."""

    def __init__(self, name: str, *, checks: bool, people: People | None = None) -> None:
        self.name, self._checks, self._people = name, checks, people

    def __enter__(self) -> "Detector":
        self._patch = patch.object(national, "installed", lambda: self._checks)
        self._patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.stop()

    def findings(self, text: str) -> list[Finding]:
        found = findings(text)
        return found if self._people is None else apart([*found, *self._people.find(text)])

    def is_private(self, text: str) -> bool:
        return is_private(text) or (self._people is not None and bool(self._people.find(text)))


def recall(detector: Detector, rows: list[dict[str, Any]]) -> dict[str, Any]:
    found, total = Counter[str](), Counter[str]()
    sensitive = leaked = clean = flagged = 0
    for row in rows:
        places = detector.findings(row["full_text"])
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
        "people": {kind: [found[kind], total[kind]] for kind in PEOPLE},
        "recall_identifiers": round(identifiers[0] / identifiers[1], 4),
        "recall_with_names_and_addresses": round(everything[0] / everything[1], 4),
        "leak_rate": round(leaked / sensitive, 4),  # of sentences with an identifier, those that would go outside
        "flagged_of_clean": [flagged, clean],
    }


def redaction(detector: Detector, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What would still leave, where placeholders stand for what is found; and whether it all comes back."""
    left = total = wrong = 0
    for row in rows:
        text, placeholders = row["full_text"], Placeholders([row["full_text"]])
        hidden = placeholders.hide(text, detector.findings(text))
        wrong += placeholders.restore(hidden) != text
        for span in row["spans"]:
            if span["entity_type"] in IDENTIFIERS:
                total += 1
                left += span["entity_value"] in hidden
    return {"identifiers_left": [left, total], "not_restored": [wrong, len(rows)]}


def ordinary(detector: Detector, most: int) -> dict[str, Any]:
    kept, seen, characters = Counter[str](), Counter[str](), 0
    texts = list(prompts(most))
    for _, text in texts[:WARM]:
        detector.is_private(text)
    begun = time.perf_counter()
    for name, text in texts:
        kept[name] += detector.is_private(text)
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


def measured(detector: Detector, most: int) -> dict[str, Any]:
    with detector:
        rows = sentences()
        return {
            "found": recall(detector, rows), "redacted": redaction(detector, rows),
            "ordinary": ordinary(detector, most),
        }  # fmt: skip


def main(quick: bool) -> int:
    if not DATA.is_dir():
        print(f"left out: the shared data are not at {DATA} (CHITTY_DATA says where they are)")
        return 2
    most = 500 if quick else 20_000
    result: dict[str, Any] = {"machine": machine(), "plain": measured(Detector("plain", checks=False), most)}
    best = result["plain"]
    if national.installed():
        best = result["privacy"] = measured(Detector("privacy", checks=True), most)
    if installed():
        people = People()
        result["names"] = measured(Detector("names", checks=national.installed(), people=people), NAMED)
        people.close()
    goals: tuple[tuple[str, float, Callable[[float], bool]], ...] = (
        (f"recall of identifiers ≥ {RECALL}", best["found"]["recall_identifiers"], lambda value: value >= RECALL),
        (f"ordinary prompts kept at home ≤ {ORDINARY:.0%}", best["ordinary"]["over_local_rate"],
         lambda value: value <= ORDINARY),
        (f"≤ {MS_PER_KB:g} ms per KB", best["ordinary"]["ms_per_kb"], lambda value: value <= MS_PER_KB),
    )  # fmt: skip
    result["goals"] = [{"goal": goal, "measured": value, "holds": holds(value)} for goal, value, holds in goals]
    print(json.dumps(result, indent=1, ensure_ascii=False))
    print(f"raw numbers: {save('privacy', result, quick)}")
    return 0 if all(row["holds"] for row in result["goals"]) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.privacy", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="500 prompts of each set")
    sys.exit(main(parser.parse_args().quick))
