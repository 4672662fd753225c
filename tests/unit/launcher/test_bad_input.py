"""`orrery` where it cannot do what it is told: one sentence, and never a traceback."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from services.launcher import home as place
from services.launcher.__main__ import main
from services.launcher.home import Home, Taken


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORRERY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "home"


@pytest.mark.parametrize(
    "words", [["up", "-d"], ["status"], ["down", "--delete"], ["logs"], ["kubeconfig"], ["etcd", "ls"]]
)
def test_a_home_that_is_a_file(home: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    home.write_text("")
    code = main(words)
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert len((said.out + said.err).splitlines()) <= 2
    if words[0] == "up":
        assert code == 1
        assert str(home) in said.err


def test_an_audit_policy_that_is_not_there(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "-d", "--audit-policy", str(home / "none.yaml")]) == 1
    assert capsys.readouterr().err == f"orrery: {home}/none.yaml: No such file or directory\n"
    assert not home.exists()


def test_two_starts_of_one_home(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "LEAVING_SECONDS", 0.0)
    first = Home(home)
    first.create()
    with first.alone():
        assert main(["up", "-d"]) == 1
        with pytest.raises(Taken), Home(home).alone():
            raise AssertionError("two have it")
    said = capsys.readouterr().err
    assert said == f"orrery: the cluster under {home} is running already; see `orrery status`\n"
    with first.alone():
        pass  # it is free again


def test_a_start_waits_for_the_end_before_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a supervisor that has ended its cluster and whose process is not gone yet."""
    monkeypatch.setattr(place, "LEAVING_SECONDS", 300.0)
    home.mkdir()
    program = (
        "import fcntl, sys\nfile = open(sys.argv[1], 'w')\nfcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('mine', flush=True)\nsys.stdin.readline()"
    )
    leaving = subprocess.Popen(
        [sys.executable, "-c", program, str(home / "cluster.lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert leaving.stdout is not None
    assert leaving.stdin is not None
    with leaving, leaving.stdout, leaving.stdin:
        assert leaving.stdout.readline() == "mine\n"
        timer = threading.Timer(0.3, leaving.stdin.close)
        timer.start()
        with Home(home).alone():
            assert leaving.wait(60) == 0
        timer.join()
