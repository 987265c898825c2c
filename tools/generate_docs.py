"""`python tools/generate_docs.py`: write the parts of docs/ that are made from the code.

Such a part stands between `<!-- begin NAME -->` and `<!-- end NAME -->`; the words around it are written by hand.
`tests/docs/test_docs.py` fails where a part differs from what this program would write.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import typer

from chittycan import errors
from chittycan.api.control import PREFIX, SURFACES, document
from chittycan.cli.main import can
from chittycan.config import SCHEMA_FILE
from chittycan.control.table import OPERATIONS
from chittycan.dialects.status import STATUS
from chittycan.gateway import attempt, chain, health
from chittycan.providers.vendors import vendors
from chittycan.routing import failure
from chittycan.routing.failure import TABLE
from chittycan.workstreams import recipe

DOCS = Path(__file__).resolve().parents[1] / "docs"
BLOCK = re.compile(r"(<!-- begin (?P<name>[a-z-]+) -->\n).*?(<!-- end (?P=name) -->)", re.S)
OWN_STATUS = "the provider's own"

# In the order in which `gateway.chain` asks them; the first that is true decides.
EXHAUSTION: tuple[tuple[str, type[errors.ProviderError]], ...] = (
    ("every key of every model was refused", errors.CredentialsExhausted),
    ("every model was resting, so that none was asked", errors.AllCooling),
    ("there was one model only, and it answered", errors.UpstreamRefused),
    ("every model found the request too long", errors.UpstreamRefused),
    ("every model was rate-limited", errors.AllRateLimited),
    ("the last one gave no answer in time", errors.UpstreamTimeout),
    ("anything else", errors.AllFailed),
)


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    columns = list(columns)
    lines = [columns, ["---"] * len(columns), *([str(cell).replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def code(text: object) -> str:
    return f"`{text}`" if text not in (None, "") else ""


# failures.md


def failure_table() -> str:
    columns = ("class", "what it looks like", "same model again", "next key", "next model", "rests afterwards")
    return table(
        columns,
        (
            (code(name), each.examples, each.retry, "yes" if each.rotate else "no", each.next_model, each.cool)
            for name, each in TABLE.items()
        ),
    )


def failure_times() -> str:
    first, longest = failure.backoff(0, 0.5), failure.backoff(99, 0.5)
    return table(
        ("what", "how long"),
        (
            ("pause before the same model is asked again", f"{first:g} s, doubling up to {longest:g} s, ± 20 %"),
            ("first token, where another model could serve", f"{attempt.FIRST_TOKEN_SECONDS:g} s"),
            (
                "… and where the answer is not streamed",
                f"as much more as its `max_tokens` (else {attempt.DEFAULT_TOKENS}) take at "
                f"{attempt.TOKENS_PER_SECOND:g} tokens/s",
            ),
            ("rest of a key without a `Retry-After`", f"{failure.RATE_LIMIT_SECONDS:g} s"),
            ("rest of a key whose account is empty", f"{failure.QUOTA_SECONDS / 60:g} minutes"),
            ("rest of a model that the provider does not have", f"{failure.LONG_SECONDS / 60:g} minutes"),
            (
                "failures that open a model's circuit",
                f"{health.CONSECUTIVE} in a row, or more than {health.RATE:.0%} of the last {health.WINDOW}",
            ),
            (
                "rest of a model whose circuit is open",
                f"{health.FIRST_REST:g} s, doubling up to {health.LONGEST_REST:g} s while its single probe fails",
            ),
            ("how often a lone model's `Retry-After` is waited for", f"{chain.RATE_LIMIT_WAITS} times"),
        ),
    )


def exhaustion() -> str:
    rows = ((when, _status(kind), code(kind.code)) for when, kind in EXHAUSTION)
    return table(("what happened", "status", "`error.code`"), rows)


# http.md


def error_table() -> str:
    """The tree of `chittycan.errors`, whose docstring says what each class means."""
    rows = []
    for name, meaning in re.findall(r"[├└]── (\w+) +(.+)", errors.__doc__ or ""):
        kind = getattr(errors, name)
        if not [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]:
            rows.append((_status(kind), code(kind.code), name, meaning))
    return table(("status", "`error.code`", "class", "the caller's next step, or what happened"), rows)


def _status(kind: type[errors.ChittyError]) -> object:
    return (
        OWN_STATUS if kind is errors.UpstreamRefused else next(STATUS[each] for each in kind.__mro__ if each in STATUS)
    )


def inference_routes() -> str:
    return table(("route", "what it is"), ((code(f"POST {path}"), summary) for path, summary in SURFACES.items()))


def control_routes() -> str:
    paths = document()["paths"]
    rows = []
    for operation in OPERATIONS:
        described = paths[PREFIX + operation.path][operation.method.lower()]
        rows.append(
            (
                code(f"{operation.method} {PREFIX}{operation.path}"),
                described["description"].partition("\n")[0],
                ", ".join(code(name) for name in operation.at("query", "header", "field", "body")),
                "owner" if operation.owner else "anyone" if operation.open else "any key",
            )
        )
    return table(("route", "what it does", "parameters", "for"), rows)


# configuration.md


def configuration_keys() -> str:
    schema = json.loads(SCHEMA_FILE.read_text("utf-8"))["$defs"]
    return "\n".join(f"### {place}\n\n{_keys(schema, schema[name])}" for name, place in OBJECTS.items())


# Definition in the schema → where such an object stands; `NAME` is a name that the owner chooses.
OBJECTS = {
    "config": "`config.json`",
    "connectRemote": "`remotes.NAME` with the type `chittyconnect`",
    "proxy": "`remotes.NAME.proxies.NAME`",
    "timeouts": "`remotes.NAME.proxies.NAME.timeouts`",
    "limits": "`limits` of a provider or a model",
    "budgets": "`budgets`",
    "privacy": "`privacy`",
    "embedded": "`embedded`",
    "context": "`context`",
    "tasks": "`tasks`",
    "outbound": "`outbound`",
    "webhook": "`webhooks[]`",
    "smtp": "`smtp`",
    "imap": "`integrations.NAME` with the type `imap`",
    "oauth": "`integrations.NAME.oauth`",
    "localMail": "`integrations.NAME` that is mail on this machine",
    "models": "`models.json`",
    "model": "`models.NAME`",
    "price": "`models.NAME.price`",
    "ensemble": "`ensembles.NAME`",
    "deployment": "`models.NAME.deployments[]`",
    "routing": "`routing`",
    "hedge": "`routing.hedge`",
}


def _keys(schema: Any, found: Any) -> str:
    rows = []
    for key, value in found["properties"].items():
        words = value.get("description") or _resolved(schema, value).get("description", "")
        if "default" in value:
            words = f"{words} Default: `{json.dumps(value['default'])}`.".strip()
        rows.append((code(key), _kind(schema, value), words))
    return table(("key", "value", "meaning"), rows)


def _resolved(schema: Any, value: Any) -> Any:
    return schema[value["$ref"].rpartition("/")[2]] if "$ref" in value else value


def _kind(schema: Any, value: Any) -> str:
    value = _resolved(schema, value)
    if "enum" in value:
        return ", ".join(map(code, value["enum"]))
    if "const" in value:
        return code(value["const"])
    if "anyOf" in value:
        return " or ".join(_kind(schema, each) for each in value["anyOf"])
    if value.get("type") == "array":
        inner = _kind(schema, value["items"])
        if inner.startswith("list "):
            return f"list of lists{inner.removeprefix('list')}"
        return f"list of {inner}" if "enum" in value["items"] else f"list of {inner}s"
    if value.get("type") == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"name → {_kind(schema, value['additionalProperties'])}"
    kind = str(value.get("type", "object"))
    return {"string": "text", "boolean": "true or false"}.get(kind, kind)


def vendor_table() -> str:
    rows = (
        (code(each.id), " ".join(map(code, each.keys)), code(each.default_model), code(each.endpoint), each.notes or "")
        for each in vendors().values()
    )
    return table(("name", "key, the first that is set", "default model", "base URL", ""), rows)


# cli.md


def commands() -> str:
    root: Any = typer.main.get_command(can)
    context = root.make_context("can", [], resilient_parsing=True)
    return "\n".join(_command(command, name) for name, command in walk(root, context, "can") if name != "can")


def walk(command: Any, context: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every visible command with its full name, groups before what is in them."""
    yield name, command
    for inner in command.list_commands(context) if hasattr(command, "list_commands") else ():
        found = command.get_command(context, inner)
        if not found.hidden:
            yield from walk(found, context, f"{name} {inner}")


def _command(command: Any, name: str) -> str:
    shown = [each for each in command.params if each.name != "help"]
    options = [each for each in shown if each.param_type_name == "option"]
    arguments = [each for each in shown if each.param_type_name == "argument"]
    lines = [f"{'##' if name.count(' ') == 1 else '###'} {name}", ""]
    if not hasattr(command, "list_commands") or options:
        words = [name, *map(_argument, arguments), *map(_flag, sorted(options, key=lambda each: not each.required))]
        lines += [f"    {' '.join(words)}", ""]
    lines += [" ".join((command.help or "").split()), ""]
    rows = [(code(_argument(each)), each.help) for each in arguments if each.help]
    rows += [(code(", ".join(each.opts)), _meaning(each)) for each in options if each.name != "json"]
    if rows:
        lines.append(table(("", ""), rows))
    return "\n".join(lines)


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    name = f"{name} …" if parameter.nargs == -1 else name
    return name if parameter.required else f"[{name}]"


def _flag(parameter: Any) -> str:
    text = parameter.opts[0] if parameter.is_flag else f"{parameter.opts[0]} {parameter.name.upper()}"
    return text if parameter.required else f"[{text}]"


def _meaning(parameter: Any) -> str:
    default = parameter.default
    plain = isinstance(default, str | int | float) and not isinstance(default, bool)
    said = f" Default: `{default}`." if plain and not parameter.is_flag else ""
    return f"{parameter.help or ''}{said}"


# recipes.md


def recipe_steps() -> str:
    rows = []
    for kind in recipe.KINDS:
        shape = next((each for each in get_args(get_type_hints(recipe.Step)[kind]) if isinstance(each, type)), None)
        parts = msgspec.structs.fields(shape) if shape is not None and issubclass(shape, msgspec.Struct) else ()
        short = recipe.SHORTHANDS.get(kind)
        fields = [f"**{code(each.encode_name)}**" if each.encode_name == short else code(each.encode_name)
                  for each in parts]  # fmt: skip
        gives = ", ".join(map(code, recipe.RESULTS[kind]))
        rows.append((code(kind), ", ".join(fields) or "a list of steps", gives))
    return table(("kind", "fields", "gives"), rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "failure-table": failure_table,
    "failure-times": failure_times,
    "exhaustion": exhaustion,
    "errors": error_table,
    "inference-routes": inference_routes,
    "control-routes": control_routes,
    "configuration-keys": configuration_keys,
    "vendors": vendor_table,
    "commands": commands,
    "recipe-steps": recipe_steps,
}


def renewed(text: str) -> str:
    """`text` with every generated part as the code makes it now. Raises KeyError for a part that nobody makes."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{BLOCKS[found['name']]()}\n{found[3]}", text)


def main() -> int:
    for file in sorted(DOCS.rglob("*.md")):
        before = file.read_text("utf-8")
        after = renewed(before)
        if after != before:
            file.write_text(after, "utf-8")
            print(f"written: {file.relative_to(DOCS.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
