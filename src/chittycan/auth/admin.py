"""The credential of this machine's own `can`: a secret in a file that only its owner can read."""

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from chittycan.errors import Unavailable

FILE = "admin.key"


def read_or_create(folder: Path) -> str:
    """The credential in the data folder, made on first use; the same for all processes of its owner.

    Raises `Unavailable` where the file belongs to somebody else, or others can read it: then it is no secret.
    """
    path = folder / FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.path.lexists(path):
            _create(path)
        return _read(path)
    except OSError as error:
        raise Unavailable(f"cannot use {path}: {error.strerror}", fix=f"make {folder} writable for yourself") from error


def proof(secret: str, challenge: str, *about: str) -> str:
    """What a server answers to a command's `challenge`: it holds the same credential and works on the same things.

    The secret itself is then sent to nobody who does not have it already. `about`: the server's port (so that nobody
    on another port can pass this answer off as its own), database URL, configuration folder.
    """
    return hmac.new(secret.encode(), "\0".join((challenge, *about)).encode(), hashlib.sha256).hexdigest()


def _create(path: Path) -> None:
    """Put a whole file in place, or leave the one that another process put there meanwhile."""
    from chittycan.auth.keys import new_secret  # brings the database along; most calls only read

    draft = path.with_name(f".{FILE}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(new_secret() + "\n")
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _read(path: Path) -> str:
    # Opened without following a link, and judged by what was opened: nobody can swap the file in between.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)) as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode) or state.st_uid != os.geteuid():
            raise Unavailable(f"{path} is not a file of yours", fix="remove it; a new one is made")
        if state.st_mode & 0o077:
            raise Unavailable(f"others can read {path}", fix=f"rm {path}; a new one is made")
        secret = file.read().strip()
    if not secret:
        raise Unavailable(f"{path} is empty", fix=f"rm {path}; a new one is made")
    return secret
