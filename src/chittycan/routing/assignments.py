"""Which model is assigned to a kind of task. Pure lookup; who made the assignments does not matter here."""

import re
from collections.abc import Mapping

from chittycan.routing.kinds import KINDS

EVERY_KIND = "*"
DOTTED = re.compile(r"[a-z_]+(\.[a-z_]+)+")  # `docs.generation`; names of models have figures or hyphens: `gpt-4.1`
PRIVATE = "private"  # names the model for private work: it is no kind of task, so nothing else stands in for it


def assigned(assignments: Mapping[str, str], kind: str) -> str | None:
    """The model for `kind`, or None. The nearest entry wins; for the kind `email.triage` in this order:

    `email.triage`, the short `triage`, `email.*`, the short `email`, `*`;
    and for the short kind `triage`: `triage`, the first entry that ends in `.triage`, the first that starts
    with `triage.`, `*`. A pattern (`email.*`) is an entry's name, and no kind: it finds what stands for every kind.
    """
    if "*" in kind:
        return assignments.get(EVERY_KIND)
    if kind in assignments:
        return assignments[kind]
    if kind == PRIVATE:
        return None
    for key in _nearest(kind, assignments):
        if key in assignments and key != PRIVATE:
            return assignments[key]
    return assignments.get(EVERY_KIND)


def assigned_to_name(assignments: Mapping[str, str], name: str) -> str | None:
    """As `assigned`, for what a caller wrote where a model's name stands.

    `*` is for kinds of task, so it answers only for a name that is plainly one: a kind that we tell ourselves (`code`),
    or words with dots. It is no model for whatever name is wrong: a slip of the pen would be answered, and paid for.
    """
    if name in KINDS or DOTTED.fullmatch(name):
        return assigned(assignments, name)
    return assigned({kind: model for kind, model in assignments.items() if kind != EVERY_KIND}, name)


def _nearest(kind: str, keys: Mapping[str, str]) -> list[str]:
    parts = kind.split(".")
    if len(parts) == 1:
        last = [key for key in keys if key.endswith(f".{kind}")]
        first = [key for key in keys if key.startswith(f"{kind}.")]
        return last + first
    prefixes = [".".join(parts[:count]) + ".*" for count in range(len(parts) - 1, 0, -1)]
    return [parts[-1], *prefixes, parts[0]]
