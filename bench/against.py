"""What a call costs here and in another checkout of ChittyCan: CPU per call, in process, without any socket.

`git worktree add /tmp/before REVISION`, then `python -m bench.against /tmp/before [--rounds N] [--served]`. With
`--served` it is both servers, at 32 connections, with sockets, key, budget and ledger (Linux only). The two take turns,
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

from bench import upstream
from bench.gateways import LOAD_CORE, ChittyCan, pin
from bench.latency import PLAIN, calls_cost, gateway_of
from bench.load import closed_loop
from bench.run import free_port, machine, save

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
SERVED, CONNECTIONS = 8_000, 32


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


class Server(ChittyCan):
    """The server of a checkout."""

    def __init__(self, checkout: Path, upstream_port: int) -> None:
        self.checkout = checkout
        super().__init__(free_port(), upstream_port)

    def environment(self) -> dict[str, str]:
        return super().environment() | {"PYTHONPATH": str(self.checkout / "src")}

    def threads(self) -> list[int]:
        """Nanoseconds on a core so far, of the loop's thread and of all others."""
        assert self.process is not None
        tasks = sorted(Path(f"/proc/{self.process.pid}/task").iterdir(), key=lambda task: int(task.name))
        spent = [int((task / "schedstat").read_text().split()[0]) for task in tasks]
        return [spent[0], sum(spent[1:])]


async def served(checkouts: dict[str, Path], rounds: int) -> dict[str, list[list[float]]]:
    """Of each round of whole answers: µs per call of the loop's thread, and of all others."""
    pin(LOAD_CORE)
    port = free_port()
    provider = await upstream.serve(port)
    servers = {name: Server(checkout, port) for name, checkout in checkouts.items()}
    found: dict[str, list[list[float]]] = {name: [] for name in servers}
    try:
        for server in servers.values():
            await asyncio.to_thread(server.start)
        for number in range(rounds + 1):  # round 0 warms up
            for name, server in servers.items():
                before = server.threads()
                measured = await closed_loop(server.target(), CONNECTIONS, 600, limit=SERVED)
                await asyncio.sleep(0.3)  # until the last rows are in the ledger
                spent = zip(server.threads(), before, strict=True)
                if number:
                    found[name].append([(now - then) / len(measured.latencies) / 1e3 for now, then in spent])
    finally:
        for server in servers.values():
            server.stop()
        provider.close()
    return found


def main_served(other: Path, rounds: int) -> None:
    found = asyncio.run(served({"before": other, "now": HERE}, rounds))
    print("| | the loop | other threads | both |\n|---|---|---|---|")
    for name, costs in found.items():
        columns = [[each[0] for each in costs], [each[1] for each in costs], [sum(each) for each in costs]]
        print(f"| {name} | {' | '.join(f'{min(each):.1f} ({statistics.median(each):.1f})' for each in columns)} |")
    print(save("against", {"machine": machine(), "calls": SERVED, "us": found}, quick=False))


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
    parser.add_argument("--served", action="store_true", help="whole servers, over sockets")
    given = parser.parse_args()
    if given.case is not None:
        print(json.dumps(asyncio.run(_costs(given.case, given.stream))))
    elif given.checkout is None:
        parser.error("the other checkout is missing")
    elif given.served:
        main_served(given.checkout.resolve(), given.rounds)
    else:
        main(given.checkout.resolve(), given.rounds)
