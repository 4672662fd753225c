"""What `orrery up` says when the cluster is up."""

from __future__ import annotations

from pathlib import Path

from services.launcher.addresses import Addresses
from services.launcher.home import Home
from services.launcher.plan import Options, Plan, make_plan, port_names
from services.launcher.up import banner


def plan_of(options: Options, addresses: Addresses) -> Plan:
    ports = dict(port_names(options))
    return make_plan(options, ports, Path("/d"), Path("/r"), "etcd", (), addresses)


def test_how_to_ask_for_names_from_outside() -> None:
    options = Options(nodes=2)
    addresses = Addresses(23).with_nodes(options.node_names())
    said = banner(plan_of(options, addresses), Home(Path("/h")))
    assert "dig @127.23.0.11 -p 30053 kubernetes.default.svc.cluster.local\n" in said


def test_nothing_is_said_where_nodes_have_no_addresses() -> None:
    assert "dig" not in banner(plan_of(Options(nodes=2), Addresses()), Home(Path("/h")))
    hollow = Options(nodes=5, hollow=True)
    assert "dig" not in banner(plan_of(hollow, Addresses(23)), Home(Path("/h")))


def test_it_counts_the_nodes() -> None:
    def first_line(nodes: int) -> str:
        return (
            banner(plan_of(Options(nodes=nodes), Addresses()), Home(Path("/h")))
            .splitlines()[1]
            .split("  ")[0]
        )

    assert first_line(0) == "The cluster is up: it has no nodes."
    assert first_line(1) == "The cluster is up: its node node-1 is Ready."
    assert first_line(2) == "The cluster is up: 2 nodes are Ready (node-1, node-2)."
