"""Where a Pod can run that has claims, and what it is told where it cannot."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from services.api.core_v1 import (
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimVolumeSource,
    Pod,
    Volume,
)
from services.api.storage_v1 import StorageClass
from services.machinery.volume_matching import BIND_COMPLETED, SELECTED_NODE
from tests.unit.scheduler.cluster import Cluster
from tests.unit.scheduler.objects import make_node, make_pod


def user_of(*claims: str) -> Pod:
    pod = make_pod("user")
    volumes = [
        Volume(name=f"v{i}", persistent_volume_claim=PersistentVolumeClaimVolumeSource(claim_name=c))
        for i, c in enumerate(claims)
    ]
    return replace(pod, spec=replace(pod.spec, volumes=volumes))


def claim(name: str, volume: str = "", storage_class: str = "", node: str = "") -> PersistentVolumeClaim:
    notes = {BIND_COMPLETED: "yes"} if volume else {SELECTED_NODE: node} if node else {}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    more = {"volumeName": volume, "storageClassName": storage_class}
    data = {"metadata": {"name": name, "namespace": "default", "uid": name, "annotations": notes}}
    return msgspec.convert({**data, "spec": {**spec, **more}}, PersistentVolumeClaim)


def volume(name: str, *, on: str = "", storage_class: str = "", size: str = "1Gi") -> PersistentVolume:
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}}
    spec["storageClassName"] = storage_class
    if on:
        expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [on]}
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    data = {"metadata": {"name": name}, "spec": spec, "status": {"phase": "Available"}}
    return msgspec.convert(data, PersistentVolume)


def storage_class(name: str, mode: str, provisioner: str = "somebody") -> StorageClass:
    data = {"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode}
    return msgspec.convert(data, StorageClass)


def nodes() -> Cluster:
    return Cluster(*(make_node(name, labels={"kubernetes.io/hostname": name}) for name in ("n1", "n2")))


def test_a_claim_that_is_not_there() -> None:
    expected = '0/2 nodes are available: persistentvolumeclaim "c" not found. not found'
    assert nodes().refusal(user_of("c")) == expected


def test_a_claim_that_should_be_bound_already() -> None:
    cluster = nodes()
    cluster.know(claim("c"))
    expected = "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
    assert cluster.refusal(user_of("c")) == expected


def test_a_bound_claim_leads_to_the_node_of_its_volume() -> None:
    cluster = nodes()
    cluster.know(claim("c", "pv"), volume("pv", on="n2"))
    assert cluster.place(user_of("c")) == "n2"
    cluster.know(claim("d", "far"), volume("far", on="elsewhere"))
    assert "2 node(s) didn't match PersistentVolume's node affinity." in cluster.refusal(user_of("d"))


def test_one_that_waits_takes_a_volume_of_the_node() -> None:
    cluster = nodes()
    cluster.know(storage_class("local", "WaitForFirstConsumer", "kubernetes.io/no-provisioner"))
    cluster.know(claim("c", storage_class="local"), volume("pv", on="n2", storage_class="local"))
    assert cluster.place(user_of("c")) == "n2"
    cluster.know(claim("d", storage_class="local"))
    message = cluster.refusal(user_of("c", "d"))
    assert "2 node(s) didn't find available persistent volumes to bind." in message


def test_one_that_waits_can_have_a_volume_made() -> None:
    cluster = nodes()
    cluster.know(storage_class("any", "WaitForFirstConsumer"), claim("c", storage_class="any"))
    assert cluster.place(user_of("c")) in ("n1", "n2")
    cluster.know(claim("d", storage_class="any", node="n2"))
    assert cluster.place(user_of("d")) == "n2"
