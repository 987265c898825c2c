"""Time from the command to the first answer: `can serve` until ready, `can --help`. `python -m bench.startup`."""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.gateways import GATEWAYS, AllInOne, CannotRunError, ChittyCan, Gateway, Rolter
from bench.run import free_port, machine, save

READY_SECONDS, HELP_SECONDS = 2.0, 0.3


def ready(kind: type[Gateway], times: int) -> list[float]:
    """Seconds until it answers, each from a cold process with its own configuration and database."""
    seconds = []
    for _ in range(times):
        gateway = kind(free_port(), free_port())
        try:
            seconds.append(round(gateway.start(), 3))
        finally:
            gateway.stop()
    return seconds


def command(*words: str, times: int) -> list[float]:
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        seconds.append(round(time.perf_counter() - begun, 3))
    return seconds


def main(quick: bool) -> int:
    times = 2 if quick else 7
    result: dict[str, Any] = {"machine": machine(), "seconds": {}, "goals": []}
    kinds: list[type[Gateway]] = [ChittyCan, AllInOne, Rolter]
    kinds += [] if quick else [GATEWAYS["litellm"]]
    for kind in kinds:
        try:
            seen = result["seconds"][kind.name] = ready(kind, times)
        except CannotRunError as reason:
            print(f"left out: {reason}")
            result["goals"].append({"goal": f"{kind.name} starts", "measured": str(reason), "holds": False})
            continue
        middle = statistics.median(seen)
        print(f"{kind.name} ready: {middle:.3f} s (of {seen})", flush=True)
        if issubclass(kind, ChittyCan):
            text = f"{kind.name} ready ≤ {READY_SECONDS} s"
            result["goals"].append({"goal": text, "measured": middle, "holds": middle <= READY_SECONDS})
    program = str(Path(sys.executable).with_name("can"))
    seen = result["seconds"]["can --help"] = command(program, "--help", times=times)
    middle = statistics.median(seen)
    result["goals"].append(
        {"goal": f"can --help ≤ {HELP_SECONDS} s", "measured": middle, "holds": middle <= HELP_SECONDS}
    )
    print(json.dumps(result["goals"], indent=1, ensure_ascii=False))
    print(f"raw numbers: {save('startup', result, quick)}")
    return 0 if all(row["holds"] for row in result["goals"]) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two starts each, without litellm")
    sys.exit(main(parser.parse_args().quick))
