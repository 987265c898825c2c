"""Secrets by reference: a literal, `env:NAME` or `file:PATH`, resolved only when needed."""

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from chittycan.catalogue import Secret

ENV, FILE = "env:", "file:"
LARGEST = 64 * 1024  # bytes; a key file is never larger, and /dev/zero must not hang the start


class Missing(Struct, frozen=True):
    """Why a reference gives no secret; never holds any of it."""

    reason: str

    def __str__(self) -> str:
        return self.reason


def is_reference(text: str) -> bool:
    """True for `env:NAME` and `file:PATH`, false for a literal."""
    return text.startswith((ENV, FILE))


def secret_file(reference: str, folder: Path | None = None) -> Path | None:
    """The path behind `file:PATH`: `~` is the home folder, a relative path starts at the configuration folder."""
    if not reference.startswith(FILE):
        return None
    path = Path(os.path.expanduser(reference.removeprefix(FILE)))  # never raises, unlike Path.expanduser
    return folder / path if folder is not None and not path.is_absolute() else path


def resolve_secret(
    reference: str, env: Mapping[str, str] | None = None, folder: Path | None = None
) -> Secret | Missing:
    """The secret behind `reference`, trimmed, or why there is none."""
    env = os.environ if env is None else env
    if reference.startswith(ENV):
        name = reference.removeprefix(ENV).strip()
        return _checked(env.get(name, ""), f"{ENV}{name}", f"the environment variable {name} is not set")
    path = secret_file(reference, folder)
    if path is not None:
        return _from_file(path, reference)
    return _checked(reference, "literal", "the key is empty")


def _from_file(path: Path, reference: str) -> Secret | Missing:
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST).decode()
    except OSError as error:
        return Missing(f"{reference} cannot be read: {error.strerror}")
    except ValueError:  # not UTF-8, or a null byte in the path
        return Missing(f"{reference} is no text file")
    return _checked(text, reference, f"{reference} is empty")


def _checked(value: str, source: str, empty: str) -> Secret | Missing:
    value = value.strip()
    if not value:
        return Missing(empty)
    # It goes into an HTTP header, where anything else is refused or, worse, starts another header.
    if not (value.isascii() and value.isprintable()):
        return Missing(f"the secret from {source} holds characters that no key has (a line break or an accent)")
    return Secret(value, source)
