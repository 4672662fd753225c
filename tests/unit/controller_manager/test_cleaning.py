"""Garbage, namespaces, forgotten Pods, and what every namespace comes with."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.api.apps_v1 import Deployment, ReplicaSet
from services.api.core_v1 import ConfigMap, Namespace, NamespaceSpec, NamespaceStatus, Pod, ServiceAccount
from services.api.meta_v1 import ObjectMeta, OwnerReference
from services.controller_manager.manager import NAMES, Settings, chosen
from services.controller_manager.namespace.report import Remains, conditions_of
from services.controller_manager.pod_gc import surplus_terminated
from services.machinery.owners import new_controller_ref
from tests.unit.controller_manager.conftest import Cluster
from tests.unit.controller_manager.objects import deployment, node, pod, replicaset

GC = "garbage-collector-controller"


def family(cluster: Cluster) -> None:
    top = deployment()
    rs = replicaset("rs", 1)
    cluster.api.put(top)
    cluster.api.put(replace(rs, metadata=replace(rs.metadata, owner_references=[new_controller_ref(top)])))
    cluster.api.put(pod("a", node="", owner=rs))


async def test_background(cluster: Cluster) -> None:
    family(cluster)
    async with cluster.running(GC):
        await cluster.client.delete(Deployment, "w", "default", propagation="Background")
        await cluster.quiet()
        assert cluster.api.all(ReplicaSet) == []
        assert cluster.api.all(Pod) == []


async def test_foreground(cluster: Cluster) -> None:
    family(cluster)
    cluster.api.put(replace(pod("a", owner=replicaset("rs", 1)), status=pod("a").status))
    async with cluster.running(GC):
        await cluster.client.delete(Deployment, "w", "default", propagation="Foreground")
        await cluster.quiet()
        assert [each.metadata.finalizers for each in cluster.api.all(ReplicaSet)] == [["foregroundDeletion"]]
        assert cluster.api.one(Pod, "a", "default").metadata.deletion_timestamp
        cluster.api.remove(Pod, "a", "default")
        await cluster.quiet()
        assert cluster.api.all(Deployment) == []
        assert cluster.api.all(ReplicaSet) == []


async def test_orphan(cluster: Cluster) -> None:
    family(cluster)
    async with cluster.running(GC):
        await cluster.client.delete(Deployment, "w", "default", propagation="Orphan")
        await cluster.quiet()
        assert cluster.api.all(Deployment) == []
        assert [each.metadata.owner_references for each in cluster.api.all(ReplicaSet)] == [[]]
        assert len(cluster.api.all(Pod)) == 1


async def test_what_was_orphaned_while_nobody_looked(cluster: Cluster) -> None:
    family(cluster)
    cluster.api.remove(Deployment, "w", "default")
    foreign = OwnerReference(api_version="example.com/v1", kind="Unknown", name="x", uid="x")
    cluster.api.put(ConfigMap(metadata=ObjectMeta(name="c", namespace="default", owner_references=[foreign])))
    async with cluster.running(GC):
        pass
    assert cluster.api.all(ReplicaSet) == []
    assert cluster.api.all(Pod) == []
    assert len(cluster.api.all(ConfigMap)) == 1  # nobody can say that its owner is gone


def namespace(name: str, *, deleted: bool = False) -> Namespace:
    return Namespace(
        # The fake server knows nothing of spec.finalizers: another one holds the namespace.
        metadata=ObjectMeta(
            name=name,
            finalizers=["test/hold"],
            deletion_timestamp="2026-01-01T00:00:00Z" if deleted else None,
        ),
        spec=NamespaceSpec(finalizers=["kubernetes"]),
        status=NamespaceStatus(phase="Terminating" if deleted else "Active"),
    )


async def test_a_namespace_goes_with_its_pods_first(cluster: Cluster) -> None:
    cluster.api.put(namespace("default", deleted=True))
    cluster.api.put(pod("a"))
    metadata = ObjectMeta(name="held", namespace="default", finalizers=["example.com/hold"])
    cluster.api.put(ConfigMap(metadata=metadata))
    async with cluster.running("namespace-controller"):
        await cluster.clock.advance(6)
        await cluster.quiet()
        told = {each.type: each.message for each in cluster.api.one(Namespace, "default").status.conditions}
        assert told["NamespaceDeletionContentFailure"] == (
            "Failed to delete all resource types, 1 remaining: unexpected items still remain in namespace: "
            "default for gvr: /v1, Resource=pods"
        )
        cluster.api.remove(Pod, "a", "default")
        await cluster.clock.advance(10)
        await cluster.quiet()
        told = {each.type: each.message for each in cluster.api.one(Namespace, "default").status.conditions}
        assert told["NamespaceContentRemaining"] == (
            "Some resources are remaining: configmaps. has 1 resource instances"
        )
        await cluster.client.patch(ConfigMap, "held", "default", {"metadata": {"finalizers": None}})
        await cluster.clock.advance(20)
        await cluster.quiet()
        assert ("update", "finalize") in [(verb, at.subresource) for verb, at in cluster.api.requests]


def test_the_conditions_of_an_empty_namespace() -> None:
    found = conditions_of([], Remains(), "2026-01-01T00:00:00Z")
    assert {each.status for each in found} == {"False"}
    assert conditions_of(found, Remains(), "2027-01-01T00:00:00Z") == found


async def test_every_namespace_gets_its_default_account_and_certificate(cluster: Cluster) -> None:
    names = ("serviceaccount-controller", "root-ca-certificate-publisher-controller")
    cluster.api.put(namespace("default"))
    cluster.api.put(namespace("ending", deleted=True))
    async with cluster.running(*names, settings=Settings(root_ca="PEM")):
        assert [each.key.namespace for each in cluster.api.all(ServiceAccount)] == ["default"]
        cluster.api.remove(ServiceAccount, "default", "default")
        cluster.api.remove(ConfigMap, "kube-root-ca.crt", "default")
    assert [each.key.namespace for each in cluster.api.all(ServiceAccount)] == ["default"]
    assert cluster.api.one(ConfigMap, "kube-root-ca.crt", "default").data == {"ca.crt": "PEM"}


async def test_pods_of_a_node_that_is_gone(cluster: Cluster) -> None:
    cluster.api.put(node("n1"))
    cluster.api.put(pod("here", node="n1"))
    cluster.api.put(pod("lost", node="gone"))
    async with cluster.running("pod-garbage-collector-controller"):
        await cluster.clock.advance(30)
        assert len(cluster.api.all(Pod)) == 2
        await cluster.clock.advance(40)
        await cluster.quiet()
        assert [each.key.name for each in cluster.api.all(Pod)] == ["here"]


def test_the_oldest_finished_pods_go() -> None:
    finished = [pod(name, phase="Succeeded", age=age) for name, age in (("a", 1), ("b", 3), ("c", 2))]
    assert [each.key.name for each in surplus_terminated([*finished, pod("d")], 1)] == ["b", "c"]
    assert surplus_terminated(finished, 0) == []


def test_controllers_are_chosen_by_name() -> None:
    assert chosen(["*"]) == list(NAMES)
    assert GC not in chosen(["*", f"-{GC}"])
    assert chosen([GC]) == [GC]
    with pytest.raises(ValueError, match="no controller 'x'"):
        chosen(["x"])
