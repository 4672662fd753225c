"""Deployments, ReplicaSets and ReplicationControllers at work against the fake API server."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from services.api import errors
from services.api.apps_v1 import Deployment, ReplicaSet
from services.api.core_v1 import (
    Pod,
    PodCondition,
    ReplicationController,
    ReplicationControllerSpec,
)
from services.api.kinds import resource_of
from services.api.meta_v1 import ObjectMeta
from services.api.object import Object
from services.client.controller import ControllerContext
from services.client.informer import InformerFactory
from services.client.recorder import EventRecorder
from services.controller_manager.deployment.revisions import REVISION
from services.controller_manager.replicaset import ReplicaSetController
from services.controller_manager.replication_controller import ReplicationManager
from services.machinery import conditions, pods
from services.process.logging import get_logger
from tests.unit.controller_manager.conftest import Cluster
from tests.unit.controller_manager.objects import deployment, pod, replicaset, template

ALL = ("deployment-controller", "replicaset-controller", "replicationcontroller-controller")


def make_ready(cluster: Cluster) -> None:
    """The kubelet's part: every live Pod runs and is ready; every terminating one ends."""
    for each in cluster.api.all(Pod):
        if each.metadata.deletion_timestamp:
            cluster.api.remove(Pod, each.key.name, each.key.namespace)
        elif not pods.is_ready(each):
            ready = PodCondition(type="Ready", status="True", last_transition_time="2026-01-01T00:00:00Z")
            status = replace(each.status, phase="Running", conditions=[ready])
            cluster.api.put(replace(each, status=status, spec=replace(each.spec, node_name="n1")))


async def roll(cluster: Cluster, steps: int = 30) -> list[tuple[int, int]]:
    """Turns the wheel until nothing moves; the (Pods, ready Pods) after each step."""
    seen = []
    for _ in range(steps):
        await cluster.quiet()
        revision = cluster.api.revision
        live = [each for each in cluster.api.all(Pod) if pods.is_active(each)]
        seen.append((len(live), sum(pods.is_ready(each) for each in live)))
        make_ready(cluster)
        await cluster.quiet()
        if cluster.api.revision == revision:
            return seen
    raise AssertionError(f"still moving: {seen}")


def told(found: Deployment, kind: str) -> tuple[str, str | None]:
    condition = conditions.get(found.status.conditions, kind)
    return (condition.status, condition.reason) if condition else ("", "")


def sizes(cluster: Cluster) -> dict[str | None, tuple[int | None, str]]:
    return {
        rs.spec.template.spec.containers[0].image if rs.spec.template else "": (
            rs.spec.replicas,
            rs.metadata.annotations[REVISION],
        )
        for rs in cluster.api.all(ReplicaSet)
    }


async def patch(cluster: Cluster, patch: dict[str, Any], kind: Any = Deployment) -> None:
    await cluster.client.patch(kind, "w", "default", patch)


def image(name: str) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": name}]}
    return {"spec": {"template": {"spec": spec}}}


async def test_from_nothing_to_complete(cluster: Cluster) -> None:
    async with cluster.running(*ALL):
        await cluster.client.create(deployment(3))
        await roll(cluster)
        found = cluster.api.one(Deployment, "w", "default")
        assert (found.status.replicas, found.status.available_replicas) == (3, 3)
        assert found.status.observed_generation == 1
        assert found.metadata.annotations[REVISION] == "1"
        assert told(found, "Available") == ("True", "MinimumReplicasAvailable")
        assert told(found, "Progressing") == ("True", "NewReplicaSetAvailable")
        name = cluster.api.all(ReplicaSet)[0].key.name
        assert cluster.events("ScalingReplicaSet") == [
            ("ScalingReplicaSet", f"Scaled up replica set {name} from 0 to 3")
        ]
        assert len(cluster.events("SuccessfulCreate")) == 3


async def test_a_rolling_update_keeps_its_bounds(cluster: Cluster) -> None:
    async with cluster.running(*ALL):
        await cluster.client.create(deployment(5, 2, 1))
        await roll(cluster)
        await patch(cluster, image("app:2"))
        seen = await roll(cluster)
        assert max(count for count, _ in seen) <= 7
        assert min(ready for _, ready in seen) >= 4
        assert sizes(cluster) == {"app:1": (0, "1"), "app:2": (5, "2")}
        await patch(cluster, image("app:1"))
        await roll(cluster)
        assert sizes(cluster) == {"app:1": (5, "3"), "app:2": (0, "2")}


async def test_recreate_never_mixes(cluster: Cluster) -> None:
    async with cluster.running(*ALL):
        await cluster.client.create(deployment(3, strategy="Recreate"))
        await roll(cluster)
        await patch(cluster, image("app:2"))
        await cluster.quiet()
        images = {each.spec.containers[0].image for each in cluster.api.all(Pod)}
        assert images == {"app:1"}
        await roll(cluster)
        assert sizes(cluster) == {"app:1": (0, "1"), "app:2": (3, "2")}


async def test_paused_it_scales_but_does_not_roll(cluster: Cluster) -> None:
    async with cluster.running(*ALL):
        await cluster.client.create(deployment(2))
        await roll(cluster)
        await patch(cluster, {"spec": {"paused": True}})
        await patch(cluster, image("app:2"))
        await patch(cluster, {"spec": {"replicas": 4}})
        await roll(cluster)
        assert sizes(cluster) == {"app:1": (4, "1")}
        assert told(cluster.api.one(Deployment, "w", "default"), "Progressing") == (
            "Unknown", "DeploymentPaused",
        )  # fmt: skip
        await patch(cluster, {"spec": {"paused": False}})
        await roll(cluster)
        assert sizes(cluster) == {"app:1": (0, "1"), "app:2": (4, "2")}


async def test_a_manager_killed_in_the_middle_leaves_no_trace(cluster: Cluster) -> None:
    async with cluster.running(*ALL):
        await cluster.client.create(deployment(10))
        await roll(cluster)
        await patch(cluster, image("app:2"))
        await cluster.quiet()
    make_ready(cluster)
    for _ in range(4):  # Each successor does one step and dies.
        async with cluster.running(*ALL):
            pass
        make_ready(cluster)
    async with cluster.running(*ALL):
        await roll(cluster)
    live = [each for each in cluster.api.all(Pod) if pods.is_active(each)]
    assert len(live) == 10
    assert {each.spec.containers[0].image for each in live} == {"app:2"}


async def test_the_deadline_passes(cluster: Cluster) -> None:
    async with cluster.running(*ALL):
        subject = deployment(2)
        await cluster.client.create(replace(subject, spec=replace(subject.spec, progress_deadline_seconds=4)))
        await cluster.quiet()
        await cluster.clock.advance(10)
        await cluster.quiet()
        found = cluster.api.one(Deployment, "w", "default")
        assert told(found, "Progressing") == ("False", "ProgressDeadlineExceeded")


async def test_a_taken_name_makes_another_hash(cluster: Cluster) -> None:
    async with cluster.running(*ALL):
        await cluster.client.create(deployment(1))
        await roll(cluster)
        taken = cluster.api.all(ReplicaSet)[0]
        await cluster.client.delete(Deployment, "w", "default")
        foreign = replace(taken, metadata=replace(taken.metadata, owner_references=[], labels={"x": "y"}))
        cluster.api.put(foreign)
        await cluster.client.create(deployment(1))
        await roll(cluster)
        await cluster.clock.advance(1)
        await roll(cluster)
        found = cluster.api.one(Deployment, "w", "default")
        assert found.status.collision_count == 1
        assert found.status.available_replicas == 1


async def test_a_replicaset_adopts_releases_and_replaces(cluster: Cluster) -> None:
    async with cluster.running(*ALL):
        cluster.api.put(pod("stray"))
        await cluster.client.create(replace(replicaset("rs", 2), status=replicaset("rs", 2).status))
        await roll(cluster)
        assert len(cluster.api.all(Pod)) == 2
        await cluster.client.patch(Pod, "stray", "default", {"metadata": {"labels": {"app": "other"}}})
        await roll(cluster)
        assert len(cluster.api.all(Pod)) == 3
        assert cluster.api.one(Pod, "stray", "default").metadata.owner_references == []
        await cluster.client.patch(Pod, "stray", "default", {"metadata": {"labels": {"app": "w"}}})
        await roll(cluster)
        assert len(cluster.api.all(Pod)) == 2
        assert cluster.api.one(ReplicaSet, "rs", "default").status.available_replicas == 2


class LatePods:
    """A PodControl whose cache shows the last deletion while Pods are being adopted."""

    def __init__(self, owned: list[Pod]) -> None:
        self.owned, self.seen, self.deleted = owned, False, list[Pod]()

    def settled(self, owner: Object) -> bool:
        return self.seen

    async def claim(self, owner: Object) -> list[Pod]:
        self.seen = True
        return self.owned

    async def delete(self, owner: Object, doomed: Iterable[Pod]) -> None:
        self.deleted.extend(doomed)


@pytest.mark.parametrize("controller_type", [ReplicaSetController, ReplicationManager])
async def test_a_deletion_seen_while_adopting_does_not_make_an_old_count_right(
    cluster: Cluster, controller_type: type[ReplicaSetController] | type[ReplicationManager]
) -> None:
    recorder = EventRecorder(cluster.client, cluster.clock, "test")
    informers = InformerFactory(cluster.client, cluster.clock, Random(1))
    context = ControllerContext(
        cluster.client, informers, recorder, cluster.clock, Random(1), get_logger("test")
    )
    controller: Any = controller_type(context)
    late = LatePods([pod(name) for name in "abc"])
    controller.pods = late
    owner = replicaset("rs", 2) if controller_type is ReplicaSetController else replication_controller()
    cluster.api.put(owner)
    owner = cluster.api.one(type(owner), owner.key.name, owner.key.namespace)
    await controller.reconcile(owner)
    assert late.deleted == []
    await controller.reconcile(owner)
    assert len(late.deleted) == 1


async def test_a_refused_pod_is_reported_until_one_succeeds(cluster: Cluster) -> None:
    async with cluster.running(*ALL):
        why = errors.forbidden(resource_of(Pod), "rc-x", "exceeded quota: q")
        cluster.api.fail_next("create", *[why] * 6)  # Events are refused with it.
        cluster.api.put(replication_controller())
        await cluster.quiet()
        found = cluster.api.one(ReplicationController, "rc", "default")
        assert [(c.type, c.reason) for c in found.status.conditions] == [("ReplicaFailure", "FailedCreate")]
        await cluster.clock.advance(1)
        await roll(cluster)
        found = cluster.api.one(ReplicationController, "rc", "default")
        assert (found.status.replicas, found.status.conditions) == (2, [])


def replication_controller() -> ReplicationController:
    spec = ReplicationControllerSpec(replicas=2, selector={"app": "w"}, template=template())
    return ReplicationController(metadata=ObjectMeta(name="rc", namespace="default", generation=1), spec=spec)


async def test_min_ready_seconds_turn_available_by_time_alone(cluster: Cluster) -> None:
    async with cluster.running(*ALL):
        subject = replicaset("rs", 1)
        cluster.api.put(
            replace(subject, spec=replace(subject.spec, min_ready_seconds=20), status=type(subject.status)())
        )
        await roll(cluster)
        assert cluster.api.one(ReplicaSet, "rs", "default").status.available_replicas is None
        await cluster.clock.advance(25)
        await cluster.quiet()
        assert cluster.api.one(ReplicaSet, "rs", "default").status.available_replicas == 1
