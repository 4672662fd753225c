"""How many Pods of a budget may go."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.api.core_v1 import Pod, PodCondition
from services.api.meta_v1 import LabelSelector, ObjectMeta
from services.api.policy_v1 import PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus
from services.controller_manager.disruption import desired
from tests.unit.controller_manager.conftest import Cluster
from tests.unit.controller_manager.objects import pod, replicaset

CONTROLLER = "disruption-controller"


def budget(least: int | str | None = None, most: int | str | None = None) -> PodDisruptionBudget:
    spec = PodDisruptionBudgetSpec(
        min_available=least, max_unavailable=most, selector=LabelSelector(match_labels={"app": "w"})
    )
    return PodDisruptionBudget(metadata=ObjectMeta(name="b", namespace="default", generation=1), spec=spec)


def ready(name: str) -> Pod:
    found = pod(name, owner=replicaset("rs", 3))
    meta = replace(found.metadata, labels={"app": "w"})
    conditions = [PodCondition(type="Ready", status="True")]
    return replace(found, metadata=meta, status=replace(found.status, conditions=conditions))


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        (2, None, (4, 2)),
        ("50%", None, (5, 3)),
        (None, 1, (5, 4)),
        (None, "50%", (5, 2)),
        (None, 9, (5, 0)),
        (None, None, (4, 0)),
    ],
)
def test_what_is_desired(least: int | str | None, most: int | str | None, expected: tuple[int, int]) -> None:
    assert desired(budget(least, most), 4, 5) == expected


async def test_the_status_follows_the_pods(cluster: Cluster) -> None:
    cluster.api.put(replicaset("rs", 3))
    for name in ("a", "b", "c"):
        cluster.api.put(ready(name))
    cluster.api.put(replace(pod("other"), metadata=ObjectMeta(name="other", namespace="default")))
    cluster.api.put(budget(most=1))

    def status() -> PodDisruptionBudgetStatus:
        return cluster.api.one(PodDisruptionBudget, "b", "default").status

    async with cluster.running(CONTROLLER):
        first = status()
        assert (first.expected_pods, first.desired_healthy, first.current_healthy) == (3, 2, 3)
        assert (first.disruptions_allowed, first.observed_generation) == (1, 1)
        assert first.conditions[0].reason == "SufficientPods"
        cluster.api.remove(Pod, "a", "default")
        await cluster.quiet()
        assert (status().current_healthy, status().disruptions_allowed) == (2, 0)
        assert status().conditions[0].reason == "InsufficientPods"
