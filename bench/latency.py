"""What it costs to choose among equals and to be ready to hedge: CPU per call, in process, without any socket.

`python -m bench.latency [--rounds N] [--calls N] [--only plain]`. Every case is one gateway; the cases take turns, and
each is compared with the plain model of the same round. The provider is a response that is there at once, so that a
call costs what we do ourselves.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from chittycan.app import Network
from chittycan.gateway.call import Call

MESSAGES = [{"role": "user", "content": "What is the answer, and who could have known it?"}]
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Forty-two."}, "finish_reason": "stop"}
USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
WHOLE = json.dumps({"id": "c", "object": "chat.completion", "model": "m", "choices": [CHOICE], "usage": USAGE}).encode()


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode() + b"\n\n"


STREAM = [
    _event({"role": "assistant", "content": "Forty"}),
    _event({"content": "-two."}),
    _event({}, "stop") + b"data: [DONE]\n\n",
]
PLACES = {
    name: {"endpoint": f"http://127.0.0.1:{port}/v1", "apiKey": "sk"} for name, port in (("east", 1), ("west", 2))
}
TWO = [{"proxy": "east", "upstream": "m"}, {"proxy": "west", "upstream": "m"}]
PLAIN = {"proxy": "east", "upstream": "m"}
# name → models.json
CASES: dict[str, dict[str, Any]] = {
    "plain": {"models": {"gpt": PLAIN}},
    "two places, latency": {"models": {"gpt": {"deployments": TWO, "balance": "latency"}}},
    "two places, least-busy": {"models": {"gpt": {"deployments": TWO, "balance": "least-busy"}}},
    "ready to hedge": {
        "models": {"gpt": PLAIN, "spare": {"proxy": "west", "upstream": "m"}},
        "fallbacks": {"gpt": ["spare"]},
        "routing": {"hedge": {"after": 60}},
    },
}


class Instantly:
    """A response that is there already."""

    status = 200

    def __init__(self, stream: bool) -> None:
        self._pieces = list(STREAM) if stream else [WHOLE]
        self.headers = {"content-type": "text/event-stream" if stream else "application/json"}
        self.on_close: Any = None

    async def read(self, deadline: float | None = None) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    async def body(self, deadline: float | None = None, **more: Any) -> bytes:
        return WHOLE

    def close(self) -> None:
        if self.on_close is not None:
            self.on_close()


def gateway_of(folder: Path, models: dict[str, Any], privacy: str = "off") -> Network:
    """A network that asks nobody: every answer is there at once."""
    folder.mkdir()
    remote = {"type": "chittyconnect", "proxies": PLACES}
    config = {"remotes": {"connect": remote}, "embedded": {"enabled": False}, "privacy": {"mode": privacy}}
    for name, content in (("config.json", config), ("models.json", models)):
        (folder / name).write_text(json.dumps(content))
        (folder / name).chmod(0o600)
    env = {"HOME": str(folder), "XDG_DATA_HOME": str(folder / "data")}
    network = Network(config_folder=folder, env=env, database=f"sqlite:///{folder}/bench.db", look_around=False)

    async def send(origin: Any, method: str, path: str, headers: bytes, body: bytes, **more: Any) -> Instantly:
        return Instantly(b'"stream":true' in body)

    network.transport.send = send  # type: ignore[method-assign, assignment]
    return network


async def calls_cost(network: Network, stream: bool, calls: int, model: str = "gpt") -> float:
    """CPU µs for each of so many calls."""
    fields = {"model": model, "messages": MESSAGES, **({"stream": True} if stream else {})}
    body = json.dumps(fields, separators=(",", ":")).encode()
    began = time.process_time()
    for number in range(calls):
        call = Call(
            request_id=f"r{number}", model=model, stream=stream, surface="openai", body=body, fields=fields,
            at=time.time(), started=time.monotonic(),
        )  # fmt: skip
        if not stream:
            await network.gateway.complete(call)
            continue
        opened = await network.gateway.open(call)
        async for _ in opened.chunks():
            pass
    took = time.process_time() - began
    await network.ledger.flush()
    return took / calls * 1e6


async def main(given: argparse.Namespace) -> None:
    cases = [name for name in CASES if not given.only or name in given.only.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        networks = {name: gateway_of(Path(folder) / f"home{place}", CASES[name]) for place, name in enumerate(cases)}
        found: dict[tuple[str, bool], list[float]] = {}
        for network in networks.values():
            await network.__aenter__()
        for number in range(given.rounds + 1):  # round 0 warms up
            for stream in (False, True):
                for name, network in networks.items():
                    took = await calls_cost(network, stream, given.calls)
                    if number:
                        found.setdefault((name, stream), []).append(took)
        for network in networks.values():
            await network.__aexit__()
    print("| case | whole µs | × plain | stream µs | × plain |\n|---|---|---|---|---|")
    for name in cases:
        cells = [name]
        for stream in (False, True):
            mine, plain = found[name, stream], found[cases[0], stream]
            cells += [
                f"{statistics.median(mine):.1f}",
                f"{statistics.median(a / b for a, b in zip(mine, plain, strict=True)):.3f}",
            ]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--only", default="", help="cases, with commas between")
    asyncio.run(main(parser.parse_args()))
