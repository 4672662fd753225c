"""The words that a user reads when no node fits: upstream's, to the letter."""

from __future__ import annotations

from services.api.core_v1 import (
    Affinity,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodSpec,
    Taint,
    Toleration,
    TopologySpreadConstraint,
)
from services.api.meta_v1 import LabelSelector

from .cluster import Cluster
from .objects import make_node, make_pod

_SUFFIX = "no new claims to deallocate, preemption: 0/{0} nodes are available: {0} "
NOT_HELPFUL = _SUFFIX + "Preemption is not helpful for scheduling."
NO_VICTIMS = _SUFFIX + "No preemption victims found for incoming pod."


def test_more_cpu_than_any_node_has() -> None:
    cluster = Cluster(*(make_node(f"n{i}", cpu="2") for i in range(3)))
    expected = "0/3 nodes are available: 3 Insufficient cpu. " + NOT_HELPFUL.format(3)
    assert cluster.refusal(make_pod(requests={"cpu": "3"})) == expected


def test_full_nodes_without_victims() -> None:
    cluster = Cluster(*(make_node(f"n{i}", cpu="2") for i in range(3)))
    cluster.run(*(make_pod(f"old{i}", node=f"n{i}", requests={"cpu": "2"}) for i in range(3)))
    expected = "0/3 nodes are available: 3 Insufficient cpu. " + NO_VICTIMS.format(3)
    assert cluster.refusal(make_pod(requests={"cpu": "1"})) == expected


def test_victims_exist_so_there_is_no_suffix() -> None:
    """As recorded in golden/controllers/preemption.json."""
    taint = Taint(key="golden/manual", effect="NoSchedule")
    cluster = Cluster(
        make_node("tiny", cpu="1", labels={"pool": "tiny"}),
        make_node("man-0", labels={"pool": "manual"}, taints=[taint]),
        *(make_node(f"kw-{i}", labels={"pool": "kwok"}) for i in range(3)),
    )
    low = [make_pod(f"low-{i}", node="tiny", requests={"cpu": "500m"}) for i in range(2)]
    cluster.run(*low)
    high = make_pod("high", requests={"cpu": "400m"}, priority=1000)
    spec = PodSpec(containers=high.spec.containers, node_selector={"pool": "tiny"}, priority=1000)
    assert cluster.refusal(make_pod("high", spec=spec)) == (
        "0/5 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), "
        "3 node(s) didn't match Pod's node affinity/selector."
    )


def test_taint_and_selector() -> None:
    """As recorded eleven times in golden/controllers."""
    taint = Taint(key="golden/manual", effect="NoSchedule")
    cluster = Cluster(
        make_node("man-0", taints=[taint]), *(make_node(f"kw-{i}", labels={"pool": "kwok"}) for i in range(3))
    )
    spec = PodSpec(node_selector={"pool": "manual"})
    assert cluster.refusal(make_pod(spec=spec)) == (
        "0/4 nodes are available: 1 node(s) had untolerated taint(s), 3 node(s) didn't match Pod's node "
        "affinity/selector. no new claims to deallocate, preemption: 0/4 nodes are available: "
        "4 Preemption is not helpful for scheduling."
    )


def test_no_nodes_at_all() -> None:
    assert Cluster().refusal(make_pod()) == "no nodes available to schedule pods"


def test_cordoned() -> None:
    cluster = Cluster(make_node("n", unschedulable=True))
    assert cluster.refusal(make_pod()).startswith("0/1 nodes are available: 1 node(s) were unschedulable. ")
    tolerant = Toleration(key="node.kubernetes.io/unschedulable", operator="Exists")
    assert cluster.place(make_pod(tolerations=[tolerant])) == "n"


def test_too_many_pods_and_several_reasons_on_one_node() -> None:
    cluster = Cluster(make_node("n", cpu="1", memory="1Gi", pods="1"))
    cluster.run(make_pod("old", node="n", requests={"cpu": "1"}))
    message = cluster.refusal(make_pod(requests={"cpu": "1", "memory": "2Gi", "example.com/gpu": "1"}))
    assert message.startswith(
        "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient example.com/gpu, 1 Insufficient memory, "
        "1 Too many pods. "
    )


def test_host_ports() -> None:
    cluster = Cluster(make_node("n"))
    cluster.run(make_pod("old", node="n", host_port=80))
    message = cluster.refusal(make_pod(host_port=80))
    assert message == (
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. "
        + NO_VICTIMS.format(1)
    )
    assert cluster.place(make_pod(host_port=81)) == "n"


def test_node_named_by_field_selector_is_not_there() -> None:
    spec = PodSpec(affinity=_pinned_to("gone"))
    message = Cluster(make_node("a"), make_node("b")).refusal(make_pod(spec=spec))
    assert message.startswith("0/2 nodes are available: 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. ")


def test_node_named_by_field_selector_refuses() -> None:
    spec = PodSpec(affinity=_pinned_to("b"))
    message = Cluster(make_node("a"), make_node("b", unschedulable=True)).refusal(make_pod(spec=spec))
    assert message.startswith(
        "0/2 nodes are available: 1 node(s) didn't satisfy plugin(s) [NodeAffinity], "
        "1 node(s) were unschedulable. "
    )


def test_never_preempting() -> None:
    cluster = Cluster(make_node("n", cpu="1"))
    pod = make_pod(requests={"cpu": "2"})
    spec = PodSpec(containers=pod.spec.containers, preemption_policy="Never")
    assert cluster.refusal(make_pod(spec=spec)) == (
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: not eligible "
        "due to preemptionPolicy=Never."
    )


def test_topology_spread() -> None:
    cluster = Cluster(make_node("a", labels={"zone": "1"}), make_node("b"))
    cluster.run(make_pod("old", node="a", labels={"app": "x"}))
    constraint = TopologySpreadConstraint(
        max_skew=1,
        topology_key="zone",
        when_unsatisfiable="DoNotSchedule",
        label_selector=LabelSelector(match_labels={"app": "x"}),
        min_domains=2,
    )
    pod = make_pod(labels={"app": "x"}, spec=PodSpec(topology_spread_constraints=[constraint]))
    assert cluster.refusal(pod).startswith(
        "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, "
        "1 node(s) didn't match pod topology spread constraints (missing required label). "
    )


def _pinned_to(name: str) -> Affinity:
    field = NodeSelectorRequirement(key="metadata.name", operator="In", values=[name])
    required = NodeSelector(node_selector_terms=[NodeSelectorTerm(match_fields=[field])])
    return Affinity(node_affinity=NodeAffinity(required_during_scheduling_ignored_during_execution=required))
