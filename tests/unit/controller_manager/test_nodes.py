"""Nodes that fall silent, the Pods on them, and the addresses they hold."""

from __future__ import annotations

from msgspec.structs import replace

from services.api.coordination_v1 import Lease, LeaseSpec
from services.api.core_v1 import Node, Pod, Taint, Toleration
from services.api.meta_v1 import ObjectMeta
from services.controller_manager.node_ipam import CidrSet
from services.controller_manager.node_lifecycle.health import NOT_READY, UNREACHABLE
from services.controller_manager.taint_eviction import tolerated_seconds
from services.controller_manager.ttl import ttl_seconds
from services.machinery import conditions
from services.machinery.clock import rfc3339_micro
from tests.unit.controller_manager.conftest import Cluster
from tests.unit.controller_manager.objects import node, pod

LIFECYCLE = ("node-lifecycle-controller", "taint-eviction-controller")


def renew(cluster: Cluster, *names: str) -> None:
    for name in names:
        spec = LeaseSpec(renew_time=rfc3339_micro(cluster.clock.now()))
        cluster.api.put(Lease(metadata=ObjectMeta(name=name, namespace="kube-node-lease"), spec=spec))


async def pass_time(cluster: Cluster, seconds: int, *alive: str) -> None:
    for _ in range(seconds // 10):
        await cluster.clock.advance(10)
        renew(cluster, *alive)
        await cluster.quiet()


def readiness(cluster: Cluster, name: str) -> tuple[str, str | None]:
    ready = conditions.get(cluster.api.one(Node, name).status.conditions, "Ready")
    return (ready.status, ready.reason) if ready else ("", None)


def taints(cluster: Cluster, name: str) -> list[tuple[str, str]]:
    return [(taint.key, taint.effect) for taint in cluster.api.one(Node, name).spec.taints]


def on(name: str, node_name: str, *tolerations: Toleration) -> Pod:
    made = pod(name, node=node_name)
    return replace(made, spec=replace(made.spec, tolerations=list(tolerations)))


def for_seconds(seconds: int | None) -> Toleration:
    return Toleration(key=UNREACHABLE, operator="Exists", effect="NoExecute", toleration_seconds=seconds)


async def test_a_silent_node_is_marked_tainted_and_emptied(cluster: Cluster) -> None:
    for name in ("n1", "n2", "n3"):
        cluster.api.put(node(name))
    cluster.api.put(on("patient", "n1", for_seconds(300)))
    cluster.api.put(on("forever", "n1", for_seconds(None)))
    cluster.api.put(on("elsewhere", "n2"))
    async with cluster.running(*LIFECYCLE):
        renew(cluster, "n1", "n2", "n3")
        await pass_time(cluster, 30, "n2", "n3")
        assert readiness(cluster, "n1") == ("True", "KubeletReady")
        await pass_time(cluster, 30, "n2", "n3")
        assert readiness(cluster, "n1") == ("Unknown", "NodeStatusUnknown")
        assert readiness(cluster, "n2") == ("True", "KubeletReady")
        assert taints(cluster, "n1") == [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]
        assert not conditions.is_true(cluster.api.one(Pod, "patient", "default").status.conditions, "Ready")
        assert ("NodeNotReady", "Node is not ready") in cluster.events()
        assert ("NodeNotReady", "Node n1 status is now: NodeNotReady") in cluster.events()
        await pass_time(cluster, 310, "n2", "n3")
        gone = {each.key.name for each in cluster.api.all(Pod) if each.metadata.deletion_timestamp}
        assert gone == {"patient"}
        assert cluster.events("TaintManagerEviction") == [
            ("TaintManagerEviction", "Marking for deletion Pod default/patient")
        ]


async def test_a_node_that_comes_back_keeps_its_pods(cluster: Cluster) -> None:
    for name in ("n1", "n2"):
        cluster.api.put(node(name))
    cluster.api.put(on("patient", "n1", for_seconds(300)))
    async with cluster.running(*LIFECYCLE):
        renew(cluster, "n1", "n2")
        await pass_time(cluster, 60, "n2")
        assert (UNREACHABLE, "NoExecute") in taints(cluster, "n1")
        back = cluster.api.one(Node, "n1")
        cluster.api.put(replace(back, status=node("n1", heartbeat=-100).status))
        await pass_time(cluster, 400, "n1", "n2")
        assert taints(cluster, "n1") == []
        cluster.api.remove(Node, "n2")
        await cluster.quiet()
        assert ("RemovingNode", "Node n2 event: Removing Node n2 from Controller") in cluster.events()
        assert cluster.events("TaintManagerEviction") == [
            ("TaintManagerEviction", "Cancelling deletion of Pod default/patient")
        ]


async def test_when_all_are_lost_nobody_is_evicted(cluster: Cluster) -> None:
    for name in ("n1", "n2"):
        cluster.api.put(node(name))
    cluster.api.put(on("a", "n1"))
    async with cluster.running(*LIFECYCLE):
        renew(cluster, "n1", "n2")
        await pass_time(cluster, 60)
        assert readiness(cluster, "n2")[0] == "Unknown"
        assert {effect for _, effect in taints(cluster, "n1") + taints(cluster, "n2")} == {"NoSchedule"}
        assert not cluster.api.one(Pod, "a", "default").metadata.deletion_timestamp


async def test_conditions_and_labels_follow(cluster: Cluster) -> None:
    fresh = node("n1", ready="False", unschedulable=True)
    labels = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    cluster.api.put(replace(fresh, metadata=replace(fresh.metadata, labels=labels)))
    cluster.api.put(node("n2"))
    async with cluster.running("node-lifecycle-controller", "ttl-controller", "node-ipam-controller"):
        await cluster.clock.advance(6)
        await cluster.quiet()
        assert [key for key, _ in taints(cluster, "n1")] == [
            NOT_READY, "node.kubernetes.io/unschedulable", NOT_READY,
        ]  # fmt: skip
        found = cluster.api.one(Node, "n1")
        assert found.metadata.labels["beta.kubernetes.io/arch"] == "amd64"
        assert found.metadata.annotations["node.alpha.kubernetes.io/ttl"] == "0"
        ranges = {each.spec.pod_cidr for each in cluster.api.all(Node)}
        assert ranges == {"10.244.0.0/24", "10.244.1.0/24"}


async def test_a_new_manager_gives_everybody_a_fresh_grace_period(cluster: Cluster) -> None:
    for name in ("n1", "n2"):
        cluster.api.put(node(name))
    renew(cluster, "n1", "n2")
    await cluster.clock.advance(1000)
    async with cluster.running(*LIFECYCLE):
        await pass_time(cluster, 30)
        assert readiness(cluster, "n1") == ("True", "KubeletReady")


def test_the_shortest_toleration_counts() -> None:
    taint = [Taint(key=key, effect="NoExecute") for key in (UNREACHABLE, "dead")]
    every = Toleration(operator="Exists")
    assert tolerated_seconds(taint, []) == 0
    assert tolerated_seconds(taint, [for_seconds(5)]) == 0
    assert tolerated_seconds(taint, [for_seconds(5), every]) == 5
    assert tolerated_seconds(taint, [every]) is None
    assert tolerated_seconds(taint, [for_seconds(-5), every]) == 0


def test_ranges_are_stable_and_the_lowest_free_one_is_next() -> None:
    ranges = CidrSet("10.0.0.0/22")
    assert [ranges.allocate(name) for name in "abcd"] == [f"10.0.{i}.0/24" for i in range(4)]
    assert ranges.allocate("e") is None
    ranges.release("b")
    assert ranges.allocate("e") == "10.0.1.0/24"
    assert ranges.allocate("a") == "10.0.0.0/24"


def test_a_larger_cluster_keeps_longer() -> None:
    assert [ttl_seconds(n) for n in (1, 100, 101, 1000, 5000)] == [0, 0, 15, 30, 300]
