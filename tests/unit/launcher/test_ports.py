"""Ports of clusters that start at the same time."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from services.launcher.home import Home
from services.launcher.ports import RESERVED_SECONDS, choose, free_port
from tests.support.clock import ManualClock
from tests.support.ports import free_port as any_port


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def spare() -> int:
    return any_port()


def test_a_taken_port_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        busy = listener.getsockname()[1]
        taken: set[int] = set()
        chosen = free_port(busy, taken)
        assert chosen != busy
        assert taken == {chosen}


async def test_a_second_cluster_gets_other_ports_before_the_first_one_listens() -> None:
    clock, wanted = ManualClock(), [("apiserver", spare()), ("etcd", spare())]
    first, second = choose("a", wanted, {}, clock), choose("b", wanted, {}, clock)
    assert first == dict(wanted)
    assert not set(first.values()) & set(second.values())
    assert choose("a", wanted, {}, clock) == first
    await clock.advance(RESERVED_SECONDS)
    assert choose("c", wanted, {}, clock) == first


async def test_the_ports_of_a_cluster_that_runs_stay_its_own(tmp_path: Path) -> None:
    """Even while a process of it is down, and nobody listens there."""
    clock, wanted, home = ManualClock(), [("apiserver", spare())], Home(tmp_path / "first")
    home.create()
    home.control_socket.touch()
    assert choose(str(home.path), wanted, {}, clock) == dict(wanted)
    await clock.advance(RESERVED_SECONDS)
    assert choose("b", wanted, {}, clock) != dict(wanted)
    home.control_socket.unlink()
    await clock.advance(RESERVED_SECONDS)
    assert choose("c", wanted, {}, clock) == dict(wanted)


def test_a_cluster_that_starts_again_asks_for_its_former_ports() -> None:
    former = {"apiserver": spare()}
    assert choose("a", [("apiserver", spare())], former, ManualClock()) == former


def test_a_record_that_was_cut_short_counts_as_none(tmp_path: Path) -> None:
    wanted = [("apiserver", spare())]
    choose("a", wanted, {}, ManualClock())
    (record,) = tmp_path.glob("*-ports.json")
    record.write_text(record.read_text()[:5])
    assert choose("b", wanted, {}, ManualClock()) == dict(wanted)
