"""Loopback addresses of clusters and their nodes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from services.launcher import addresses
from services.launcher.addresses import Addresses


@pytest.fixture(autouse=True)
def _own_register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))


def test_two_clusters_have_ranges_of_their_own_and_keep_them(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    one = addresses.choose(str(first), Addresses())
    two = addresses.choose(str(second), Addresses())
    if not one.network:
        pytest.skip("loopback has only one address here")
    assert one.network != two.network
    assert addresses.choose(str(first), Addresses()) == one
    second.rmdir()
    third = tmp_path / "c"
    third.mkdir()
    assert addresses.choose(str(third), Addresses()).network == two.network


def test_nodes_keep_their_addresses() -> None:
    made = Addresses(20).with_nodes(["node-1", "node-2", "node-3"])
    assert [made.node(f"node-{n}") for n in (1, 2, 3)] == ["127.20.0.11", "127.20.0.12", "127.20.0.13"]
    fewer = made.with_nodes(["node-1", "node-3"])
    again = fewer.with_nodes(["node-1", "node-3", "big"])
    assert (again.node("node-3"), again.node("big")) == ("127.20.0.13", "127.20.0.12")
    assert Addresses.from_json(again.to_json()) == again


def test_where_there_is_one_address_all_share_it() -> None:
    made = Addresses(0).with_nodes(["node-1"])
    assert (made.node("node-1"), made.ingress, made.load_balancers) == (
        "127.0.0.1", "127.0.0.1", "127.0.0.1/32",
    )  # fmt: skip


def test_a_register_cut_short_is_begun_anew(tmp_path: Path) -> None:
    for path in tmp_path.glob("orrery-*"):
        path.unlink()
    home = tmp_path / "home"
    home.mkdir()
    addresses.choose(str(home), Addresses())
    (register,) = tmp_path.glob("orrery-*-networks.json")
    register.write_text('{"20": "/x')
    assert addresses.choose(str(home), Addresses()).network in (0, 20)
