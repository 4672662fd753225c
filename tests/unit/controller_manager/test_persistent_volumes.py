"""Claims and volumes: who gets whom, what is said of those who wait, and what becomes of what is left."""

from __future__ import annotations

from typing import Any

from services.api.core_v1 import PersistentVolume, PersistentVolumeClaim, Pod
from services.api.kinds import resource_of
from services.api.storage_v1 import StorageClass
from services.machinery.volume_matching import BOUND_BY_CONTROLLER, PROVISIONER, SELECTED_NODE
from tests.unit.controller_manager.conftest import Cluster

BINDER = "persistentvolume-binder-controller"
PROTECTION = ("persistentvolumeclaim-protection-controller", "persistentvolume-protection-controller")
PROVISIONING = (BINDER, "hostpath-provisioner")


def put_claim(cluster: Cluster, name: str = "c", size: str = "1Gi", **spec: Any) -> None:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    metadata = {"name": name, "namespace": "default", "finalizers": ["kubernetes.io/pvc-protection"]}
    data = {"metadata": metadata, "spec": {**wanted, **spec}, "status": {"phase": "Pending"}}
    cluster.api.put_data(resource_of(PersistentVolumeClaim), data)


def put_volume(cluster: Cluster, name: str, size: str = "1Gi", **spec: Any) -> None:
    given = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "hostPath": {"path": "/x"}}
    more = {"persistentVolumeReclaimPolicy": "Retain"}
    data = {"metadata": {"name": name}, "spec": {**given, **more, **spec}, "status": {"phase": "Pending"}}
    cluster.api.put_data(resource_of(PersistentVolume), data)


def put_class(cluster: Cluster, name: str, mode: str = "Immediate", provisioner: str = "somebody") -> None:
    data = {"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode}
    cluster.api.put_data(resource_of(StorageClass), {**data, "reclaimPolicy": "Delete"})


def claim(cluster: Cluster, name: str = "c") -> PersistentVolumeClaim:
    return cluster.api.one(PersistentVolumeClaim, name, "default")


def volume(cluster: Cluster, name: str) -> PersistentVolume:
    return cluster.api.one(PersistentVolume, name)


async def test_the_smallest_volume_that_is_large_enough(cluster: Cluster) -> None:
    for name, size in (("tiny", "500Mi"), ("large", "5Gi"), ("right", "2Gi")):
        put_volume(cluster, name, size)
    async with cluster.running(BINDER):
        assert cluster.each(PersistentVolume, lambda v: v.status.phase) == ["Available"] * 3
        put_claim(cluster)
        await cluster.quiet()
        found = claim(cluster)
        assert (found.spec.volume_name, found.status.phase) == ("right", "Bound")
        assert found.status.capacity == {"storage": "2Gi"}
        bound = volume(cluster, "right")
        assert bound.status.phase == "Bound"
        assert bound.spec.claim_ref is not None
        assert bound.spec.claim_ref.uid == found.metadata.uid
        assert bound.metadata.annotations[BOUND_BY_CONTROLLER] == "yes"


async def test_two_claims_never_share_a_volume(cluster: Cluster) -> None:
    put_volume(cluster, "only")
    put_claim(cluster, "one")
    put_claim(cluster, "two")
    async with cluster.running(BINDER):
        phases = sorted(cluster.each(PersistentVolumeClaim, lambda c: c.status.phase))
        assert phases == ["Bound", "Pending"]


async def test_what_does_not_suit(cluster: Cluster) -> None:
    put_volume(cluster, "many", accessModes=["ReadOnlyMany"])
    put_volume(cluster, "block", volumeMode="Block")
    put_volume(cluster, "classy", storageClassName="fast")
    put_volume(cluster, "taken", claimRef={"namespace": "default", "name": "other"})
    put_claim(cluster)
    async with cluster.running(BINDER):
        assert claim(cluster).status.phase == "Pending"
        message = "no persistent volumes available for this claim and no storage class is set"
        assert cluster.events("FailedBinding") == [("FailedBinding", message)]
        put_volume(cluster, "good")
        await cluster.quiet()
        assert claim(cluster).spec.volume_name == "good"


async def test_selectors_and_names(cluster: Cluster) -> None:
    put_volume(cluster, "a")
    put_volume(cluster, "b", "9Gi")
    put_claim(cluster, "named", volumeName="b")
    put_claim(cluster, "picky", selector={"matchLabels": {"tier": "gold"}})
    async with cluster.running(BINDER):
        assert claim(cluster, "named").status.phase == "Bound"
        assert BOUND_BY_CONTROLLER not in claim(cluster, "named").metadata.annotations
        assert claim(cluster, "picky").status.phase == "Pending"


async def test_a_volume_can_be_kept_for_a_claim(cluster: Cluster) -> None:
    put_volume(cluster, "kept", "5Gi", claimRef={"namespace": "default", "name": "c"})
    put_volume(cluster, "fitting")
    put_claim(cluster)
    async with cluster.running(BINDER):
        assert claim(cluster).spec.volume_name == "kept"
        assert BOUND_BY_CONTROLLER not in volume(cluster, "kept").metadata.annotations


async def test_a_class_that_is_not_there(cluster: Cluster) -> None:
    put_claim(cluster, storageClassName="absent")
    async with cluster.running(BINDER):
        expected = ("ProvisioningFailed", 'storageclass.storage.k8s.io "absent" not found')
        assert cluster.events() == [expected]


async def test_released_volumes_by_their_policy(cluster: Cluster) -> None:
    for policy, path in (("Retain", "/x"), ("Recycle", "/x"), ("Delete", "/tmp/x")):
        put_volume(
            cluster, policy.lower(), persistentVolumeReclaimPolicy=policy, hostPath={"path": path},
            storageClassName=policy.lower(),
        )  # fmt: skip
        put_claim(cluster, policy.lower(), storageClassName=policy.lower())
    async with cluster.running(BINDER):
        for name in ("retain", "recycle", "delete"):
            assert claim(cluster, name).status.phase == "Bound"
            cluster.api.remove(PersistentVolumeClaim, name, "default")
        await cluster.quiet()
        assert cluster.each(PersistentVolume, lambda v: (v.metadata.name, v.status.phase)) == [
            ("recycle", "Available"),
            ("retain", "Released"),
        ]
        put_claim(cluster, "retain", storageClassName="retain")
        await cluster.quiet()
        assert claim(cluster, "retain").status.phase == "Pending", "a released volume has another's data"


async def test_a_claim_that_loses_its_volume(cluster: Cluster) -> None:
    put_volume(cluster, "a")
    put_claim(cluster)
    async with cluster.running(BINDER):
        cluster.api.remove(PersistentVolume, "a")
        await cluster.quiet()
        assert claim(cluster).status.phase == "Lost"
        message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
        assert ("ClaimLost", message) in cluster.events()


async def test_volumes_are_made_for_the_node_that_was_chosen(cluster: Cluster) -> None:
    async with cluster.running(*PROVISIONING):
        assert cluster.each(StorageClass, lambda c: c.metadata.name) == ["standard"]
        put_claim(cluster, storageClassName="standard")
        await cluster.quiet()
        message = "waiting for first consumer to be created before binding"
        assert ("WaitForFirstConsumer", message) in cluster.events()
        assert cluster.api.all(PersistentVolume) == []
        chosen = {"metadata": {"annotations": {SELECTED_NODE: "node-2"}}}
        await cluster.client.patch(PersistentVolumeClaim, "c", "default", chosen)
        await cluster.quiet()
        found = claim(cluster)
        assert found.status.phase == "Bound"
        assert found.metadata.annotations[PROVISIONER] == "k8s.io/minikube-hostpath"
        made = volume(cluster, f"pvc-{found.metadata.uid}")
        assert made.spec.host_path is not None
        assert made.spec.host_path.path == f"/tmp/hostpath-provisioner/pvc-{found.metadata.uid}"
        assert made.spec.node_affinity is not None
        cluster.api.remove(PersistentVolumeClaim, "c", "default")
        await cluster.quiet()
        assert cluster.api.all(PersistentVolume) == []


async def test_what_is_in_use_stays(cluster: Cluster) -> None:
    put_claim(cluster)
    user = {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}
    user["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
    cluster.api.put_data(resource_of(Pod), {"metadata": {"name": "p", "namespace": "default"}, "spec": user})
    async with cluster.running(*PROTECTION):
        await cluster.client.delete(PersistentVolumeClaim, "c", "default")
        await cluster.quiet()
        assert claim(cluster).metadata.deletion_timestamp
        cluster.api.remove(Pod, "p", "default")
        await cluster.quiet()
        assert cluster.api.all(PersistentVolumeClaim) == []


async def test_ephemeral_volumes_get_claims_of_their_pod(cluster: Cluster) -> None:
    template = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    spec = {"containers": [], "volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": template}}]}
    cluster.api.put_data(
        resource_of(Pod), {"metadata": {"name": "p", "namespace": "default", "uid": "u"}, "spec": spec}
    )
    async with cluster.running("ephemeral-volume-controller"):
        found = claim(cluster, "p-v")
        assert [owner.uid for owner in found.metadata.owner_references] == ["u"]
