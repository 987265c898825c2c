"""The credential in the file: one for all processes, and only for its owner."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chittycan.auth.admin import FILE, read_or_create
from chittycan.errors import Unavailable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "share" / "chitty"


def test_the_credential_is_made_once_and_then_read(folder: Path) -> None:
    secret = read_or_create(folder)
    assert secret.startswith("sk-chitty-")
    assert read_or_create(folder) == secret
    assert [path.name for path in folder.iterdir()] == [FILE]


def test_only_its_owner_can_read_it(folder: Path) -> None:
    read_or_create(folder)
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_processes_that_start_together_agree(folder: Path) -> None:
    script = (
        "import sys, pathlib; from chittycan.auth.admin import read_or_create; sys.stdin.readline();"
        "print(read_or_create(pathlib.Path(sys.argv[1])))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = {process.communicate("go\n", timeout=60)[0] for process in started}
    assert said == {read_or_create(folder) + "\n"}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_no_secret(folder: Path, mode: int) -> None:
    read_or_create(folder)
    (folder / FILE).chmod(mode)
    with pytest.raises(Unavailable, match="others can read"):
        read_or_create(folder)


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    folder.mkdir(parents=True)
    target = tmp_path / "elsewhere"
    target.write_text("sk-chitty-planted")
    target.chmod(0o600)
    (folder / FILE).symlink_to(target)
    with pytest.raises(Unavailable):
        read_or_create(folder)


def test_an_empty_file_is_no_credential(folder: Path) -> None:
    read_or_create(folder)
    (folder / FILE).write_text("")
    with pytest.raises(Unavailable, match="empty"):
        read_or_create(folder)


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="file"):
        read_or_create(tmp_path / "file" / "chitty")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_somebody_elses_file_is_refused(folder: Path) -> None:
    read_or_create(folder)
    os.chown(folder / FILE, 12345, 12345)
    with pytest.raises(Unavailable, match="not a file of yours"):
        read_or_create(folder)
