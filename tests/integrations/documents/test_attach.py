"""Files that a prompt names."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.chat import File, Image, Text
from chittycan.errors import InvalidRequest, RequestTooLarge
from chittycan.integrations.documents import attach as attaching
from chittycan.integrations.documents.attach import attach, named_files

Make = Callable[..., bytes]
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20
FILES = [
    "contract.pdf", "my contract.pdf", "a.txt", "b.txt", "notes", "docs/plan.md", ".env", "résumé.docx", "data.v2.csv",
    "it's here.txt",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    return tmp_path


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("Sum up contract.pdf.", ["contract.pdf"]),
        ("What does contract.pdf's third page say?", ["contract.pdf"]),
        ("Compare (a.txt), b.txt; and contract.pdf!", ["a.txt", "b.txt", "contract.pdf"]),
        ("b.txt then a.txt then b.txt", ["b.txt", "a.txt"]),
        ("Review my contract.pdf please", ["my contract.pdf"]),
        (r"Review my\ contract.pdf please", ["my contract.pdf"]),
        ("Review 'my contract.pdf' and \"a.txt\"", ["my contract.pdf", "a.txt"]),
        ("Review “my contract.pdf”", ["my contract.pdf"]),
        ("Don't read a.txt, it's old", ["a.txt"]),
        ('Open "it\'s here.txt"', ["it's here.txt"]),
        ("See docs/plan.md and ./notes", ["docs/plan.md", "notes"]),
        ("See `notes`", ["notes"]),
        ("@a.txt what is this", ["a.txt"]),
        ("read résumé.docx: good?", ["résumé.docx"]),
        ("data.v2.csv", ["data.v2.csv"]),
        ("line one\ncontract.pdf\nend", ["contract.pdf"]),
        # a bare word or a bare hidden file never leaves the machine
        ("take notes about docs", []),
        ("what is .env for?", []),
        ("missing.pdf and https://x.org/a.txt", []),
        ("version 3.5 of node.js", []),
        ("", []),
    ],
)
def test_names_in_prompts(folder: Path, prompt: str, names: list[str]) -> None:
    assert [path.resolve() for path in named_files(prompt, folder)] == [folder / name for name in names]


def test_a_hidden_file_must_be_named_as_a_path(folder: Path) -> None:
    assert named_files("what is in ./.env ?", folder) == [folder / ".env"]


def test_absolute_and_home_paths(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(folder))
    elsewhere = tmp_path / "docs"
    assert named_files(f"read {folder}/a.txt and ~/b.txt", elsewhere) == [folder / "a.txt", folder / "b.txt"]


@given(st.text(alphabet="ab.'\"/\\ \n~@(“”:\x00é", max_size=80))
def test_any_prompt_is_searched(prompt: str) -> None:
    found = named_files(prompt, Path("/nowhere"), lambda path: path.suffix == ".a")
    assert len(found) == len(set(found))


def test_parts_of_a_message(folder: Path, make_pdf: Make, make_docx: Make, para: Callable[..., str]) -> None:
    (folder / "contract.pdf").write_bytes(make_pdf("Rent: 900"))
    (folder / "offer.docx").write_bytes(make_docx(para("We offer")))
    (folder / "photo.png").write_bytes(PNG)
    prompt = "Compare contract.pdf, offer.docx, a.txt and photo.png"
    assert attach(prompt, folder) == [
        Text(prompt),
        File(name="contract.pdf", media_type="application/pdf", text="Rent: 900"),
        File(
            name="offer.docx",
            media_type="application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            text="We offer",
        ),
        File(name="a.txt", media_type="text/plain", text="x"),
        Image(data=base64.b64encode(PNG).decode(), media_type="image/png"),
    ]


def test_a_prompt_without_files_is_just_text(folder: Path) -> None:
    assert attach("Hello", folder) == [Text("Hello")]


def test_a_pdf_goes_as_it_is_where_asked_for_or_where_it_is_a_scan(folder: Path, make_pdf: Make) -> None:
    path = folder / "contract.pdf"
    for data, pdf_as in [(make_pdf("Rent"), "data"), (make_pdf(""), "text")]:
        path.write_bytes(data)
        (_, part) = attach("contract.pdf", folder, pdf_as=pdf_as)  # type: ignore[arg-type]
        assert part == File(name="contract.pdf", media_type="application/pdf", data=base64.b64encode(data).decode())


def test_a_file_that_cannot_be_read_is_named_with_the_reason(folder: Path) -> None:
    (folder / "contract.pdf").write_bytes(b"%PDF-1.4 broken")
    with pytest.raises(InvalidRequest, match=r"contract\.pdf cannot be attached: the file is damaged") as raised:
        attach("contract.pdf", folder)
    assert raised.value.param == "contract.pdf"


def test_a_file_that_is_too_large_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attaching, "MAX_FILE", 0)
    with pytest.raises(RequestTooLarge, match=r"a\.txt"):
        attach("a.txt", folder)


def test_what_of_a_file_is_not_read_is_told_to_its_reader(tmp_path: Path, make_xlsx: Callable[..., bytes]) -> None:
    row = '<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>Rent</t></is></c></row></sheetData>'
    (tmp_path / "costs.xlsx").write_bytes(make_xlsx(("Costs", row), ("Old", row), states={"Old": "hidden"}))
    (file,) = attach("Sum up costs.xlsx", tmp_path)[1:]
    assert isinstance(file, File)
    assert file.text == "# Costs\n1: Rent\n\n[Not in this text: 1 hidden sheet left out: Old]"
