"""Values in the person's own editor, as YAML."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from chittycan.errors import UsageError

DEFAULT = "vi"
LONGEST_LINE = 80
HINT = "# Save and close to approve it so; change nothing to decide nothing."


def edited(values: dict[str, Any], title: str) -> dict[str, Any]:
    """Those of `values` that the person changed. Raises UsageError where the editor fails or leaves no YAML."""
    import yaml

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or DEFAULT
    with tempfile.TemporaryDirectory(prefix="can") as folder:
        file = Path(folder) / "values.yaml"
        file.touch(0o600)
        file.write_text(f"# {' '.join(title.split())}\n{HINT}\n{_dumped(values)}", "utf-8")
        try:
            subprocess.run([*shlex.split(editor), str(file)], check=True)  # noqa: S603 (the person's own)
        except (OSError, subprocess.CalledProcessError) as error:
            fix = "Set $EDITOR, or say --set NAME=TEXT."
            raise UsageError(f"The editor '{editor}' did not work: {error}.", fix=fix) from None
        try:
            found = yaml.safe_load(file.read_text("utf-8"))
        except yaml.YAMLError as error:
            raise UsageError(f"That is no YAML: {str(error).partition(chr(10))[0]}; nothing is decided.") from None
    if not isinstance(found, dict):
        raise UsageError("That is no list of names and values; nothing is decided.")
    return {name: value for name, value in found.items() if name not in values or value != values[name]}


def _dumped(values: dict[str, Any]) -> str:
    import yaml

    dumper: Any = type("Dumper", (yaml.SafeDumper,), {})

    def text(writer: Any, value: str) -> Any:
        """What is more than a few words stands as it is, without quotes and line breaks of YAML's own."""
        style = "|" if "\n" in value or len(value) > LONGEST_LINE else None
        return writer.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    dumper.add_representer(str, text)
    return str(yaml.dump(values, Dumper=dumper, allow_unicode=True, sort_keys=False, width=LONGEST_LINE))
