"""Which model is assigned to a kind of task. Pure lookup; who made the assignments does not matter here."""

from collections.abc import Mapping

PRIVATE = "private"  # names the model for private work: it is no kind of task, so nothing else stands in for it


def assigned(assignments: Mapping[str, str], kind: str) -> str | None:
    """The model for `kind`, or None. The nearest entry wins; for the kind `email.triage` in this order:

    `email.triage`, the short `triage`, `email.*`, the short `email`, `*`;
    and for the short kind `triage`: `triage`, the first entry that ends in `.triage`, the first that starts
    with `triage.`, `*`. A pattern (`email.*`) is an entry's name, and no kind: it finds what stands for every kind.
    """
    if "*" in kind:
        return assignments.get("*")
    if kind in assignments:
        return assignments[kind]
    if kind == PRIVATE:
        return None
    for key in _nearest(kind, assignments):
        if key in assignments and key != PRIVATE:
            return assignments[key]
    return assignments.get("*")


def _nearest(kind: str, keys: Mapping[str, str]) -> list[str]:
    parts = kind.split(".")
    if len(parts) == 1:
        last = [key for key in keys if key.endswith(f".{kind}")]
        first = [key for key in keys if key.startswith(f"{kind}.")]
        return last + first
    prefixes = [".".join(parts[:count]) + ".*" for count in range(len(parts) - 1, 0, -1)]
    return [parts[-1], *prefixes, parts[0]]
