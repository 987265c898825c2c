"""What a call costs here and in another checkout of ChittyCan: CPU per call, in process, without any socket.

`git worktree add /tmp/before REVISION`, then `python -m bench.against /tmp/before [--rounds N]`. The two take turns,
each in processes of its own, so that what else happens on the machine meets both; the best round of each counts, and
the median is shown beside it. Cases with policy ask for things that the other checkout may not know; it is only asked
for the plain ones.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.latency import PLAIN, calls_cost, gateway_of

HERE = Path(__file__).parents[1]
SPARE = {"proxy": "west", "upstream": "m", "tier": "complex"}
RULES: dict[str, Any] = {"models": {"gpt": PLAIN | {"tier": "simple"}, "spare": SPARE}}
# name → (models.json, privacy.mode, the model that is asked for)
CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "a named model": ({"models": {"gpt": PLAIN}}, "off", "gpt"),
    "a named model, detector on": ({"models": {"gpt": PLAIN}}, "warn", "gpt"),
    "`auto` by tiers, detector on": (RULES, "warn", "auto"),
}
PLAIN_CASES = ("a named model", "a named model, detector on")
CALLS = 500


async def _costs(case: str, stream: bool) -> list[float]:
    models, privacy, model = CASES[case]
    with tempfile.TemporaryDirectory() as folder:
        network = gateway_of(Path(folder) / "home", models, privacy)
        async with network:
            found = [await calls_cost(network, stream, CALLS, model) for _ in range(16)]
    return found[1:]  # the first warms up


def _asked(checkout: Path, case: str, stream: bool) -> list[float]:
    """In a process of its own, with that checkout's package."""
    command = [sys.executable, "-m", "bench.against", "--case", case, *(["--stream"] if stream else [])]
    path = os.pathsep.join([str(checkout / "src"), str(HERE)])
    done = subprocess.run(
        command, cwd=HERE, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(other: Path, rounds: int) -> None:
    found: dict[tuple[str, bool, Path], list[float]] = {}
    for _ in range(rounds):
        for case in CASES:
            for stream in (False, True):
                for checkout in (other, HERE) if case in PLAIN_CASES else (HERE,):
                    found.setdefault((case, stream, checkout), []).extend(_asked(checkout, case, stream))
    print("| | whole, before | whole, now | stream, before | stream, now |\n|---|---|---|---|---|")
    for case in CASES:
        cells = [case]
        for stream in (False, True):
            for checkout in (other, HERE):
                costs = found.get((case, stream, checkout))
                cells.append(f"{min(costs):.1f} ({statistics.median(costs):.1f})" if costs else "")
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.against", description=__doc__)
    parser.add_argument("checkout", type=Path, nargs="?", help="the other one")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--case", choices=CASES, help="print the µs of some rounds of this case alone, as JSON")
    parser.add_argument("--stream", action="store_true")
    given = parser.parse_args()
    if given.case is not None:
        print(json.dumps(asyncio.run(_costs(given.case, given.stream))))
    elif given.checkout is None:
        parser.error("the other checkout is missing")
    else:
        main(given.checkout.resolve(), given.rounds)
