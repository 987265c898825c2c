"""What a rule does: verbs with their values, such as `priority:high, agent:legal-response`.

`send`, `forward` and `delete` are no verbs: such things happen to what a person approved, never by a rule.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

from chittycan.routing.rules.condition import RuleError, nearest
from chittycan.routing.rules.fields import FLAGS, LEVELS

# verb → what it does. Those in ALONE may stand without a value; those in SEVERAL add up, of others the first counts.
VERBS: Mapping[str, str] = {
    "priority": "low, normal, high or critical",
    "model": "the model that answers, a chain's name or an assignment",
    "agent": "the kind of work that it is, which finds the model assigned to that",
    "label": "a label that it gets",
    "move": "the folder that it goes to",
    "archive": "out of the inbox",
    "draft": "whether a reply is drafted: true or false",
    "template": "the template of the draft",
    "notify": "who is to be told, in a word: those who listen to rule.matched get it",
    "webhook": "the address that is told",
    "stop": "no later rule is looked at",
    "private": "private models only",
    "region": "the region that alone may work on it",
    "auto": "nobody has to look at it first: true or false",
}
ALONE = ("archive", "stop", "private", "auto")
FLAG_VERBS = ("archive", "draft", "stop", "private", "auto")
SEVERAL = ("label", "notify", "webhook")
LONGEST = 1_000  # characters
FORBIDDEN = ("send", "forward", "delete")
# Verbs that mean something for some things only.
FOR: Mapping[str, tuple[str, ...]] = {
    "priority": ("mail", "task"), "label": ("mail", "task"), "agent": ("mail", "task"),
    **dict.fromkeys(("move", "archive", "draft", "template", "notify", "webhook", "auto"), ("mail",)),
}  # fmt: skip

_ACTION = re.compile(
    r'\s*(?P<verb>[A-Za-z][\w-]*)\s*(?::\s*(?:"(?P<quoted>[^"]*)"|(?P<bare>[^,\s"][^,"]*)))?\s*(?P<end>,|$)'
)
_RUN_IN = re.compile(r"\s(?P<verb>[A-Za-z][\w-]*)\s*:")  # another action within a value


class Action(Struct, frozen=True):
    """`value` is text, or True or False for the verbs in FLAG_VERBS."""

    verb: str
    value: str | bool


def parse(text: str) -> tuple[Action, ...]:
    """Raises RuleError, which names the column and the fix."""
    if len(text) > LONGEST:
        raise _error(f"longer than {LONGEST:,} characters", LONGEST + 1, "Make several rules of it.")
    actions: list[Action] = []
    at = 0
    while at < len(text) or not actions:
        found = _ACTION.match(text, at)
        if found is None:
            column = at + len(text[at:]) - len(text[at:].lstrip()) + 1
            raise _error("an action is needed here", column, 'Write verb:value, such as "model:llama-scout".')
        actions.append(_action(found))
        at = found.end()
        if found["end"] == "," and not text[at:].strip():
            raise _error("an action is missing after the comma", at, "Take the comma out.")
    return tuple(actions)


def _action(found: re.Match[str]) -> Action:
    verb, column = found["verb"].lower(), found.start("verb") + 1
    if verb in FORBIDDEN:
        fix = f"A rule cannot {verb}: approve what it prepared with `can router drafts approve`."
        raise _error(f"{verb!r} is no action of a rule", column, fix)
    if verb not in VERBS:
        raise _error(f"there is no action {verb!r}{nearest(verb, VERBS)}", column, f"Actions: {', '.join(VERBS)}.")
    written = found["quoted"] if found["bare"] is None else found["bare"].strip()
    run_in = _RUN_IN.search(found["bare"] or "")
    if run_in is not None and run_in["verb"].lower() in (*VERBS, *FORBIDDEN):
        fix = f"Write a comma before {run_in['verb']}, or the value in double quotes."
        raise _error("a comma is missing", found.start("bare") + run_in.start("verb") + 1, fix)
    if not written:
        if verb not in ALONE:
            raise _error(f"{verb} needs a value: {VERBS[verb]}", column, f"Write {verb}:value.")
        return Action(verb, True)
    if verb in FLAG_VERBS:
        if written.casefold() not in FLAGS:
            raise _error(f"{verb} is true or false", column, f"Write {verb}:true.")
        return Action(verb, FLAGS[written.casefold()])
    if verb == "priority" and written.casefold() not in LEVELS:
        raise _error(f"there is no priority {written!r}", column, f"Priorities: {', '.join(LEVELS)}.")
    return Action(verb, written.casefold() if verb == "priority" else written)


def _error(message: str, column: int, fix: str) -> RuleError:
    return RuleError(message, column=column, param="action", fix=fix)
