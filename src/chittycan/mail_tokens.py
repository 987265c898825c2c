"""Refresh tokens that a server handed out instead of the configured ones: in the data folder, for its owner alone.

A server that gives a new refresh token may not take the old one again. All that log in with one grant, in whatever
process of this machine, go on with the newest, and so does whoever starts later.
"""

import hashlib
import logging
import os
import stat
from pathlib import Path

from chittycan.config.editing import write_private
from chittycan.integrations.email.credentials import Grant

log = logging.getLogger(__name__)

FOLDER = "mail-tokens"
LONGEST = 16_384  # bytes


class RefreshTokens:
    """Of the configured grants, one file for each. `folder` is the data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def newest(self, grant: Grant) -> str | None:
        """None where the configured one is the newest, or the file cannot be trusted: others may read or write it."""
        try:
            with os.fdopen(os.open(self._file(grant), os.O_RDONLY | os.O_NOFOLLOW)) as file:
                state = os.fstat(file.fileno())
                ours = stat.S_ISREG(state.st_mode) and state.st_uid == os.geteuid() and not state.st_mode & 0o077
                return file.read(LONGEST).strip() or None if ours else None
        except (OSError, UnicodeDecodeError):
            return None

    def keep(self, grant: Grant, token: str) -> bool:
        """Whether it will be found again."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self._file(grant), token + "\n")
        except OSError as error:
            log.warning("refresh_token_not_kept", extra={"fields": {"why": error.strerror}})
            return False
        return True

    def _file(self, grant: Grant) -> Path:
        """Another configured token is another grant: the owner has signed in anew."""
        named = "\0".join((grant.token_url, grant.client_id, grant.refresh_token))
        return self._folder / hashlib.sha256(named.encode()).hexdigest()
