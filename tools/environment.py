"""`python3 tools/environment.py {all|dev}`: make `.venv`, with the package and one of its extras.

Does nothing when that was done before and `pyproject.toml` is the same. Uses nothing but the standard
library and a Python of 3.11 or later with pip.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "chitty-setup.json"
CONTAINS = {"dev": {"dev", "all"}, "all": {"all"}}  # the extra `dev` lists all that `all` does


def main(extra: str) -> int:
    if extra not in CONTAINS:
        return complain(f"there is no extra {extra!r}", f"one of {', '.join(CONTAINS)}")
    if sys.version_info < (3, 11):  # noqa: UP036 -- the very thing to find out
        return with_newer_python(extra)
    project = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    stamp = read_stamp()
    before = set(stamp.get("extras", ())) if PYTHON.exists() else set()
    if stamp.get("project") == project and extra in before:
        return 0
    if not PYTHON.exists() and not make_environment():
        return complain(
            "this Python can make no environment with pip in it",
            "install its venv module (Debian, Ubuntu: apt install python3-venv; Fedora: dnf install python3-pip), "
            "or name another Python: make PYTHON=/path/to/python3.12 …",
        )
    wanted = "dev" if "dev" in before else extra
    say(f"Installing chittycan[{wanted}] into {VENV.name} (once; takes a minute)")
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    if subprocess.run([*pip, "--editable", f".[{wanted}]"], cwd=ROOT, check=False).returncode != 0:
        return complain("pip could not install the packages (see above)", "check the network or pip's index, try again")
    STAMP.write_text(json.dumps({"project": project, "extras": sorted(before | CONTAINS[wanted])}))
    return 0


def read_stamp() -> dict[str, Any]:
    try:
        found = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def make_environment() -> bool:
    """Make `.venv`. Where Debian has taken ensurepip out of Python, the pip outside installs one into it."""
    say(f"Making {VENV.name} with Python {sys.version.split()[0]}")
    if importlib.util.find_spec("ensurepip") is not None and run(sys.executable, "-m", "venv", "--clear", str(VENV)):
        return True
    made = run(sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV))
    if made and run(sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "--quiet", "pip"):
        return True
    shutil.rmtree(VENV, ignore_errors=True)  # a half-made one would pass for a whole one next time
    return False


def run(*command: str) -> bool:
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def with_newer_python(extra: str) -> int:
    for minor in range(20, 10, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            os.execv(found, [found, __file__, extra])
    here = ".".join(map(str, sys.version_info[:3]))
    return complain(f"Python 3.11 or later is needed; this is {here}", "make PYTHON=/path/to/python3.11 …")


def say(line: str) -> None:
    sys.stderr.write(line + "\n")


def complain(what: str, fix: str) -> int:
    say(f"✗ {what}\n  fix: {fix}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "all"))
