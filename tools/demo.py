"""`make demo`: the program at work on this machine alone, with no key and no network.

A server is started; a small model that runs inside it answers a question over HTTP, as it would answer any OpenAI
client, then one from the command line; then it sorts, ranks and answers the sample inbox of a law office.
It all happens in a folder of its own (`.cache/demo`): your configuration and your keys are neither read nor used.

    python tools/demo.py [--source PATH] [--limit N]     with another mailbox: a Maildir, an mbox, a folder of .eml
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / ".cache" / "demo"
CONFIG = PLACE / "config"
CAN = Path(sys.executable).with_name("can")
INBOX = "examples/inbox"

READY_SECONDS = 60
ANSWER_SECONDS = 300
STOP_SECONDS = 20

Json = dict[str, Any]


class DemoError(Exception):
    """The demo did not show what it should; the message says what."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="The program at work on this machine alone.")
    parser.add_argument("--source", default=INBOX, help="another mailbox: a Maildir, an mbox, a folder of .eml")
    parser.add_argument("--limit", type=int, help="only its first so many mails")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    shutil.rmtree(PLACE, ignore_errors=True)
    CONFIG.mkdir(parents=True)
    try:
        with server() as url:
            ask_as_a_client(url)
            title("The same model from the command line")
            can("connect", "proxy", "local", "What is a contract?", "--system", "Answer in one short sentence.")
            title("A law office's inbox: sorted, ranked, and answered with drafts" if given.source == INBOX else "Mail")
            more = ["--limit", str(given.limit)] if given.limit else []
            can("router", "inbox", "process", "--source", given.source, "--parallel", "2", *more)
            title("What a person sees then")
            can("router", "inbox", "list", "--limit", "20")
            title("What it took, call by call")
            can("connect", "proxy", "usage")
    except DemoError as error:
        print(f"\n✗ {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    print(f"\n✓ The demo took {time.monotonic() - started:.0f} seconds. Now with your own mail, which is only read:")
    print("  .venv/bin/can router inbox process --source PATH     a Maildir, an mbox file or a folder of .eml")
    return 0


@contextmanager
def server() -> Iterator[str]:
    """A real `can serve` on a free port, for as long as the block lasts. Gives its URL."""
    title("A server, with a model of its own")
    say("$ can serve")
    started = time.monotonic()
    log = (PLACE / "server.log").open("wb")
    process = subprocess.Popen(
        [CAN, "serve", "--json", "--port", "0"], cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=log
    )
    try:
        url = str(json.loads(first_line(process))["url"])
        # From now on `can` finds this server, as it finds anybody's: by config.json.
        remote = {"type": "chittyconnect", "baseUrl": url, "proxies": {}}
        (CONFIG / "config.json").write_text(json.dumps({"remotes": {"demo": remote}}))
        say(f"ready at {url} after {time.monotonic() - started:.1f} s")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def first_line(process: "subprocess.Popen[bytes]") -> bytes:
    """What the server prints when it is ready."""
    assert process.stdout is not None
    signal.signal(signal.SIGALRM, lambda *_: process.kill())
    signal.alarm(READY_SECONDS)
    line = process.stdout.readline()
    signal.alarm(0)
    if not line:
        raise DemoError(f"the server did not start:\n{(PLACE / 'server.log').read_text(errors='replace')[-2000:]}")
    return line


def ask_as_a_client(url: str) -> None:
    """One question over plain HTTP, the way every OpenAI client asks; the answer must be a model's."""
    title("A question over HTTP, as any OpenAI client asks it")
    question = {"role": "user", "content": "In one sentence: what does a law office do?"}
    body = {"model": "smollm2", "messages": [question], "max_tokens": 60, "temperature": 0}
    say(f"$ curl {url}/v1/chat/completions -H 'content-type: application/json' \\\n    -d '{json.dumps(body)}'\n")
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
            headers, answer = response.headers, json.load(response)
    except urllib.error.HTTPError as error:
        raise DemoError(f"the server answered {error.code}: {error.read().decode(errors='replace')[:500]}") from None
    except OSError as error:
        raise DemoError(f"the server did not answer: {error}") from None
    text = str(answer["choices"][0]["message"]["content"] or "").strip()
    for name, value in headers.items():
        if name.lower().startswith("x-chitty-"):
            say(f"{name}: {value}")
    say(f"\n{text}")
    if not text or not headers["x-chitty-served-by"]:
        raise DemoError("no answer came from the model")


def can(*arguments: str) -> None:
    """`can` as a person calls it; what it prints is seen as it comes."""
    say(f"$ can {shlex.join(arguments)}\n")
    status = subprocess.run([CAN, *arguments], cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, check=False)
    if status.returncode != 0:
        raise DemoError(f"`can {shlex.join(arguments)}` ended with status {status.returncode}")


def environment() -> dict[str, str]:
    """The user's environment without keys and without settings of ours."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CHITTY_") and not name.endswith(("_API_KEY", "_TOKEN", "_BASE_URL"))
    }
    width = {} if sys.stdout.isatty() else {"COLUMNS": "100"}
    return {**width, **kept, "CHITTY_CONFIG_DIR": str(CONFIG), "XDG_DATA_HOME": str(PLACE / "data")}


def title(text: str) -> None:
    say(f"\n── {text} {'─' * max(3, 90 - len(text))}\n")


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
