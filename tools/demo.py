"""`make demo`: the program at work on this machine alone, with no key and no network.

The embedded model answers a question through the gateway, then reads, ranks and answers the sample inbox.
It runs in a folder of its own (`.cache/demo`): your configuration and your keys are neither read nor used.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / ".cache" / "demo"
CAN = Path(sys.executable).with_name("can")

STEPS = [
    ("A question, answered by the model on this machine", ["connect", "proxy", "local", "What is a contract?"]),
    ("A law office's inbox", ["router", "inbox", "process", "--source", "examples/inbox"]),
]


def main() -> int:
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    for title, arguments in STEPS:
        print(f"\n── {title}\n$ can {shlex.join(arguments)}\n", flush=True)
        status = subprocess.run([CAN, *arguments], cwd=ROOT, env=environment(), check=False).returncode
        if status != 0:
            print(f"\n✗ `can {shlex.join(arguments)}` ended with status {status}", file=sys.stderr)
            return 1
    print("\nThe model is a very small one (135 million parameters): it shows the machinery, not quality.")
    print("Your own mail:  .venv/bin/can router inbox process --source PATH   (Maildir, mbox or a folder of .eml)")
    return 0


def environment() -> dict[str, str]:
    """The user's environment without keys and without settings of ours."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("CHITTY_") and "API_KEY" not in name
    }
    return {**kept, "CHITTY_CONFIG_DIR": str(PLACE / "config"), "XDG_DATA_HOME": str(PLACE / "data")}


if __name__ == "__main__":
    sys.exit(main())
