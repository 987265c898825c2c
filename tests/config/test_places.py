"""Where files live."""

from pathlib import Path

from chittycan.config import data_folder, database_url, folder


def test_the_named_folder_comes_first() -> None:
    env = {"CHITTY_CONFIG_DIR": "/etc/can", "XDG_CONFIG_HOME": "/x", "HOME": "/home/ann"}
    assert folder(env) == Path("/etc/can")


def test_a_tilde_in_the_named_folder_is_home() -> None:
    assert folder({"CHITTY_CONFIG_DIR": "~/can", "HOME": "/home/ann"}) == Path("/home/ann/can")


def test_then_xdg_then_home() -> None:
    assert folder({"XDG_CONFIG_HOME": "/x", "HOME": "/home/ann"}) == Path("/x/chitty")
    assert folder({"HOME": "/home/ann"}) == Path("/home/ann/.config/chitty")


def test_a_relative_xdg_path_is_ignored_as_its_specification_says() -> None:
    assert folder({"XDG_CONFIG_HOME": "here", "HOME": "/home/ann"}) == Path("/home/ann/.config/chitty")


def test_the_default_database_is_a_file_with_an_absolute_path() -> None:
    assert data_folder({"HOME": "/home/ann"}) == Path("/home/ann/.local/share/chitty")
    assert database_url({"XDG_DATA_HOME": "/d"}) == "sqlite:////d/chitty/chitty.db"


def test_the_database_can_be_named() -> None:
    assert database_url({"CHITTY_DATABASE_URL": "postgresql://db/can"}) == "postgresql://db/can"
