"""What is new in a mailbox on this machine."""

import os
from pathlib import Path

import pytest

from chittycan.errors import Unavailable
from chittycan.integrations.email.sources import open_source
from chittycan.integrations.email.unread import GONE, Unread


def mail(name: str) -> bytes:
    return f"Subject: {name}\n\nHello.\n".encode()


def look(unread: Unread, *, done: bool = True) -> list[str]:
    """Subjects of what is new, which is done then."""
    found = list(unread)
    if done:
        for raw in found:
            unread.done(raw.key)
    return sorted(raw.raw.split(b"\n")[0].decode().removeprefix("Subject: ") for raw in found)


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for name in ("new", "cur", "tmp"):
        (tmp_path / "box" / name).mkdir(parents=True)
    return tmp_path / "box"


def test_a_maildir_is_read_as_far_as_it_is_new(maildir: Path) -> None:
    (maildir / "new" / "1.a").write_bytes(mail("one"))
    unread = Unread(open_source(maildir))
    assert look(unread, done=False) == ["one"]
    assert look(unread) == ["one"]
    assert look(unread) == []
    (maildir / "new" / "1.a").rename(maildir / "cur" / "1.a:2,S")  # a mail program showed it
    (maildir / "new" / "2.a").write_bytes(mail("two"))
    assert look(unread) == ["two"]


def test_a_file_that_was_written_anew_is_new(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(mail("one"))
    unread = Unread(open_source(tmp_path))
    assert look(unread) == ["one"]
    (tmp_path / "a.eml").write_bytes(mail("another"))
    assert look(unread) == ["another"]
    (tmp_path / "a.eml").unlink()
    assert look(unread) == []


def mbox(path: Path, *names: str, age: float = 60) -> None:
    path.write_bytes(b"".join(b"From x@y Mon Nov 23 10:00:00 2026\n" + mail(name) + b"\n" for name in names))
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))


def test_an_mbox_is_read_as_far_as_it_is_new_wherever_its_mails_stand(tmp_path: Path) -> None:
    path = tmp_path / "mbox"
    mbox(path, "one", "two")
    unread = Unread(open_source(path))
    assert look(unread) == ["one", "two"]
    assert look(unread) == []
    mbox(path, "two", "three", age=50)  # the first was deleted
    assert look(unread) == ["three"]


def test_the_last_mail_of_an_mbox_is_left_while_it_may_still_be_written(tmp_path: Path) -> None:
    path = tmp_path / "mbox"
    mbox(path, "one", "two", age=0)
    unread = Unread(open_source(path))
    assert look(unread) == ["one"]
    mbox(path, "one", "two")
    assert look(unread) == ["two"]


def test_an_mbox_that_did_not_change_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mbox"
    mbox(path, "one")
    unread = Unread(open_source(path))
    assert (look(unread), look(unread)) == (["one"], [])
    monkeypatch.setattr("chittycan.integrations.email.sources._split", None)
    assert look(unread) == []


@pytest.mark.parametrize("kind", ["maildir", "mbox", "eml"])
def test_what_is_gone_is_not_taken_for_empty(tmp_path: Path, maildir: Path, kind: str) -> None:
    place = maildir if kind == "maildir" else tmp_path / f"box.{kind}"
    if kind != "maildir":
        mbox(place, "one")
        place.write_bytes(place.read_bytes() if kind == "mbox" else mail("one"))
    unread = Unread(open_source(place))
    look(unread)
    place.rename(tmp_path / "elsewhere")
    with pytest.raises(Unavailable) as caught:
        look(unread)
    assert caught.value.code == GONE
