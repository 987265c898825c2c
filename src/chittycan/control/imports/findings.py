"""What became of each line of a foreign configuration."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

# exact: it means the same here. approximate: something like it. unsupported: there is no such thing here.
Level = Literal["exact", "approximate", "unsupported"]
Where = tuple[str | int, ...]


class Finding(Struct, frozen=True, kw_only=True):
    """`key` is the place in the foreign file (`model_list[2].litellm_params.rpm`), `line` counts from 1."""

    level: Level
    key: str
    message: str
    line: int | None = None


class Imported(Struct, kw_only=True):
    """What to write: proxies and budgets into config.json, the rest into models.json, as it is called there.

    `secrets` are keys that stood in the foreign file as they are: by proxy, in the order of the references
    `secret:N` that stand for them in its `apiKey`.
    """

    proxies: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    fallbacks: dict[str, list[str]] = field(default_factory=dict)
    budgets: dict[str, float] = field(default_factory=dict)
    secrets: dict[str, list[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


class Notes:
    """Collects findings. `lines`: the line of each place that has one."""

    def __init__(self, lines: Mapping[Where, int]) -> None:
        self.found: list[Finding] = []
        self._lines = lines

    def add(self, level: Level, at: Where, message: str) -> None:
        self.found.append(Finding(level=level, key=called(at), message=message, line=self._line(at)))

    def _line(self, at: Where) -> int | None:
        """Of the place itself, or of what it is in."""
        while at and at not in self._lines:
            at = at[:-1]
        return self._lines.get(at)


def called(at: Where) -> str:
    """`("model_list", 2, "model_name")` → `model_list[2].model_name`."""
    text = ""
    for part in at:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
