"""Which processes a cluster gets, and with which flags."""

from __future__ import annotations

from pathlib import Path

from services.launcher.addresses import Addresses
from services.launcher.plan import Options, Plan, make_plan, port_names


def plan(**options: object) -> Plan:
    wanted = Options(**options)  # type: ignore[arg-type]
    ports = {name: 1000 + number for number, (name, _) in enumerate(port_names(wanted))}
    addresses = Addresses(20).with_nodes([] if wanted.hollow else wanted.node_names())
    return make_plan(wanted, ports, Path("/home/data"), Path("/home/run"), "/bin/etcd", (), addresses)


def names(of: Plan) -> list[str]:
    return [component.name for component in of.components]


def test_three_nodes_by_default_each_a_process() -> None:
    expected = [
        "etcd",
        "apiserver",
        "registry",
        "scheduler",
        "controller-manager",
        "cloud-controller-manager",
        "node-1",
        "node-2",
        "node-3",
    ]
    assert names(plan()) == expected


def test_hollow_nodes_share_a_process() -> None:
    hollow = plan(nodes=500, hollow=True)
    assert names(hollow)[-1] == "nodes"
    assert hollow.component("nodes").argv[-10:-2] == (  # type: ignore[union-attr]
        *("--registry", "127.0.0.1:1002", "--nodes", "500", "--name-prefix", "node-"),
        *("--root-dir", "/home/run/nodes"),
    )
    assert len(hollow.node_names) == 500


def test_standbys_have_names_and_ports_of_their_own() -> None:
    double = plan(schedulers=2, controller_managers=2)
    assert {"scheduler", "scheduler-2", "controller-manager", "controller-manager-2"} <= set(names(double))
    addresses = [component.address for component in double.components]
    assert len(set(addresses)) == len(addresses)


def test_everything_listens_on_loopback_only() -> None:
    for component in plan().components:
        assert component.address.startswith("127.")
        assert not any("0.0.0.0" in word for word in component.argv)


def test_each_node_has_an_address_of_its_own() -> None:
    made = plan()
    nodes = [component for component in made.components if component.name.startswith("node-")]
    bound = [component.argv[component.argv.index("--bind-address") + 1] for component in nodes]
    assert bound == ["127.20.0.11", "127.20.0.12", "127.20.0.13"]
    assert [component.address.partition(":")[0] for component in nodes] == bound


def test_the_registry_keeps_what_is_pushed_and_takes_it_over_http() -> None:
    argv = plan().component("registry").argv  # type: ignore[union-attr]
    assert argv[argv.index("--data-dir") + 1] == "/home/data/registry"
    assert argv[argv.index("--http-port") + 1] != argv[argv.index("--port") + 1]


def test_options_survive_the_record() -> None:
    options = Options(nodes=7, hollow=True, schedulers=2)
    assert Options.from_json(options.to_json()) == options


def test_who_did_what_is_written_down_where_that_is_asked_for() -> None:
    def flags(**options: object) -> str:
        found = plan(**options).component("apiserver")
        assert found is not None
        return " ".join(found.argv)

    assert "audit" not in flags()
    assert "--audit-log-path /home/logs/audit.jsonl --audit-level Metadata" in flags(audit_level="Metadata")
    assert "--audit-policy-file /p.yaml" in flags(audit_level="Metadata", audit_policy="/p.yaml")
