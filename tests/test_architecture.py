"""The shape of the code: who may import whom, what is pure, what has grown too large.

Read from the source with `ast`; imports inside functions count like any other. Imports under
`if TYPE_CHECKING` count for the layers but not for cycles.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
SRC = CHECKOUT / "src"
ROOT = "chittycan"

# --- the layers: each room and the rooms it may import (itself is always allowed) ---------------------------

WORDS = {"version", "errors", "chat", "clock", "outbox", "catalogue"}
STATE = {"store", "auth", "usage", "context"}
CORE = (
    WORDS
    | STATE
    | {"config", "telemetry", "dialects", "providers", "routing", "gateway", "gateway.call", "gateway.options"}
)
BELOW_APP = CORE | {"workstreams", "integrations", "agents", "agents.batch", "outside"}
BELOW_APP |= {"mail_login", "mail_tokens", "mailbox", "mailroom", "outgoing"}
BELOW_APP |= {"providers.registry", "providers.discovery", "rulebook", "policy"}
FRONT = BELOW_APP | {"durable", "app", "control", ROOT}

MAY_IMPORT: dict[str, set[str]] = {
    # words
    "errors": set(),
    "chat": {"errors"},
    "clock": set(),
    "exposition": set(),
    "outbox": set(),
    "version": set(),
    "catalogue": {"errors"},
    # pure
    "dialects": {"errors", "chat", "catalogue"},
    "routing": {"errors", "chat", "catalogue"},
    # ground floor
    "config": WORDS,
    "store": WORDS,
    "auth": WORDS | {"store"},
    "usage": WORDS | {"store"},
    "context": WORDS | {"store"},
    "providers": WORDS | {"dialects"},
    "providers.registry": WORDS
    | {"config", "providers", "providers.discovery", "providers.limits", "providers.undefined", "providers.written"},
    "providers.limits": WORDS | {"config"},
    "providers.undefined": WORDS | {"config"},
    "providers.written": WORDS | {"config", "providers.limits"},
    "providers.discovery": WORDS | {"config", "providers"},
    # three neighbours that never import each other
    "gateway": WORDS | STATE | {"dialects", "providers", "routing", "gateway.call", "gateway.options"},
    "gateway.call": WORDS | {"dialects", "auth", "routing"},
    "gateway.options": WORDS | {"auth", "gateway.call"},
    "workstreams": WORDS | STATE,
    "integrations": WORDS,
    # rules as they are kept
    "rulebook": WORDS | {"store", "routing"},
    # what `auto` goes by: wishes, prices, and what was learnt
    "policy": WORDS | {"config", "gateway", "routing", "store", "usage"},
    # watches calls from above: what it sees is handed to it, nobody below knows it
    "telemetry": WORDS | {"exposition", "gateway.call"},
    # models meet durable work
    "agents": WORDS
    | STATE
    | {"routing", "gateway.call", "gateway.options", "workstreams", "integrations", "agents.performers.response"},
    # writes the lines of a batch in the words of their surface
    "agents.batch": WORDS | STATE | {"gateway.call", "gateway.options", "workstreams", "dialects"},
    # tells an answer in the words of the one surface that has background responses
    "agents.performers.response": WORDS | STATE | {"routing", "gateway.call", "workstreams", "agents", "dialects"},
    # what the owner configured: the ways out, and where mail comes from and how it is handled
    "outside": WORDS | {"config", "integrations", "mail_login"},
    "mail_login": WORDS | {"config", "integrations"},
    "mail_tokens": WORDS | {"agents", "integrations", "store"},
    "mailbox": WORDS | {"config", "integrations", "agents", "mail_login"},
    "mailroom": WORDS
    | {"config", "agents", "integrations", "mailbox", "mail_login", "mail_tokens", "rulebook", "store"},
    "outgoing": WORDS
    | {"config", "agents", "integrations", "mailbox", "mail_tokens", "outside", "store", "workstreams"},
    # watches what is spent, and has it told
    "budgets": BELOW_APP | {"durable"},
    # the settings in the words of the parts
    "configured": WORDS | {"config", "context", "gateway", "store"},
    # durable work, wired
    "durable": BELOW_APP,
    "workplace": BELOW_APP | {"durable"},
    # composition root, what an owner can do with it, then the front doors
    "app": BELOW_APP | {"durable", "workplace", "configured", "budgets"},
    "control": BELOW_APP | {"durable", "app"},
    "api": FRONT,
    "console": FRONT,
    "mcp": FRONT,
    "cli": FRONT | {"api", "console", "mcp"},
    "__main__": {"cli"},
    "testing": FRONT | {"api"},
    ROOT: WORDS | {"app", "gateway.call"},
}

# --- purity: what pure code may import from outside ----------------------------------------------------------

PURE = ("dialects", "routing", "catalogue", "chat")
PURE_LIBRARIES = {
    "base64", "binascii", "bisect", "codecs", "collections", "contextlib", "copy", "dataclasses", "datetime",
    "difflib", "email", "enum", "fractions", "functools", "hashlib", "heapq", "html", "importlib", "ipaddress",
    "itertools", "json", "math", "mimetypes", "msgspec", "operator", "re", "regex", "statistics",
    "stdnum", "string", "struct",
    "textwrap", "types", "typing", "unicodedata", "urllib", "zlib",
}  # fmt: skip
IMPURE_CALLS = {"open", "print", "input", "exec", "eval"}
IMPURE_METHODS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}

# --- limits ---------------------------------------------------------------------------------------------------

FILE_LINES, FUNCTION_LINES, PARAMETERS = 500, 60, 8

# "path" or "path::function" (shell patterns) -> why it may be larger. An entry that is no longer needed fails.
EXCEPTIONS: dict[str, str] = {
    "src/chittycan/store/migrations/versions/*::upgrade": "a migration is one flat list of tables",
}

FORBIDDEN_WORDS = re.compile(r"utils?(_|$)|manager|enhanced|helper", re.IGNORECASE)
# Run-time vendors' SDKs and other gateways: the wire formats are ours.
FORBIDDEN_PACKAGES = {"openai", "anthropic", "google", "litellm", "mistralai", "groq", "cohere", "celery", "redis"}


@dataclass(frozen=True)
class Import:
    importer: str
    target: str
    line: int
    typing_only: bool


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    tree: ast.Module

    @property
    def label(self) -> str:
        return str(self.path.relative_to(CHECKOUT))

    @property
    def package(self) -> str:
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


def _name(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Module]:
    found = (Module(_name(path), path, ast.parse(path.read_text("utf-8"))) for path in sorted(SRC.rglob("*.py")))
    return {module.name: module for module in found}


def _nodes(node: ast.AST, typing_only: bool = False) -> Iterator[tuple[ast.stmt, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, typing_only
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for statement in child.body:
                yield from _nodes(ast.Module([statement], []), True)
            for statement in child.orelse:
                yield from _nodes(ast.Module([statement], []), typing_only)
        else:
            yield from _nodes(child, typing_only)


def _targets(module: Module, node: ast.stmt) -> Iterator[str]:
    """The full names that a statement imports: a submodule where there is one, else the module named."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parents = module.package.split(".")[: len(module.package.split(".")) - node.level + 1]
            base = ".".join([*parents, *([node.module] if node.module else [])])
        for alias in node.names:
            full = f"{base}.{alias.name}"
            yield full if full in modules() else base


@cache
def imports() -> tuple[Import, ...]:
    return tuple(
        Import(module.name, target, node.lineno, typing_only)
        for module in modules().values()
        for node, typing_only in _nodes(module.tree)
        for target in _targets(module, node)
    )


def ours() -> Iterator[Import]:
    return (each for each in imports() if each.target.split(".")[0] == ROOT)


def room(name: str) -> str:
    """The entry of `MAY_IMPORT` that a module belongs to: the longest that matches."""
    inside = name.removeprefix(ROOT).removeprefix(".")
    while inside and inside not in MAY_IMPORT:
        inside = inside.rpartition(".")[0]
    return inside or ROOT


def _at(each: Import) -> str:
    return f"{modules()[each.importer].label}:{each.line}"


def _pure(name: str) -> bool:
    return room(name) in PURE


def test_every_module_belongs_to_a_room() -> None:
    top_level = {name.split(".")[1] for name in modules() if "." in name}
    assert not top_level - set(MAY_IMPORT), "give these a row in MAY_IMPORT"


def test_layers_import_only_what_lies_below() -> None:
    wrong = [
        f"{_at(each)}: {room(each.importer)} may not import {each.target}"
        for each in ours()
        if room(each.target) != room(each.importer) and room(each.target) not in MAY_IMPORT[room(each.importer)]
    ]
    assert not wrong, "\n".join(wrong)


def test_pure_code_imports_nothing_that_touches_the_world() -> None:
    wrong = [
        f"{_at(each)}: imports {each.target}"
        for each in imports()
        if (_pure(each.importer) and each.target.split(".")[0] not in PURE_LIBRARIES | {ROOT})
        or (_pure(each.importer) and each.target in ("urllib.request", "email.mime"))
    ]
    assert not wrong, "pure code takes bytes and values:\n" + "\n".join(wrong)


def test_pure_code_opens_and_prints_nothing_and_asks_no_clock() -> None:
    wrong = []
    for module in filter(lambda module: _pure(module.name), modules().values()):
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in IMPURE_CALLS or tuple(called.split(".")[-2:]) in IMPURE_METHODS:
                wrong.append(f"{module.label}:{node.lineno}: {called}()")
    assert not wrong, "\n".join(wrong)


def test_no_import_cycles() -> None:
    edges: dict[str, set[str]] = {name: set() for name in modules()}
    for each in ours():
        if not each.typing_only and each.target in edges and each.target != each.importer:
            edges[each.importer].add(each.target)
    knots = [sorted(knot) for knot in _strongly_connected(edges) if len(knot) > 1]
    assert not knots, f"modules that import each other: {knots}"


def _strongly_connected(edges: dict[str, set[str]]) -> list[set[str]]:
    """Two modules are in one knot when each reaches the other."""
    reach = {name: _reachable(name, edges) for name in edges}
    knots, seen = [], set()
    for name in edges:
        if name not in seen:
            knot = {name} | {other for other in reach[name] if name in reach[other]}
            seen |= knot
            knots.append(knot)
    return knots


def _reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    todo = list(edges[start])
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(edges[name])
    return found


def test_no_vendor_sdk_is_imported() -> None:
    wrong = [f"{_at(each)}: {each.target}" for each in imports() if each.target.split(".")[0] in FORBIDDEN_PACKAGES]
    assert not wrong, "\n".join(wrong)


def test_nothing_but_tests_imports_the_fakes() -> None:
    wrong = [_at(each) for each in ours() if room(each.target) == "testing" and room(each.importer) != "testing"]
    assert not wrong, "\n".join(wrong)


def _measured() -> Iterator[tuple[str, ast.Module, int]]:
    for path in sorted([*SRC.rglob("*.py"), *(CHECKOUT / "bench").glob("*.py")]):
        text = path.read_text("utf-8")
        yield str(path.relative_to(CHECKOUT)), ast.parse(text), len(text.splitlines())


def _functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name, child
            yield from _functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        else:
            yield from _functions(child, prefix)


def _is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A command of the CLI or an operation of the control API: its parameters are the options that the user sees."""
    marks = re.compile(r"\.(command|callback)\(|^operation\(")
    return any(marks.search(ast.unparse(each)) for each in function.decorator_list)


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = function.args
    names = [each.arg for each in [*given.posonlyargs, *given.args, *given.kwonlyargs]]
    return len([name for name in names if name not in ("self", "cls")])


@cache
def too_large() -> dict[str, str]:
    found = {}
    for label, tree, lines in _measured():
        if lines > FILE_LINES:
            found[label] = f"{lines} lines"
        for name, function in _functions(tree):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > FUNCTION_LINES:
                found[f"{label}::{name}"] = f"{length} lines"
            elif _parameters(function) > PARAMETERS and not _is_command(function):
                found[f"{label}::{name}"] = f"{_parameters(function)} parameters"
    return found


def test_files_and_functions_stay_small() -> None:
    wrong = {
        where: size
        for where, size in too_large().items()
        if not any(fnmatchcase(where, pattern) for pattern in EXCEPTIONS)
    }
    assert not wrong, "split these, or write the reason into EXCEPTIONS: " + str(wrong)


def test_exceptions_are_still_needed() -> None:
    idle = [pattern for pattern in EXCEPTIONS if not any(fnmatchcase(where, pattern) for where in too_large())]
    assert not idle, "these are small enough now; delete their rows"


@pytest.mark.parametrize("name", sorted(modules()))
def test_module_says_what_lives_in_it(name: str) -> None:
    assert ast.get_docstring(modules()[name].tree), f"{modules()[name].label} starts without a docstring"


def test_names_are_nouns_of_the_field() -> None:
    named = [(module.label, module.name.rpartition(".")[2]) for module in modules().values()]
    named += [
        (f"{module.label}:{node.lineno}", node.name)
        for module in modules().values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    ]
    wrong = [f"{where}: {name}" for where, name in named if FORBIDDEN_WORDS.search(name)]
    assert not wrong, "\n".join(wrong)
