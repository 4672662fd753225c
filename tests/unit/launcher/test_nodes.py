"""Node operations in the supervisor: what they make of cluster.json, and what they refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.launcher.home import Home
from services.launcher.nodes import NodeOperations
from services.launcher.plan import Component, NodeSpec, Options, Plan, port_names
from services.launcher.supervisor import Supervisor
from tests.support.clock import ManualClock


class Bench:
    """A supervisor that starts nothing, and what it was asked to run."""

    def __init__(self, path: Path, options: Options) -> None:
        self.home = Home(path)
        self.home.create()
        names = [name for name, _ in port_names(options)]
        ports = {name: 20000 + number for number, name in enumerate(names)}
        self.home.write({"options": options.to_json(), "ports": ports, "components": names})
        components = tuple(Component(name, ("true",)) for name in names)
        self.supervisor = Supervisor(Plan(components, "", "", ()), self.home, ManualClock(), None)
        self._operations = NodeOperations(self.home, self.supervisor, ManualClock())

    def ask(self, verb: str, **request: Any) -> dict[str, Any]:
        return asyncio.run(self._operations.answer({"verb": verb, **request}))

    @property
    def options(self) -> Options:
        return Options.from_json(self.home.read()["options"])


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, Options(nodes=3))
    yield made
    made.home.forget_sockets()


def test_an_added_node_takes_the_next_number_and_is_kept(bench: Bench) -> None:
    assert bench.ask("add", cpu="2", labels="disk=ssd") == {"name": "node-4"}
    assert bench.options.added == (NodeSpec("node-4", cpu="2", labels="disk=ssd"),)
    argv = bench.supervisor.children["node-4"].component.argv
    assert argv[argv.index("--cpu") :][:2] == ("--cpu", "2")
    assert bench.ask("add", name="other")["name"] == "other"
    assert bench.options.node_names() == ["node-1", "node-2", "node-3", "node-4", "other"]


def test_a_removed_node_stays_away_until_it_is_added_again(bench: Bench) -> None:
    assert bench.ask("remove", name="node-2") == {"ok": True}
    assert bench.options.node_names() == ["node-1", "node-3"]
    assert "node-2" not in bench.supervisor.children
    assert bench.ask("add", name="node-2") == {"name": "node-2"}
    assert bench.options.removed == ()


def test_a_stopped_node_is_remembered(bench: Bench) -> None:
    bench.ask("stop", name="node-1")
    assert bench.options.stopped == ("node-1",)
    assert bench.supervisor.children["node-1"].state == "stopped"
    assert bench.ask("list")["nodes"][0]["state"] == "stopped"
    bench.ask("start", name="node-1")
    assert not bench.options.stopped
    assert bench.supervisor.children["node-1"].wanted


@pytest.mark.parametrize(
    ("verb", "request_", "text"),
    [
        ("stop", {"name": "node-9"}, 'node "node-9" not found'),
        ("add", {"name": "node-1"}, 'node "node-1" already exists'),
        ("add", {"name": "a b"}, '"a b" is no name for a node'),
        ("add", {"name": "x" * 64}, "is no name for a node"),
        ("add", {"name": "scheduler"}, '"scheduler" is the name of another component'),
        ("add", {"cpu": "-1"}, "--cpu: '-1' is no quantity above zero"),
        ("add", {"memory": "lots"}, "--memory: 'lots' is no quantity above zero"),
        ("add", {"labels": "novalue"}, "--labels: 'novalue' is not KEY=VALUE"),
    ],
)
def test_what_makes_no_sense_is_refused(bench: Bench, verb: str, request_: dict[str, str], text: str) -> None:
    assert text in bench.ask(verb, **request_)["error"]
    assert bench.options == Options(nodes=3)


def test_hollow_nodes_cannot_be_switched_one_by_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Options(nodes=5, hollow=True))
    assert 'node "node-2" is hollow' in bench.ask("stop", name="node-2")["error"]
    assert bench.ask("add") == {"name": "node-6"}
    assert bench.ask("list")["nodes"][0]["hollow"]
    bench.home.forget_sockets()
