"""Objects for the tests of the controllers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from services.api.apps_v1 import (
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    ReplicaSet,
    ReplicaSetSpec,
    ReplicaSetStatus,
    RollingUpdateDeployment,
)
from services.api.core_v1 import (
    Container,
    ContainerStatus,
    Node,
    NodeCondition,
    NodeSpec,
    NodeStatus,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
    Taint,
)
from services.api.meta_v1 import LabelSelector, ObjectMeta
from services.machinery.clock import rfc3339
from services.machinery.owners import new_controller_ref

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ago(seconds: float) -> str:
    return rfc3339(NOW - timedelta(seconds=seconds))


def template(image: str = "app:1") -> PodTemplateSpec:
    return PodTemplateSpec(
        metadata=ObjectMeta(labels={"app": "w"}),
        spec=PodSpec(containers=[Container(name="c", image=image)]),
    )


def deployment(
    replicas: int = 3,
    surge: int | str = "25%",
    unavailable: int | str = "25%",
    *,
    image: str = "app:1",
    strategy: str = "RollingUpdate",
) -> Deployment:
    rolling = RollingUpdateDeployment(max_surge=surge, max_unavailable=unavailable)
    return Deployment(
        metadata=ObjectMeta(name="w", namespace="default", uid="deploy", generation=1),
        spec=DeploymentSpec(
            replicas=replicas,
            selector=LabelSelector(match_labels={"app": "w"}),
            template=template(image),
            strategy=DeploymentStrategy(
                type=strategy, rolling_update=rolling if strategy == "RollingUpdate" else None
            ),
            progress_deadline_seconds=600,
            revision_history_limit=10,
        ),
    )


def replicaset(
    name: str,
    replicas: int,
    available: int | None = None,
    *,
    image: str = "app:1",
    age: float = 0,
    annotations: dict[str, str] | None = None,
) -> ReplicaSet:
    serving = replicas if available is None else available
    return ReplicaSet(
        metadata=ObjectMeta(
            name=name,
            namespace="default",
            uid=f"uid-{name}",
            creation_timestamp=ago(age),
            annotations=annotations or {},
            generation=1,
        ),
        spec=ReplicaSetSpec(
            replicas=replicas, selector=LabelSelector(match_labels={"app": "w"}), template=template(image)
        ),
        status=ReplicaSetStatus(
            replicas=replicas,
            available_replicas=serving,
            ready_replicas=serving,
            observed_generation=1,
            terminating_replicas=0,
        ),
    )


def pod(
    name: str,
    *,
    node: str = "n1",
    phase: str = "Running",
    ready: bool = True,
    ready_seconds: float = 60,
    age: float = 60,
    restarts: int = 0,
    annotations: dict[str, str] | None = None,
    owner: ReplicaSet | None = None,
) -> Pod:
    since = ago(ready_seconds)
    return Pod(
        metadata=ObjectMeta(
            name=name,
            namespace="default",
            uid=f"uid-{name}",
            labels={"app": "w"},
            creation_timestamp=ago(age),
            annotations=annotations or {},
            owner_references=[new_controller_ref(owner)] if owner else [],
        ),
        spec=PodSpec(containers=[Container(name="c", image="app:1")], node_name=node or None),
        status=PodStatus(
            phase=phase,
            conditions=[
                PodCondition(type="Ready", status=str(ready), last_transition_time=since),
            ],
            container_statuses=[ContainerStatus(name="c", ready=ready, restart_count=restarts)],
        ),
    )


def terminating(of: Pod) -> Pod:
    return replace(of, metadata=replace(of.metadata, deletion_timestamp=ago(0)))


def node(
    name: str = "n1",
    ready: str | None = "True",
    *,
    taints: list[Taint] | None = None,
    heartbeat: float = 0,
    unschedulable: bool | None = None,
) -> Node:
    conditions = [
        NodeCondition(
            type="Ready", status=ready or "", reason="KubeletReady", last_heartbeat_time=ago(heartbeat)
        )
    ]
    return Node(
        metadata=ObjectMeta(name=name, uid=f"uid-{name}", creation_timestamp=ago(100)),
        spec=NodeSpec(taints=taints or [], unschedulable=unschedulable),
        status=NodeStatus(conditions=conditions if ready else []),
    )
