"""Batches: lines a second, CPU and memory per line, beside the same calls without one. `python -m bench.batches`.

Both are done in one process on its own core against an upstream that answers at once: the batch from its upload to
its result file, the calls straight through the gateway with as many at once. What is between them is the batch's own
work: reading and cutting the file, the queue, the checkpoints, the result file. Rounds alternate.
"""

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from bench import upstream
from bench.gateways import GATEWAY_CORE, LOAD_CORE, pin, pinned
from bench.run import free_port, machine, save
from chittycan.app import Network
from chittycan.dialects.wire import read_json
from chittycan.gateway.call import Call
from chittycan.gateway.service import new_request_id
from chittycan.workstreams.batch import ENDED
from chittycan.workstreams.batch_piece import CALLS_AT_ONCE
from chittycan.workstreams.batch_work import PIECES_AT_ONCE

ENDPOINT = "/v1/chat/completions"
FEW, MANY = 1_000, 50_000  # lines
OVERHEAD_MS = 2.0  # CPU per line beyond the call's own
GROWTH_MB = 24.0  # of the peak, from few lines to many; some of it is what duplicates are found by
PROMPT = "Summarise this clause of a contract in one sentence. " * 8


def body(number: int) -> dict[str, Any]:
    return {"model": upstream.OPENAI_MODEL, "messages": [{"role": "user", "content": f"{number}: {PROMPT}"}]}


async def lines(count: int) -> AsyncIterator[bytes]:
    for number in range(count):
        line = {"custom_id": f"line-{number}", "method": "POST", "url": ENDPOINT, "body": body(number)}
        yield msgspec.json.encode(line) + b"\n"


def network(folder: Path, port: int) -> Network:
    remote = {"type": "chittyconnect", "proxies": {"up": {
        "enabled": True, "endpoint": f"http://127.0.0.1:{port}/v1", "dialect": "openai", "apiKey": "sk-up",
    }}}  # fmt: skip
    price = {"input": 2.5, "output": 10.0}
    models = {upstream.OPENAI_MODEL: {"proxy": "up", "upstream": upstream.OPENAI_MODEL, "price": price}}
    for name, content in (("config", {"remotes": {"connect": remote}}), ("models", {"models": models})):
        file = folder / f"{name}.json"
        file.write_text(json.dumps(content))
        file.chmod(0o600)
    environment = {"HOME": str(folder), "XDG_DATA_HOME": str(folder / "data")}
    return Network(
        config_folder=folder, env=environment, database=f"sqlite:///{folder / 'chitty.db'}", look_around=False
    )


async def batch(net: Network, count: int) -> int:
    """How many lines were answered well."""
    await net.work()
    file = await net.durable.files.create(lines(count), name="in.jsonl", purpose="batch")
    made = await net.durable.batches.create(file.id, ENDPOINT)
    while (found := await net.durable.batches.get(made.id)).status not in ENDED:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    return found.completed


async def plain(net: Network, count: int) -> int:
    """The same calls, each parsed from its line's body as a client's request is."""
    numbers = iter(range(count))
    good = 0

    async def ask() -> None:
        nonlocal good
        for number in numbers:
            data = msgspec.json.encode(body(number))
            call = Call(
                request_id=new_request_id(net.clock), model=upstream.OPENAI_MODEL, surface="openai", body=data,
                fields=read_json(data), at=net.clock.now(), started=net.clock.monotonic(),
            )  # fmt: skip
            reply = await net.gateway.complete(call)
            good += bool(reply.body)

    await asyncio.gather(*(ask() for _ in range(CALLS_AT_ONCE * PIECES_AT_ONCE)))
    return good


async def child(what: str, count: int, port: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with network(Path(folder), port) as net:
            await plain(net, 200)  # pools and caches are full
            before, began = _cpu(), time.perf_counter()
            good = await {"batch": batch, "plain": plain}[what](net, count)
            await net.ledger.flush()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(json.dumps({"good": good, "seconds": time.perf_counter() - began, "cpu": _cpu() - before,
                              "peak_mb": round(peak, 1)}))  # fmt: skip


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measure(what: str, count: int, port: int) -> dict[str, float]:
    command = [*pinned(GATEWAY_CORE), sys.executable, "-m", "bench.batches", "--child", what, "--lines", str(count),
               "--port", str(port)]  # fmt: skip
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{what} failed: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if found["good"] != count:
        raise SystemExit(f"{what}: {found['good']} of {count} lines were answered")
    print(f"  {what:5} {count:6,} lines: {count / found['seconds']:7.0f} lines/s, "
          f"{found['cpu'] / count * 1e3:.2f} ms CPU per line, peak {found['peak_mb']:.0f} MB", flush=True)  # fmt: skip
    return found


async def main(quick: bool) -> int:
    pin(LOAD_CORE)
    port = free_port()
    server = await upstream.serve(port)
    many, rounds = (MANY // 10, 1) if quick else (MANY, 3)
    found: dict[str, list[dict[str, float]]] = {"batch": [], "plain": []}
    few = await measure("batch", FEW, port)
    for _ in range(rounds):
        for what, runs in found.items():
            runs.append(await measure(what, many, port))
    server.close()
    cpu = {what: statistics.median(run["cpu"] for run in runs) / many * 1e3 for what, runs in found.items()}
    rates = {what: many / statistics.median(run["seconds"] for run in runs) for what, runs in found.items()}
    growth = max(run["peak_mb"] for run in found["batch"]) - few["peak_mb"]
    overhead = round(cpu["batch"] - cpu["plain"], 2)
    goals = [
        {"goal": f"a line costs ≤ {OVERHEAD_MS:.0f} ms CPU beyond its call", "measured": overhead,
         "holds": overhead <= OVERHEAD_MS},
        {"goal": f"memory is flat from {FEW:,} to {many:,} lines (grows ≤ {GROWTH_MB:.0f} MB)",
         "measured": round(growth, 1), "holds": growth <= GROWTH_MB},
    ]  # fmt: skip
    result = {"machine": machine(), "lines": many, "cpu_ms_per_line": cpu, "lines_per_second": rates,
              "rounds": found, "few": few, "goals": goals}  # fmt: skip
    print(json.dumps(goals, indent=1, ensure_ascii=False))
    print(f"raw numbers: {save('batches', result, quick)}")
    return 0 if all(goal["holds"] for goal in goals) else 1


if __name__ == "__main__":
    import uvloop

    parser = argparse.ArgumentParser(prog="python -m bench.batches", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5,000 lines once instead of 50,000 three times")
    parser.add_argument("--child", choices=["batch", "plain"], help=argparse.SUPPRESS)
    parser.add_argument("--lines", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        uvloop.run(child(given.child, given.lines, given.port))
    else:
        sys.exit(uvloop.run(main(given.quick)))
