"""The child process that runs the embedded model: llama.cpp's own HTTP server, on loopback.

`python -m chittycan.providers.local_server --model PATH …` loads the model, writes one line of JSON with its
address to standard output and serves until its standard input closes. It never outlives its parent: the
kernel kills it when the parent dies (Linux), and everywhere the end of standard input ends it, which the
kernel brings about even when the parent was killed.
"""

import argparse
import ctypes
import json
import os
import signal
import sys
import threading
from typing import Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    _die_with(options.parent)
    out = _take_stdout()
    threading.Thread(target=_serve_until_orphaned, daemon=True).start()
    try:
        import xllamacpp
    except ImportError as error:
        kind = "missing" if isinstance(error, ModuleNotFoundError) else "failed"
        _say(out, {"error": kind, "detail": str(error)[:300]})
        return 1
    try:
        server = xllamacpp.Server(_parameters(xllamacpp, options))
    except Exception as error:  # llama.cpp's own failures have no common class
        _say(out, {"error": "failed", "detail": str(error)[:300]})
        return 1
    _say(out, {"endpoint": f"{server.listening_address}/v1"})
    threading.Event().wait()
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="local_server")
    parser.add_argument("--model", required=True, help="path of the GGUF file")
    parser.add_argument("--alias", default="local", help="the model's name in answers")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--context", type=int, default=8192, help="tokens per request")
    parser.add_argument("--threads", type=int, default=1, help="that write one answer")
    parser.add_argument("--batch-threads", type=int, default=1, help="that read prompts and write several answers")
    parser.add_argument("--parallel", type=int, default=2, help="requests at the same time")
    parser.add_argument("--idle", type=int, default=300, help="seconds without work until the memory is given back")
    parser.add_argument("--max-tokens", type=int, default=1024, help="length of an answer that asked for no limit")
    parser.add_argument("--prompt-cache", type=int, default=64, help="MiB for the beginnings of earlier prompts")
    parser.add_argument("--parent", type=int, default=0, help="process id to die with")
    return parser.parse_args(arguments)


def _parameters(xllamacpp: Any, options: argparse.Namespace) -> Any:
    """llama.cpp's settings. What each does: its `tools/server/README.md`."""
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.model_alias = {options.alias}
    params.hostnames, params.port = ["127.0.0.1"], options.port
    params.cors_origins = "http://127.0.0.1"  # a page in the browser has no business here
    params.ui = params.endpoint_slots = params.endpoint_props = False
    # A context of its own for each slot: with a shared one, two long prompts at once fail with a 500.
    params.n_ctx, params.n_parallel = options.context * options.parallel, options.parallel
    params.cpuparams.n_threads, params.cpuparams_batch.n_threads = options.threads, options.batch_threads
    params.n_predict = options.max_tokens
    params.cache_ram_mib, params.n_ctx_checkpoints = options.prompt_cache, 0
    params.sleep_idle_seconds = options.idle
    params.fit_params = False  # no guessing: the settings above are what runs
    params.sampling.temp, params.sampling.top_p = 0.2, 0.9  # as the model's card recommends
    params.verbosity = 1  # errors only: the log must hold no bodies
    return params


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent and os.getppid() != parent:
        os._exit(0)  # it died before we asked to be told


def _serve_until_orphaned() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _take_stdout() -> int:
    """Standard output for our one line; whatever else is printed goes to the log."""
    out = os.dup(1)
    os.dup2(2, 1)
    return out


def _say(out: int, line: dict[str, str]) -> None:
    os.write(out, json.dumps(line).encode() + b"\n")
    os.close(out)


if __name__ == "__main__":
    sys.exit(main())
