"""How much is installed: distributions and MB of our core without extras, and of LiteLLM's proxy.

`python -m bench.install [--quick]`; quick measures ours only.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.gateways import HERE, environment_with
from bench.run import machine, save

MOST_DISTRIBUTIONS, MOST_MB = 50, 100.0
TOOLS = {"pip", "setuptools", "wheel", "pkg_resources", "_distutils_hack"}  # part of every virtual environment


def measure(folder: Path) -> dict[str, float | int]:
    """Of one virtual environment: distributions without pip's own, and MB on disk (2²⁰ bytes of blocks, as `du -m`)."""
    (packages,) = folder.glob("lib/python*/site-packages")
    found = {each.name.partition("-")[0].lower() for each in packages.glob("*.dist-info")} - TOOLS
    size = sum(_used(path) for path in packages.rglob("*") if _owner(path, packages) not in TOOLS)
    return {"distributions": len(found), "mb": round(size / 2**20, 1)}


def _owner(path: Path, packages: Path) -> str:
    return path.relative_to(packages).parts[0].partition("-")[0]


def _used(path: Path) -> int:
    status = path.lstat()
    return status.st_blocks * 512


def ours() -> dict[str, float | int]:
    """A fresh environment with this checkout installed as a user would."""
    folder = Path(tempfile.mkdtemp(prefix="bench-install-"))
    try:
        subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
        begun = time.perf_counter()
        subprocess.run([folder / "env" / "bin" / "pip", "install", "-q", str(HERE.parent)], check=True)
        return measure(folder / "env") | {"seconds": round(time.perf_counter() - begun, 1)}
    finally:
        shutil.rmtree(folder)


def main(quick: bool) -> int:
    result: dict[str, Any] = {"machine": machine(), "chittycan": ours()}
    if not quick:
        result["litellm[proxy]"] = measure(environment_with("litellm", "litellm[proxy]").parent)
    mine = result["chittycan"]
    result["goals"] = [
        {"goal": f"≤ {MOST_DISTRIBUTIONS} distributions", "measured": mine["distributions"],
         "holds": mine["distributions"] <= MOST_DISTRIBUTIONS},
        {"goal": f"≤ {MOST_MB:.0f} MB", "measured": mine["mb"], "holds": mine["mb"] <= MOST_MB},
    ]  # fmt: skip
    print(json.dumps(result, indent=1, ensure_ascii=False))
    print(f"raw numbers: {save('install', result, quick)}")
    return 0 if all(row["holds"] for row in result["goals"]) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.install", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without litellm")
    sys.exit(main(parser.parse_args().quick))
