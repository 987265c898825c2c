"""Notices edits of the configuration while the program runs; a bad edit keeps the last good one."""

from collections.abc import Mapping
from pathlib import Path

from chittycan.config.reading import load
from chittycan.config.references import secret_file
from chittycan.config.settings import CONFIG_FILE, MODELS_FILE, Settings
from chittycan.errors import ConfigError

Stamp = tuple[int, int, int] | None  # modified (ns), size, inode; None where there is no file


class Reloader:
    """Holds the last good `settings`, and in `error` what is wrong with the files now, if anything.

    The caller calls `check()` each second or so; it costs one `stat` per file while nothing changes.
    """

    def __init__(self, settings: Settings, env: Mapping[str, str] | None = None) -> None:
        self.settings = settings
        self.error: ConfigError | None = None
        self._env = env
        self._stamps = self._look()

    async def check(self) -> Settings | None:
        """The new settings after a good edit, else None. A bad edit only sets `error`, once per edit."""
        stamps = self._look()
        if stamps == self._stamps:
            return None
        self._stamps = stamps
        try:
            settings = load(self.settings.folder, self._env)
        except ConfigError as error:
            self.error = error
            return None
        self.settings, self.error = settings, None
        # The files that it names may be others now; of the rest, what was seen before reading counts.
        self._stamps = {path: stamps.get(path, stamp) for path, stamp in self._look().items()}
        return settings

    def _look(self) -> dict[Path, Stamp]:
        return {path: _stamp(path) for path in self._watched()}

    def _watched(self) -> set[Path]:
        """Both files and every file that a key is read from, so that a rotated key is noticed too."""
        folder = self.settings.folder
        references = [key for proxy in self.settings.proxies.values() for key in proxy.api_keys]
        secrets = {secret_file(reference, folder) for reference in references}
        return {folder / CONFIG_FILE, folder / MODELS_FILE, *(path for path in secrets if path is not None)}


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
