"""The user's own kubeconfig: entries come and go, and nothing of others is touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from services.launcher import kubeconfig
from services.launcher.home import Home
from services.process.clock import SystemClock
from services.process.keys import make_missing

THEIRS = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "work",
    "clusters": [{"name": "work", "cluster": {"server": "https://work"}}],
    "contexts": [{"name": "work", "context": {"cluster": "work", "user": "me", "namespace": "mine"}}],
    "users": [{"name": "me", "user": {"token": "secret"}}],
    "preferences": {"colors": True},
}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "cluster")
    made.create()
    make_missing(made.keys, SystemClock().now())
    kubeconfig.write(made.kubeconfig, made.keys, 6443)
    yield made
    made.forget_sockets()


def read(path: Path) -> dict[str, object]:
    config: dict[str, object] = yaml.safe_load(path.read_text())
    return config


def test_beside_what_is_there_and_out_again(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(THEIRS))
    name = kubeconfig.merge(home, path)
    kubeconfig.merge(home, path)  # twice is once
    merged = read(path)
    assert merged["current-context"] == name
    for part in kubeconfig.PARTS:
        assert [each["name"] for each in merged[part]][1:] == [name]  # type: ignore[attr-defined]
        assert merged[part][0] == THEIRS[part][0]  # type: ignore[index]
    assert merged["preferences"] == {"colors": True}
    assert path.stat().st_mode & 0o777 == 0o600
    assert kubeconfig.unmerge(home, path)
    assert read(path) == {**THEIRS, "current-context": ""}
    assert not kubeconfig.unmerge(home, path)


def test_the_first_of_a_user(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "new" / "config"
    name = kubeconfig.merge(home, path)
    assert read(path)["contexts"] == [{"name": name, "context": {"cluster": name, "user": name}}]


def test_a_link_stays_one(home: Home, tmp_path: Path) -> None:
    target, link = tmp_path / "real", tmp_path / "link"
    target.write_text(yaml.safe_dump(THEIRS))
    link.symlink_to(target)
    kubeconfig.merge(home, link)
    assert link.is_symlink()
    assert len(read(target)["users"]) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "clusters: {}", "users: [x]", "just words"])
def test_what_is_no_kubeconfig_stays_as_it_is(home: Home, tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(kubeconfig.Unreadable):
        kubeconfig.merge(home, path)
    assert not kubeconfig.unmerge(home, path)
    assert path.read_text() == text


def test_clusters_side_by_side_have_names_of_their_own(tmp_path: Path) -> None:
    names = {kubeconfig.entry_name(Home(tmp_path / part / "c")) for part in ("a", "b")}
    assert len(names) == 2
    assert kubeconfig.entry_name(Home(Path.home() / ".orrery")) == "orrery"


def test_where_a_user_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kubeconfig.users_file({}) == Path.home() / ".kube" / "config"
    assert kubeconfig.users_file({"KUBECONFIG": ":/a:/b"}) == Path("/a")
