"""`python3 tools/dovecot.py`: an IMAP server (Dovecot) for the tests, without root; prints where it is.

That of the system, else Debian's packages, unpacked into the user's cache: what is there already is not fetched again.
Debian's programs look for their parts under /usr; those paths are written over with ones of the same length that lead
to the cache. Needs a Linux with apt-get and dpkg-deb.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SYSTEM = Path("/usr/sbin/dovecot")
PACKAGES = ("dovecot-core", "dovecot-imapd", "libsodium23", "libunwind8")
PARTS, READER = b"/usr/lib/dovecot", b"/usr/bin/doveconf"
FIX = "python3 tools/dovecot.py (Debian, Ubuntu), or install the package dovecot-imapd"


def cache() -> Path:
    """Of root's cache others see nothing, and Dovecot refuses to run as root."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    base = "/var/cache" if os.getuid() == 0 else base
    return Path(base) / "chittycan" / "dovecot"


def link() -> Path:
    """A path short enough to stand where /usr/lib/dovecot stood; it leads to the parts in the cache."""
    return Path(f"/tmp/dc{os.getuid() % 10**6}")


def found() -> Path | None:
    """The program, where it can be used. Raises OSError where another user has our link."""
    program = cache() / "usr/sbin/dovecot"
    if SYSTEM.exists() or not program.exists():
        return SYSTEM if SYSTEM.exists() else None
    point_to(cache() / "usr/lib/dovecot")
    return program


def libraries() -> str:
    """LD_LIBRARY_PATH of the programs in the cache."""
    folders = [cache() / "usr/lib/dovecot", *(cache() / "usr/lib").glob("*-linux-gnu*")]
    return ":".join(map(str, folders))


def install() -> Path:
    """Raises OSError and CalledProcessError."""
    cache().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache().parent) as folder:
        work = Path(folder)
        download(work)
        tree = work / "tree"
        for package in sorted(work.glob("*.deb")):
            run("dpkg-deb", "-x", str(package), str(tree), at=work)
        for part in tree.rglob("*"):
            if part.is_file() and not part.is_symlink():
                move_paths(part)
        (tree / "usr/lib/dovecot/cnf").symlink_to("../../bin/doveconf")
        shutil.rmtree(cache(), ignore_errors=True)
        tree.chmod(0o755)
        tree.rename(cache())
    program = found()
    assert program is not None
    return program


def download(work: Path) -> None:
    """The packages, by apt-get with lists of its own: the system's need root to be brought up to date."""
    options = []
    for name, place in (("Dir::State::lists", "lists"), ("Dir::Cache", "cache")):
        (work / place / "partial").mkdir(parents=True)
        options += ["-o", f"{name}={work / place}"]
    (work / "cache/archives/partial").mkdir(parents=True)
    run("apt-get", "-q", *options, "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=", "update", at=work)
    run("apt-get", "-q", *options, "-o", "APT::Sandbox::User=", "download", *PACKAGES, at=work)


def move_paths(part: Path) -> None:
    """Lets a program look for its parts behind `link`."""
    content = part.read_bytes()
    short = str(link()).encode()
    moved = content.replace(PARTS, short.ljust(len(PARTS), b"/"))
    moved = moved.replace(READER, short.ljust(len(READER) - 4, b"/") + b"/cnf")
    if moved != content:
        part.write_bytes(moved)


def point_to(parts: Path) -> None:
    place = link()
    if place.is_symlink() and place.lstat().st_uid == os.getuid() and Path(os.readlink(place)) == parts:
        return
    place.unlink(missing_ok=True)
    place.symlink_to(parts)


def run(*command: str, at: Path) -> None:
    subprocess.run(command, cwd=at, check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    try:
        print(found() or install())
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"✗ no Dovecot: {error}\n  fix: install the package dovecot-imapd\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
