"""Mailboxes on disk are read as they are, and never changed."""

from pathlib import Path

import pytest

from chittycan.errors import NotFound
from chittycan.integrations.email.sources import open_source, read_again

ONE = b"Subject: one\n\nFirst.\n"
TWO = b"Subject: two\n\nSecond.\nFrom here on, no new mail: no empty line before.\n"


@pytest.fixture
def mbox(tmp_path: Path) -> Path:
    file = tmp_path / "box"
    file.write_bytes(
        b"From a@b.example Mon Nov 23 08:00:00 2026\n" + ONE + b"\nFrom c@d.example Mon Nov\n" + TWO + b"\n"
    )
    return file


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for folder in ("new", "cur", "tmp"):
        (tmp_path / "Maildir" / folder).mkdir(parents=True)
    (tmp_path / "Maildir/cur/100.a.host:2,S").write_bytes(ONE)
    (tmp_path / "Maildir/new/200.b.host").write_bytes(TWO)
    (tmp_path / "Maildir/new/.hidden").write_bytes(b"no mail")
    (tmp_path / "Maildir/tmp/300.c.host").write_bytes(b"not delivered yet")
    return tmp_path / "Maildir"


def test_maildir_gives_new_and_read_mails_in_order_of_arrival(maildir: Path) -> None:
    source = open_source(maildir)
    assert source.kind == "maildir"
    assert len(source) == 2
    assert [mail.raw for mail in source] == [ONE, TWO]


def test_mbox_is_split_at_from_lines_after_an_empty_line(mbox: Path) -> None:
    source = open_source(mbox)
    assert source.kind == "mbox"
    assert len(source) == 2
    assert [mail.raw.strip() for mail in source] == [ONE.strip(), TWO.strip()]


def test_folder_is_read_with_its_folders_and_without_other_files(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "b.eml").write_bytes(ONE)
    (tmp_path / "inner" / "a.EML").write_bytes(TWO)
    (tmp_path / "notes.txt").write_text("no mail")
    source = open_source(tmp_path)
    assert source.kind == "folder"
    assert [mail.key for mail in source] == ["b.eml", "inner/a.EML"]


def test_single_file_is_a_source(tmp_path: Path) -> None:
    (tmp_path / "one.eml").write_bytes(ONE)
    assert [mail.raw for mail in open_source(tmp_path / "one.eml")] == [ONE]


def test_file_that_cannot_be_read_is_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(ONE)
    (tmp_path / "b.eml").write_bytes(TWO)
    (tmp_path / "c.eml").write_bytes(ONE)
    mails = iter(open_source(tmp_path))
    first = next(mails)
    (tmp_path / "b.eml").unlink()  # as another mail program would, while we read
    assert [(mail.key, mail.error) for mail in (first, *mails)] == [
        ("a.eml", None),
        ("b.eml", "no longer there"),
        ("c.eml", None),
    ]


def test_missing_place_is_an_error_with_a_fix(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        open_source(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in caught.value.message
    assert caught.value.fix


def test_mail_is_found_again_by_its_key(mbox: Path, maildir: Path) -> None:
    for place in (mbox, maildir):
        for mail in open_source(place):
            assert read_again(mail.source, mail.key) == mail


def test_mail_is_found_again_after_a_mail_program_moved_it(maildir: Path) -> None:
    (_, second) = open_source(maildir)
    (maildir / "new/200.b.host").rename(maildir / "cur/200.b.host:2,FS")
    assert read_again(second.source, second.key).raw == TWO


def test_reading_changes_nothing(maildir: Path) -> None:
    before = sorted(str(path) for path in maildir.rglob("*"))
    list(open_source(maildir))
    assert sorted(str(path) for path in maildir.rglob("*")) == before
