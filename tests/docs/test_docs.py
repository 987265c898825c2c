"""The documentation says what the program does: parts made from the code are fresh, and what is named exists."""

import importlib.util
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import typer

from chittycan import errors
from chittycan.api.control import document
from chittycan.api.inference import ROUTES, trace_lines
from chittycan.cli.main import can
from chittycan.config import CONFIG_FILE, MODELS_FILE, load
from chittycan.dialects.status import STATUS
from chittycan.gateway.call import Trace
from chittycan.gateway.options import OPTION_NAMES
from chittycan.providers.registry import build
from chittycan.providers.vendors import vendors

CHECKOUT = Path(__file__).resolve().parents[2]
DOCS = CHECKOUT / "docs"
PAGES = sorted(
    [
        *CHECKOUT.glob("*.md"),
        *DOCS.rglob("*.md"),
        *(CHECKOUT / "examples").rglob("*.md"),
        CHECKOUT / "tests/golden/README.md",
    ]
)
TEXT = {page: page.read_text("utf-8") for page in PAGES}
FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.M | re.S)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


def named(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


def examples(kind: str) -> list[tuple[str, str]]:
    """Every code block of this kind with the page that it is on."""
    return [
        (named(page), each["body"]) for page in PAGES for each in FENCE.finditer(TEXT[page]) if each["kind"] == kind
    ]


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate_docs", CHECKOUT / "tools" / "generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# what is made from the code


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=named)
def test_parts_made_from_the_code_are_what_the_code_makes_now(page: Path) -> None:
    assert generator().renewed(TEXT[page]) == TEXT[page], "run: python tools/generate_docs.py"


def test_every_part_that_is_made_stands_on_one_page() -> None:
    everything = "".join(TEXT.values())
    assert {name: everything.count(f"<!-- begin {name} -->") for name in generator().BLOCKS} == dict.fromkeys(
        generator().BLOCKS, 1
    )


# links


def anchors(page: Path) -> set[str]:
    """The names that a link may end in, as GitHub makes them from headings."""
    headings = re.findall(r"^#+ +(.+)$", FENCE.sub("", TEXT[page]), re.M)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)">', TEXT[page]))


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for found in LINK.finditer(FENCE.sub("", TEXT[page])):
            if not found["target"].startswith(("https://", "http://")):
                yield page, found["target"]


@pytest.mark.parametrize(
    ("page", "target"), list(links()), ids=lambda value: named(value) if isinstance(value, Path) else value
)
def test_a_link_leads_somewhere(page: Path, target: str) -> None:
    path, _, anchor = unquote(target).partition("#")
    there = (page.parent / path).resolve() if path else page
    assert there.exists()
    if anchor:
        assert anchor in anchors(there)


def test_code_refers_to_decisions_that_exist() -> None:
    referred = {
        found
        for file in [*(CHECKOUT / "src").rglob("*.py"), CHECKOUT / "pyproject.toml"]
        for found in re.findall(r"docs/decisions/[\w.-]+\.md", file.read_text("utf-8"))
    }
    assert referred
    assert {found for found in referred if not (CHECKOUT / found).exists()} == set()


# commands


def commands() -> Iterator[tuple[str, str]]:
    """`can …` as it stands in code, with the page; the lines of a shell example, and spans."""
    for page in PAGES:
        text = TEXT[page]
        lines = [line for each in FENCE.finditer(text) for line in each["body"].replace("\\\n", " ").splitlines()]
        prose = re.sub(r"(?<!\n)\n(?!\n)", " ", FENCE.sub("", text))  # a span may go on in the next line
        spans = re.findall(r"`([^`\n]+)`", prose)
        for line in [*lines, *spans]:
            words = re.sub(r"^(\$ |[A-Z_]+=\S+ )+", "", line.strip())
            if words.startswith("can "):
                yield named(page), words


@pytest.mark.parametrize(("page", "line"), sorted(set(commands())))
def test_a_command_that_is_shown_exists_with_its_options(page: str, line: str) -> None:
    line = line.partition(" # ")[0].replace("…", "X").replace("[", "").replace("]", "")
    root: Any = typer.main.get_command(can)
    context = root.make_context("can", [], resilient_parsing=True)
    command, words = root, shlex.split(line)[1:]
    while words and hasattr(command, "list_commands") and not words[0].startswith("-") and words[0] != "COMMAND":
        found = command.get_command(context, words[0])
        assert found is not None, f"no command `{words[0]}` in `{line}`"
        command, words = found, words[1:]
    known = {name for each in command.params for name in each.opts} | {"--help"}
    assert {word for word in words if re.match(r"--?[a-z]", word)} <= known


# examples


def configurations() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Per page: its examples of config.json and of models.json, merged."""
    pages: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for page, body in examples("json"):
        fields = json.loads(body)
        if "error" not in fields:
            models = fields.keys() & {"assignments", "fallbacks", "models", "ensembles", "routing"}
            pages.setdefault(page, ({}, {}))[1 if models else 0].update(fields)
    return [(page, *files) for page, files in pages.items()]


@pytest.mark.parametrize(
    ("page", "config", "models"), configurations(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_examples_of_configuration_are_read_without_a_warning(
    page: str, config: dict[str, Any], models: dict[str, Any], tmp_path: Path
) -> None:
    for name, fields in ((CONFIG_FILE, config), (MODELS_FILE, models)):
        (tmp_path / name).write_text(json.dumps(fields))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "openai-2").write_text("sk-second")
    keys = {key: "sk-example" for vendor in vendors().values() for key in vendor.keys[:1]}
    settings = load(tmp_path, keys)
    assert settings.warnings == ()
    assert build(settings, keys).warnings == ()


def test_examples_in_other_languages_can_be_read() -> None:
    for page, body in examples("python"):
        compile(body, page, "exec")
    for _, body in examples("toml"):
        tomllib.loads(body)


# http.md

HTTP = TEXT[DOCS / "http.md"]


def test_every_route_is_mentioned() -> None:
    paths = {path for path in ROUTES if re.match(r"/v1/(?!v1/)", path)} | set(document()["paths"])
    assert {path for path in paths if f"{path}`" not in HTTP} == set()


def test_every_header_is_mentioned() -> None:
    trace = Trace(request_id="req", model="m", route="auto", label="private")
    ours = {line.partition(b":")[0].decode() for line in b"".join(trace_lines(trace)).splitlines()}
    ours |= {f"x-chitty-{name.replace('_', '-')}" for name in OPTION_NAMES}
    for file in (CHECKOUT / "src").rglob("*.py"):
        ours |= set(re.findall(r"x-chitty-[a-z-]+[a-z]", file.read_text("utf-8")))
    assert {name for name in ours if f"`{name}" not in HTTP} == set()


def test_every_error_is_mentioned_with_its_status() -> None:
    for kind, status in STATUS.items():
        if not [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]:
            assert re.search(rf"\| {status} \| `{kind.code}` \| {kind.__name__} \|", HTTP), kind
    codes = set()
    for file in (CHECKOUT / "src").rglob("*.py"):
        codes |= set(re.findall(r'code="(\w+)"', file.read_text("utf-8")))
    codes |= {
        each.code for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.ChittyError)
    }
    abstract = {"error", "access_error", "limit_error", "delivery_error"}
    assert {code for code in codes - abstract if f"`{code}`" not in HTTP} == set()


def test_every_metric_is_mentioned() -> None:
    source = (CHECKOUT / "src/chittycan/telemetry.py").read_text("utf-8") + (
        CHECKOUT / "src/chittycan/app.py"
    ).read_text("utf-8")
    assert {name for name in re.findall(r'"(chitty_\w+)"', source) if f"`{name}" not in HTTP} == set()


# configuration.md


def test_every_variable_of_ours_is_mentioned_and_read() -> None:
    internal = {"CHITTY_SHARED_PORT", "CHITTY_SUPERVISOR"}
    read = set()
    for file in (CHECKOUT / "src").rglob("*.py"):
        read |= set(re.findall(r"\bCHITTY_[A-Z_]+\b", file.read_text("utf-8")))
    said = set(re.findall(r"\bCHITTY_[A-Z_]+\b", TEXT[DOCS / "configuration.md"]))
    assert said == read - internal
