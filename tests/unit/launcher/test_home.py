"""Where a cluster keeps what is its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from services.launcher.home import SOCKET_PATH_BYTES_MAX, Home


def test_the_environment_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ORRERY_HOME", str(tmp_path))
    assert Home.from_environment().path == tmp_path


def test_by_default_it_is_in_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ORRERY_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Home.from_environment().path == tmp_path / ".orrery"


def test_sockets_move_out_of_a_path_that_is_too_long(tmp_path: Path) -> None:
    home = Home(tmp_path / ("deep" * 40))
    assert len(str(home.run)) < SOCKET_PATH_BYTES_MAX
    assert home.run == Home(home.path).run
    assert home.run != Home(home.path / "other").run


def test_sockets_move_out_of_a_temporary_folder_that_is_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("deep" * 20)))
    home = Home(tmp_path / ("deep" * 40))
    assert len(str(home.run)) < SOCKET_PATH_BYTES_MAX


def test_nothing_stays_outside_of_the_home_when_the_cluster_has_ended(tmp_path: Path) -> None:
    home = Home(tmp_path / ("deep" * 40))
    home.create()
    (home.run / "node-1").mkdir()
    home.forget_sockets()
    assert not home.run.exists()
    assert home.logs.exists()


def test_what_lies_in_the_home_stays(tmp_path: Path) -> None:
    short = Home(Path("/h"))
    assert short.run == short.path / "run"
    short.forget_sockets()


def test_a_record_is_replaced_as_a_whole_and_half_of_one_counts_as_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.read() == {}
    home.write({"apiserver": "127.0.0.1:1"})
    assert home.read() == {"apiserver": "127.0.0.1:1"}
    home.cluster_file.write_text('{"apiserver": "127')
    assert home.read() == {}
