"""The broken files that `bench.mutant_files` makes, in small."""

from bench import mutant_files
from chittycan.integrations.documents import reader
from chittycan.integrations.documents.document import sniff


def test_the_files_are_good_before_they_are_broken() -> None:
    for name, data in (("a.docx", mutant_files.docx()), ("a.xlsx", mutant_files.xlsx())):
        assert mutant_files.outcome(reader.read(sniff(name, data), data, 1_000)) == "read"


def test_broken_files_end_in_text_or_a_reason() -> None:
    found = mutant_files.measure(7, 24)
    assert sum(found["outcomes"].values()) == 24
    assert "in silence" not in found["outcomes"]


def test_no_broken_office_file_makes_its_reader_raise() -> None:
    for name, data in mutant_files.broken(11, 400):
        if (kind := sniff(name, data)) in ("docx", "xlsx", "html", "text"):
            assert mutant_files.outcome(reader.read(kind, data, 10_000)) != "in silence"
