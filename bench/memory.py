"""Memory of our server: idle, per role, and over many requests. `python -m bench.memory [--quick]`."""

import argparse
import asyncio
import json
import sys
from typing import Any

from bench import upstream
from bench.gateways import LOAD_CORE, AllInOne, CannotRunError, ChittyCan, Gateway, Rolter, pin
from bench.load import closed_loop
from bench.run import free_port, machine, save

IDLE_MB = {"chittycan": 90.0, "chittycan-all": 130.0}
REQUESTS, STEPS = 200_000, 10
GROWTH_MB = 8.0  # between the first tenth, when pools and caches are full, and the end


async def idle(gateway: Gateway) -> float:
    """MB two seconds after it was ready, before any request but the readiness probe."""
    await asyncio.to_thread(gateway.start)
    await asyncio.sleep(2)
    return gateway.resident()


async def over_requests(gateway: Gateway, requests: int) -> list[float]:
    """MB after each tenth of `requests`."""
    seen = []
    for _ in range(STEPS):
        measured = await closed_loop(gateway.target(), 32, 600, limit=requests // STEPS)
        if measured.errors:
            raise CannotRunError(f"{gateway.name}: {measured.errors} wrong answers")
        seen.append(round(gateway.resident(), 1))
        print(f"  {gateway.name}: {seen[-1]} MB", flush=True)
    return seen


async def main(quick: bool) -> int:
    pin(LOAD_CORE)
    port = free_port()
    server = await upstream.serve(port)
    result: dict[str, Any] = {"machine": machine(), "idle_mb": {}, "over_requests_mb": {}, "goals": []}
    requests = REQUESTS // 40 if quick else REQUESTS
    for kind in (ChittyCan, AllInOne, Rolter):
        gateway = kind(free_port(), port)
        try:
            resting = result["idle_mb"][gateway.name] = round(await idle(gateway), 1)
            print(f"{gateway.name}: {resting:.1f} MB idle", flush=True)
            if gateway.name in IDLE_MB:
                text = f"{gateway.name} idle ≤ {IDLE_MB[gateway.name]:.0f} MB"
                result["goals"].append({"goal": text, "measured": resting, "holds": resting <= IDLE_MB[gateway.name]})
            if kind is not AllInOne:
                seen = result["over_requests_mb"][gateway.name] = await over_requests(gateway, requests)
                if kind is ChittyCan:
                    growth = round(seen[-1] - seen[0], 1)
                    text = f"flat over {requests:,} requests (grows ≤ {GROWTH_MB:.0f} MB)"
                    result["goals"].append({"goal": text, "measured": growth, "holds": growth <= GROWTH_MB})
        except CannotRunError as reason:
            print(f"left out: {reason}")
            result["goals"] += [{"goal": f"{gateway.name} runs", "measured": str(reason), "holds": False}]
        finally:
            gateway.stop()
    server.close()
    print(json.dumps(result["goals"], indent=1, ensure_ascii=False))
    print(f"raw numbers: {save('memory', result, quick)}")
    return 0 if all(row["holds"] for row in result["goals"]) else 1


if __name__ == "__main__":
    import uvloop

    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5,000 requests instead of 200,000")
    sys.exit(uvloop.run(main(parser.parse_args().quick)))
