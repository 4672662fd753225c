"""Anything may die: each process is killed in the middle of a rollout of 100 replicas.

The rollout must end with exactly the desired Pods, none orphaned, none twice, and what etcd
holds must be what the API server shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from services.api.apps_v1 import ReplicaSet
from services.api.coordination_v1 import Lease
from services.api.core_v1 import Node, Pod
from services.api.object import ObjectKey
from services.machinery.clock import parse_time
from services.machinery.owners import controller_of
from services.machinery.pods import is_ready
from tests.e2e.cluster import Cluster, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

REPLICAS = 100


@pytest.fixture(scope="module")
def fragile() -> Iterator[Cluster]:
    with running("--nodes", "3", "--schedulers", "2", "--controller-managers", "2") as cluster:
        yield cluster


def updated(pods: dict[ObjectKey, Pod], image: str) -> int:
    return sum(1 for pod in pods.values() if pod.spec.containers[0].image == image)


@pytest.mark.parametrize("victim", ["apiserver", "scheduler", "controller-manager", "node-2", "etcd"])
def test_a_rollout_survives_the_death_of(fragile: Cluster, victim: str) -> None:
    namespace = f"fault-{victim}"
    fragile.ok("create", "namespace", namespace)
    fragile.ok("create", "deployment", "web", "--image=nginx:1.27", f"--replicas={REPLICAS}", "-n", namespace)
    fragile.until(Pod, lambda pods: sum(map(is_ready, pods.values())) == REPLICAS, namespace)
    fragile.ok("set", "image", "deployment/web", "nginx=nginx:1.28", "-n", namespace)
    fragile.until(Pod, lambda pods: updated(pods, "nginx:1.28") >= 10, namespace)

    fragile.orrery("kill", victim)
    fragile.orrery("restart", victim)

    pods = fragile.until(
        Pod,
        lambda pods: (
            len(pods) == REPLICAS
            and updated(pods, "nginx:1.28") == REPLICAS
            and all(map(is_ready, pods.values()))
        ),
        namespace,
    )
    assert_consistent(fragile, namespace, pods)
    fragile.ok("delete", "namespace", namespace)


def assert_consistent(cluster: Cluster, namespace: str, pods: dict[ObjectKey, Pod]) -> None:
    sets = cluster.until(
        ReplicaSet,
        lambda sets: sorted(s.status.replicas or 0 for s in sets.values()) == [0, REPLICAS],
        namespace,
    )
    current = next(s for s in sets.values() if s.status.replicas)
    for pod in pods.values():
        owner = controller_of(pod)
        assert owner is not None
        assert owner.uid == current.metadata.uid
    prefix = f"/registry/pods/{namespace}/"
    stored = {key.removeprefix(prefix) for key in cluster.etcd("ls", prefix).split()}
    assert stored == {key.name for key in pods}


@pytest.mark.parametrize(
    ("lease", "component"),
    [("kube-scheduler", "scheduler"), ("kube-controller-manager", "controller-manager")],
)
def test_a_standby_takes_over_once_the_lease_has_run_out(
    fragile: Cluster, lease: str, component: str
) -> None:
    before = fragile.get("lease", lease, "-n", "kube-system")["spec"]
    identity = before["holderIdentity"]
    names = (component, f"{component}-2")
    holder = next(name for name in names if f"identity={identity}" in fragile.log(name))
    fragile.orrery("kill", holder)
    key = ObjectKey("kube-system", lease)
    found = fragile.until(
        Lease, lambda all_: all_[key].spec.holder_identity not in (identity, None, ""), "kube-system"
    )
    renewed, taken = before["renewTime"], found[key].spec.acquire_time or ""
    assert parse_time(taken) - parse_time(renewed) >= timedelta(seconds=before["leaseDurationSeconds"])
    fragile.orrery("restart", holder)


def test_a_node_that_stays_away_is_noticed_and_comes_back(fragile: Cluster) -> None:
    fragile.orrery("kill", "node-3")
    fragile.until(Node, lambda nodes: "Unknown" in ready_of(nodes, "node-3"), "")
    assert "NotReady" in fragile.ok("get", "node", "node-3")
    fragile.orrery("restart", "node-3")
    fragile.until(Node, lambda nodes: ready_of(nodes, "node-3") == ["True"], "")


def ready_of(nodes: dict[ObjectKey, Node], name: str) -> list[str]:
    return [c.status or "" for c in nodes[ObjectKey("", name)].status.conditions if c.type == "Ready"]


def test_a_cluster_that_was_stopped_keeps_its_state(fragile: Cluster) -> None:
    fragile.ok("create", "configmap", "memory", "--from-literal=kept=yes")
    fragile.orrery("down")
    fragile.orrery("up", "-d")
    assert fragile.get("configmap", "memory")["data"] == {"kept": "yes"}
    assert len(fragile.get("nodes")["items"]) == 3
