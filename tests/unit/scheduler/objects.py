"""Short ways to make the Pods and nodes that these tests talk about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

from services.api.core_v1 import (
    Container,
    ContainerImage,
    ContainerPort,
    Node,
    NodeSpec,
    NodeStatus,
    Pod,
    PodSchedulingGate,
    PodSpec,
    ResourceRequirements,
    Taint,
    Toleration,
)
from services.api.meta_v1 import ObjectMeta, OwnerReference

_uids = count(1)


def make_pod(
    name: str = "p",
    *,
    requests: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    node: str = "",
    priority: int | None = None,
    host_port: int = 0,
    image: str = "app:1",
    gates: Sequence[str] = (),
    tolerations: Sequence[Toleration] = (),
    owner: OwnerReference | None = None,
    uid: str = "",
    spec: PodSpec | None = None,
    deleted: bool = False,
) -> Pod:
    containers = [
        Container(
            name="c",
            image=image,
            resources=ResourceRequirements(requests=dict(requests or {})),
            ports=[ContainerPort(container_port=host_port, host_port=host_port)] if host_port else [],
        )
    ]
    return Pod(
        metadata=ObjectMeta(
            name=name,
            namespace="default",
            uid=uid or f"uid-{next(_uids)}",
            generation=1,
            labels=dict(labels or {}),
            owner_references=[owner] if owner else [],
            deletion_timestamp="2026-01-01T00:00:00Z" if deleted else None,
        ),
        spec=spec
        or PodSpec(
            containers=containers,
            node_name=node or None,
            priority=priority,
            scheduling_gates=[PodSchedulingGate(name=gate) for gate in gates],
            tolerations=list(tolerations),
            scheduler_name="default-scheduler",
        ),
    )


def make_node(
    name: str,
    *,
    cpu: str = "4",
    memory: str = "8Gi",
    pods: str = "110",
    labels: Mapping[str, str] | None = None,
    taints: Sequence[Taint] = (),
    unschedulable: bool = False,
    images: Mapping[str, int] | None = None,
) -> Node:
    return Node(
        metadata=ObjectMeta(name=name, labels={"kubernetes.io/hostname": name, **(labels or {})}),
        spec=NodeSpec(taints=list(taints), unschedulable=unschedulable or None),
        status=NodeStatus(
            allocatable={"cpu": cpu, "memory": memory, "pods": pods},
            images=[ContainerImage(names=[image], size_bytes=size) for image, size in (images or {}).items()],
        ),
    )
