"""The race: every gateway on core 0, load and upstream on core 1, in interleaved rounds.

`python -m bench.run [--quick] [--only a,b] [--cases unary-32,…]`. Prints the machine, the versions, the
medians over the rounds, ratios within the same round, and which targets hold; writes all raw numbers to
`bench/results/`. "CPU µs" is the gateway's own processor time per answer: of all columns it suffers least
from whatever else the machine is doing. A run in which our ledger lacks a row per request does not count.
"""

import argparse
import asyncio
import gc
import json
import os
import platform
import socket
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import upstream
from bench.gateways import GATEWAYS, HERE, LOAD_CORE, CannotRunError, ChittyCan, Gateway, pin
from bench.load import Measured, closed_loop, open_loop

OURS = "chittycan"


@dataclass(frozen=True)
class Case:
    """One kind of load. `rate` makes it an open loop, in requests per second."""

    name: str
    connections: int
    stream: bool = False
    cross: bool = False
    rate: float | None = None


CASES = [
    Case("unary-1", 1),
    Case("unary-32", 32),
    Case("stream-1", 1, stream=True),
    Case("stream-32", 32, stream=True),
    Case("cross-stream-32", 32, stream=True, cross=True),
    Case("open-50", 128, rate=50),
    Case("open-2000", 128, rate=2000),
]


@dataclass(frozen=True)
class Goal:
    """A target: the median over the rounds of `case` on ours divided by that on `rival` (or by another case)."""

    text: str
    least: float
    case: str
    rival: str = OURS
    rival_case: str | None = None


GOALS = [
    Goal("unary ≥ 1.0 × rolter", 1.0, "unary-32", "rolter"),
    Goal("unary ≥ 40 × litellm", 40.0, "unary-32", "litellm"),
    Goal("streamed chunks ≥ 2 × rolter", 2.0, "stream-32", "rolter"),
    Goal("cross-dialect streams ≥ 0.5 × same-dialect", 0.5, "cross-stream-32", OURS, "stream-32"),
]
OVERHEAD_MS = 0.4

Rounds = dict[tuple[str, str], list[Measured]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def machine() -> dict[str, Any]:
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": os.getloadavg(),
    }


async def run_case(gateway: Gateway, case: Case, seconds: float) -> Measured:
    target = gateway.target(stream=case.stream, cross=case.cross)
    gc.collect()
    gc.disable()
    before = gateway.processor_seconds()
    try:
        if case.rate:
            measured = await open_loop(target, case.rate, seconds, case.connections)
        else:
            measured = await closed_loop(target, case.connections, seconds)
    finally:
        gc.enable()
    measured.processor = gateway.processor_seconds() - before
    return measured


def takes_part(gateway: Gateway, case: Case) -> bool:
    # LiteLLM saturates below 200 requests/s on one core; a queue that only grows measures nothing.
    return (gateway.crosses or not case.cross) and not (gateway.name == "litellm" and (case.rate or 0) > 100)


async def race(gateways: list[Gateway], cases: list[Case], rounds: int, seconds: float) -> tuple[Rounds, int]:
    """All rounds of all cases; also how many answers our gateway gave in all, warm-up included."""
    results: Rounds = {}
    ours = 0
    for number in range(rounds + 1):  # round 0 warms up
        for case in cases:
            for gateway in gateways:
                if not takes_part(gateway, case):
                    continue
                measured = await run_case(gateway, case, seconds if number else min(seconds, 1.0))
                if gateway.name == OURS:
                    ours += len(measured.latencies) + measured.errors
                if number:
                    results.setdefault((case.name, gateway.name), []).append(measured)
            label = f"round {number}" if number else "warm-up"
            print(f"  {label} {case.name}: {_line(results, case, gateways, last=True)}", flush=True)
    return results, ours


def _line(results: Rounds, case: Case, gateways: list[Gateway], *, last: bool = False) -> str:
    shown = []
    for gateway in gateways:
        runs = results.get((case.name, gateway.name))
        if runs:
            rate = runs[-1].rate if last else statistics.median(run.rate for run in runs)
            shown.append(f"{gateway.name} {rate:,.0f}/s")
    return ", ".join(shown)


def table(results: Rounds, cases: list[Case], gateways: list[Gateway]) -> str:
    """Medians over the rounds, as Markdown."""
    columns = ["case", "gateway", "answers/s", "p50 ms", "p99 ms", "p99.9 ms", "first token ms", "CPU µs", "errors"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for case in cases:
        for gateway in gateways:
            runs = [run.summary() for run in results.get((case.name, gateway.name), [])]
            if runs:
                middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
                errors = sum(run["errors"] + run["late"] for run in runs)
                cells = [case.name, gateway.name, f"{middle['rate']:,.0f}"]
                cells += [f"{middle[key]:.3f}" for key in ("p50_ms", "p99_ms", "p999_ms")]
                cells.append(f"{middle['first_token_p50_ms']:.3f}" if case.stream else "-")
                cells += [f"{middle['processor_us']:,.0f}", f"{errors:g}"]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def ratio(results: Rounds, goal: Goal) -> float | None:
    """The median of the ratios within each round: noise that both shared falls out."""
    ours = results.get((goal.case, OURS), [])
    theirs = results.get((goal.rival_case or goal.case, goal.rival), [])
    both = [a.rate / b.rate for a, b in zip(ours, theirs, strict=False) if b.rate]
    return statistics.median(both) if both else None


def overhead_ms(results: Rounds, gateway: str) -> float | None:
    """Median latency at one connection beyond that of the upstream alone."""
    pairs = zip(results.get(("unary-1", gateway), []), results.get(("unary-1", "direct"), []), strict=False)
    extra = [a.percentile(0.5) - b.percentile(0.5) for a, b in pairs]
    return statistics.median(extra) * 1e3 if extra else None


def verdicts(results: Rounds, gateways: list[Gateway]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for goal in GOALS:
        value = ratio(results, goal)
        if value is not None:
            found.append({"goal": goal.text, "measured": round(value, 3), "holds": value >= goal.least})
    for gateway in gateways:
        extra = overhead_ms(results, gateway.name)
        if extra is not None and gateway.name != "direct":
            text = f"overhead of {gateway.name}, ms at one connection"
            row: dict[str, Any] = {"goal": text, "measured": round(extra, 4)}
            found.append(row | ({"holds": extra <= OVERHEAD_MS} if gateway.name == OURS else {}))
    return found


def check_ledger(gateways: list[Gateway], answers: int) -> dict[str, Any] | None:
    """Stop ours and count: every answer of the run has its row. Clients that were cut off at the end may add some."""
    ours = next((each for each in gateways if isinstance(each, ChittyCan)), None)
    if ours is None:
        return None
    ours.stop_serving()
    rows = ours.ledger_rows()
    return {"goal": f"a ledger row for each of {answers:,} answers", "measured": rows, "holds": rows >= answers}


def start(names: list[str], upstream_port: int) -> list[Gateway]:
    started = []
    for name in names:
        gateway = GATEWAYS[name](free_port(), upstream_port)
        try:
            seconds = gateway.start()
        except CannotRunError as reason:
            print(f"left out: {reason}", flush=True)
            gateway.stop()
            continue
        print(f"{name} {gateway.version} ready after {seconds:.2f} s", flush=True)
        started.append(gateway)
    return started


def save(name: str, result: dict[str, Any], quick: bool) -> Path:
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    path = folder / f"{name}-{stamp}{'.tmp' if quick else ''}.json"
    path.write_text(json.dumps(result, indent=1, default=str) + "\n")
    return path


async def main(given: argparse.Namespace) -> int:
    pin(LOAD_CORE)
    port = free_port()
    server = await upstream.serve(port)
    facts = machine()
    print(json.dumps(facts))
    names = given.only.split(",") if given.only else list(GATEWAYS)
    cases = [case for case in CASES if not given.cases or case.name in given.cases.split(",")]
    gateways = await asyncio.to_thread(start, names, port)
    try:
        results, answers = await race(gateways, cases, given.rounds, given.seconds)
        ledger = check_ledger(gateways, answers)
    finally:
        for gateway in gateways:
            gateway.stop()
        server.close()
    goals = verdicts(results, gateways) + ([ledger] if ledger else [])
    print("\n" + table(results, cases, gateways) + "\n")
    for row in goals:
        print(f"{ {True: 'ok  ', False: 'MISS', None: '    '}[row.get('holds')] } {row['goal']}: {row['measured']}")
    raw = {
        "machine": facts,
        "versions": {gateway.name: gateway.version for gateway in gateways},
        "cases": [asdict(case) for case in cases],
        "seconds": given.seconds,
        "rounds": {f"{case} {name}": [run.summary() for run in runs] for (case, name), runs in results.items()},
        "goals": goals,
    }
    print(f"raw numbers: {save('run', raw, given.quick)}")
    return 0 if all(row.get("holds", True) for row in goals) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--only", default="", help=f"some of {', '.join(GATEWAYS)}")
    parser.add_argument("--cases", default="", help=f"some of {', '.join(case.name for case in CASES)}")
    parser.add_argument("--rounds", type=int, default=None, help="default 5")
    parser.add_argument("--seconds", type=float, default=None, help="per gateway, case and round; default 4")
    given = parser.parse_args()
    given.rounds = given.rounds or (1 if given.quick else 5)
    given.seconds = given.seconds or (1.0 if given.quick else 4.0)
    return given


if __name__ == "__main__":
    import uvloop

    sys.exit(uvloop.run(main(arguments())))
